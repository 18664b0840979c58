"""Composing packages in S3 stores, and uploads that fail or are left: no payload passes, and nothing is left over."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from prefect_collect.errors import (
    CorruptSegment,
    StoreAccessDenied,
)
from prefect_collect.stores import BlobWriter, CopyRange, Piece, S3Store
from prefect_collect.threads.byte_budget import UPLOADS
from tests.integration.faults import FaultProxy
from tests.integration.servers import S3Server
from tests.integration.stores.s3_stores import store_at, unfinished
from tests.stores.patterned import MIB, patterned

pytestmark = pytest.mark.integration


def test_failed_part_leaves_nothing(store: S3Store, proxy: FaultProxy, seaweedfs: S3Server) -> None:
    """When a part cannot be uploaded, the writer raises, and the upload is aborted."""
    writer = store.writer("large")
    proxy.fail_next(100, status=403, code="AccessDenied", path="partNumber=2")
    writer.write(b"x" * (40 * MIB))
    with pytest.raises(StoreAccessDenied):
        writer.commit()
    proxy.clear()
    assert unfinished(seaweedfs, store) == []
    assert list(store.list()) == []


def test_failed_uploads_give_their_room_back(store: S3Store, proxy: FaultProxy, seaweedfs: S3Server) -> None:
    """However many uploads fail or are aborted, the memory that uploads share is free again for the next one."""
    proxy.fail_next(10_000, status=403, code="AccessDenied", path="partNumber=")
    for _ in range(5):
        writer = store.writer("large")
        with pytest.raises(StoreAccessDenied):
            _write(writer, 40 * MIB)
        writer.abort()
    proxy.clear()
    _write(store.writer("large"), 40 * MIB)
    assert unfinished(seaweedfs, store) == []
    assert UPLOADS.reserved == 0


def _write(writer: BlobWriter, size: int) -> None:
    writer.write(b"x" * size)
    writer.commit()


def test_aborted_upload_leaves_nothing(store: S3Store, seaweedfs: S3Server) -> None:
    """Abort removes the parts that were already uploaded."""
    writer = store.writer("large")
    writer.write(b"x" * (40 * MIB))
    writer.abort()
    assert unfinished(seaweedfs, store) == []


def test_payload_does_not_pass_when_composing(store: S3Store, proxy: FaultProxy) -> None:
    """Of two segments of 20 MiB only the new bytes, and what fills the first part, pass through this process."""
    for name in "ab":
        store.create(f"seg/{name}", patterned(20 * MIB, ord(name)))
    proxy.clear()
    pieces: list[Piece] = [CopyRange("seg/a", 30, 20 * MIB), CopyRange("seg/b", 40, 20 * MIB), b"directory" * 1000]
    store.compose("out", pieces, store)
    assert proxy.bytes_up < 20_000
    assert proxy.bytes_down < 20_000
    assert proxy.count("PUT", "partNumber=") == 3


def test_composing_finds_a_replaced_segment(store: S3Store, seaweedfs: S3Server) -> None:
    """A segment whose ETag is not the manifest's is named, and the upload is aborted."""
    etag = store.create("seg", patterned(12 * MIB)).etag
    writer = store.writer("seg", replace=True)
    writer.write(patterned(12 * MIB, 9))
    writer.commit()
    with pytest.raises(CorruptSegment, match=r"replaced.*/seg\]$"):
        store.compose("out", [CopyRange("seg", 0, 12 * MIB, etag)], store)
    assert unfinished(seaweedfs, store) == []


def test_segment_that_changes_while_it_is_copied(moto: S3Server, fault_proxy: Callable[[S3Server], FaultProxy]) -> None:
    """A segment that is replaced after the check is found by the server (copy if the ETag matches)."""
    proxy = fault_proxy(moto)
    store = store_at(moto.at(proxy.url), moto.new_bucket())
    store.create("seg", patterned(12 * MIB))
    proxy.fail_next(1, status=412, code="PreconditionFailed", method="PUT", path="partNumber=")
    with pytest.raises(CorruptSegment, match=r"replaced.*/seg\]$"):
        store.compose("out", [CopyRange("seg", 0, 12 * MIB)], store)
    assert unfinished(moto, store) == []
    assert [blob.key for blob in store.list()] == ["seg"]


def test_composing_waits_out_throttling(store: S3Store, proxy: FaultProxy) -> None:
    """Busy answers while parts are copied are tried again."""
    store.create("seg", patterned(12 * MIB))
    proxy.fail_next(3, method="PUT", path="partNumber=")
    store.compose("out", [CopyRange("seg", 1, 12 * MIB), b"end"], store)
    assert store.read("out") == patterned(12 * MIB)[1:] + b"end"


def test_leftover_uploads_are_aborted(store: S3Store, seaweedfs: S3Server) -> None:
    """Uploads that a killed export left under the package's key are removed by the next one.

    Those of other keys are not.
    """
    client = seaweedfs.client()
    for key in ("p/out", "p/out2"):
        upload = client.create_multipart_upload(Bucket=store.bucket, Key=key)["UploadId"]
        client.upload_part(Bucket=store.bucket, Key=key, UploadId=upload, PartNumber=1, Body=b"x" * 100)
    store.create("seg", patterned(12 * MIB))
    store.compose("out", [CopyRange("seg", 0, 12 * MIB)], store)
    assert unfinished(seaweedfs, store) == ["p/out2"]


def test_server_without_part_copies(seaweedfs: S3Server, fault_proxy: Callable[[S3Server], FaultProxy]) -> None:
    """If a server does not support part copies, packages are streamed to it, and it is not asked again."""
    proxy = fault_proxy(seaweedfs)
    store = store_at(seaweedfs.at(proxy.url), seaweedfs.new_bucket())
    store.create("seg", patterned(12 * MIB))
    proxy.fail_next(1, status=501, code="NotImplemented", method="PUT", path="partNumber=1")
    for name in ("one", "two"):
        store.compose(name, [CopyRange("seg", 0, 12 * MIB), b"end"], store)
        assert store.read(name) == patterned(12 * MIB) + b"end"
    assert proxy.count("POST", "uploads") == 1
    assert unfinished(seaweedfs, store) == []


def test_two_servers(seaweedfs: S3Server, moto: S3Server) -> None:
    """From one S3 server to another the bytes are streamed, and a segment's ETag is still checked."""
    source, target = store_at(seaweedfs), store_at(moto)
    data = patterned(20 * MIB)
    etag = source.create("seg", data).etag
    target.compose("out", [b"<", CopyRange("seg", 1, 20 * MIB, etag), b">"], source)
    assert target.read("out") == b"<" + data[1:] + b">"
    with pytest.raises(CorruptSegment, match="replaced"):
        target.compose("out2", [CopyRange("seg", 1, 20 * MIB, '"other"')], source)


def test_server_without_part_copies_composes_by_streaming(rclone: S3Server) -> None:
    """The same server stores an empty part for a copied one; this is detected and the bytes are streamed."""
    store = store_at(rclone, single_writer=True)
    data = patterned(20 * MIB)
    store.create("seg", data)
    for _ in range(2):
        store.compose("out", [b"<", CopyRange("seg", 1, 20 * MIB), b">"], store, replace=True)
        assert store.read("out") == b"<" + data[1:] + b">"
