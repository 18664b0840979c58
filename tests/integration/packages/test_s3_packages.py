"""Packages from and to a real S3 server, and read by another program."""

from __future__ import annotations

import hashlib
import io
import random
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from prefect_collect.archive.segments import SegmentWriter
from prefect_collect.errors import CorruptSegment
from prefect_collect.formats import Format
from prefect_collect.formats.bag_options import BagOptions
from prefect_collect.job_folder import store_keys, table_columns
from prefect_collect.packages import (
    PACKAGE_FORMATS,
    Checked,
    Owner,
    PackageInput,
    PackagePlace,
    PackageSpec,
    build_directory,
    build_zip,
    check_items,
    verify,
)
from prefect_collect.packages.building.payload import Payload
from prefect_collect.packages.building.rows import read_rows
from prefect_collect.stores import Blob, DirectoryStore, S3Store, Store
from prefect_collect.threads.pool import Pool
from prefect_collect.threads.stop import Stop
from tests.integration.faults import FaultProxy
from tests.integration.servers import S3Server

pytestmark = pytest.mark.integration

JOB = "job"
SPEC = PackageSpec("docs", JOB, date(2024, 6, 1), "docs")
WHEN = datetime(2024, 5, 6, 7, 8, 10, tzinfo=UTC)
SEGMENTS, ITEMS, SIZE = 3, 20, 300_000
LARGE = (8 << 20) + 1
"""The bytes of an item that a server copies into a folder."""


class Collected:
    """Three segments of 6 MB each in a store, or another number."""

    def __init__(self, store: Store, segments: int = SEGMENTS) -> None:
        self.store, self.rows, self.known = store, list[dict[str, Any]](), dict[str, Blob]()
        noise = random.Random(1)
        for number in range(segments):
            self.add([(f"{number}/item {item} %.bin", noise.randbytes(SIZE)) for item in range(ITEMS)])

    def add(self, items: list[tuple[str, bytes]]) -> None:
        """Add a segment of these items."""
        name = store_keys.segment_name(1, len(self.known))
        writer = SegmentWriter(self.store.writer(store_keys.segment_key(JOB, name)), "docs")
        for path, data in items:
            entry = writer.append(path, data, zlib.crc32(data), WHEN)
            self.rows.append(
                dict.fromkeys(table_columns.MANIFEST.names)
                | {
                    "item_id": path, "path": path, "original_path": path, "source_modified": WHEN, "size": len(data),
                    "sha256": hashlib.sha256(data).digest(), "crc32": zlib.crc32(data), "segment": name,
                    "entry_offset": entry.entry_offset, "offset": entry.offset, "stored_size": len(data),
                    "deflated": False, "collected_at": WHEN, "attempt": 1,
                }
            )  # fmt: skip
        self.known[name] = writer.close()

    def input(self, checked: Checked, spec: PackageSpec = SPEC) -> PackageInput:
        """Return what a package is made of."""
        return PackageInput(self.manifest, self.missing, checked, self.store, spec)

    def manifest(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        """Return the manifest."""
        return iter(pa.Table.from_pylist(self.rows, table_columns.MANIFEST).select(columns).to_batches(25))

    def missing(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        """Return nothing: no item is missing."""
        return iter(table_columns.LEDGER.empty_table().select(columns).to_batches())


@pytest.fixture
def store(seaweedfs: S3Server) -> S3Store:
    """Return a store in its own bucket."""
    return S3Store(seaweedfs.new_bucket(), "staging", endpoint_url=seaweedfs.url, session=seaweedfs.session())


def test_composed_on_the_server(seaweedfs: S3Server, fault_proxy: Callable[[S3Server], FaultProxy]) -> None:
    """From S3 to S3 no payload passes through this process, and the package equals a local export byte by byte."""
    proxy = fault_proxy(seaweedfs)
    bucket, server = seaweedfs.new_bucket(), seaweedfs.at(proxy.url)
    store = S3Store(bucket, "staging", endpoint_url=server.url, session=server.session())
    exports = S3Store(bucket, "exports", endpoint_url=server.url, session=server.session())
    collected = Collected(store)
    before = proxy.bytes_up + proxy.bytes_down
    checked = check_items(collected.manifest, store, SPEC, known=collected.known)
    built = build_zip(collected.input(checked), PackagePlace(exports, "out.zip"))
    assert proxy.bytes_up + proxy.bytes_down - before < SEGMENTS * ITEMS * SIZE / 4
    found = verify("out.zip", store=exports)
    assert (found.problems, found.items, found.fingerprint) == ([], SEGMENTS * ITEMS, built.fingerprint)
    assert zipfile.ZipFile(io.BytesIO(exports.read("out.zip"))).testzip() is None


@pytest.mark.parametrize("format", ["loadfile", "bagit-tar"])
def test_small_items_with_new_headers_are_read_together(
    seaweedfs: S3Server, fault_proxy: Callable[[S3Server], FaultProxy], tmp_path: Path, format: Format
) -> None:
    """Items that get new names or headers pass through this process in few requests; large ones are copied in S3.

    The package is the same wherever it is put together, and each item has its bytes.
    """
    proxy = fault_proxy(seaweedfs)
    bucket, server = seaweedfs.new_bucket(), seaweedfs.at(proxy.url)
    store = S3Store(bucket, "staging", endpoint_url=server.url, session=server.session())
    exports = S3Store(bucket, "exports", endpoint_url=server.url, session=server.session())
    collected = Collected(store)
    collected.add([(f"small {n}", b"%d" % n * 9) for n in range(600)] + [("large", b"L" * (24 << 20))])
    checked = check_items(collected.manifest, store, SPEC, known=collected.known)
    build = PACKAGE_FORMATS[format].build
    proxy.clear()
    built = build(collected.input(checked), PackagePlace(exports, "out"))
    assert proxy.count() < 100
    assert proxy.bytes_up < SEGMENTS * ITEMS * SIZE + (12 << 20), "what is large is copied by the server"
    local = DirectoryStore(tmp_path)
    proxy.clear()
    build(collected.input(checked), PackagePlace(local, "out"))
    assert proxy.count() < 200
    assert local.read("out") == exports.read("out")
    found = verify("out", store=exports)
    assert (found.problems, found.items, found.fingerprint) == ([], SEGMENTS * ITEMS + 601, built.fingerprint)


def test_groups_and_compressed_bags_in_s3(store: S3Store, seaweedfs: S3Server, tmp_path: Path) -> None:
    """They have the same bytes in S3 and in a folder, are verified there, and a retry keeps or replaces its own."""
    collected, spec = Collected(store), replace(SPEC, bag=BagOptions(volume_bytes=7_000_000, volumes="tar"))
    exports = S3Store(seaweedfs.new_bucket(), "exports", endpoint_url=seaweedfs.url, session=seaweedfs.session())
    local, owner = DirectoryStore(tmp_path), Owner("me")
    checked = check_items(collected.manifest, store, SPEC, known=collected.known)
    goals: list[tuple[Format, str]] = [("bagit-group", "docs"), ("bagit-tar-zst", "docs.tar.zst")]
    for format, key in goals:
        build = PACKAGE_FORMATS[format].build
        built = [
            build(collected.input(checked, spec), PackagePlace(destination, key, owner, replace=True))
            for destination in (exports, local, exports)
        ]
        assert len({one.fingerprint for one in built}) == 1
        found = verify(key, store=exports)
        assert (found.problems, found.items, found.fingerprint) == ([], SEGMENTS * ITEMS, built[0].fingerprint)
        again = replace(owner, fingerprints=frozenset({built[0].fingerprint}))
        build(collected.input(checked, spec), PackagePlace(exports, key, again, replace=True))
    names = [blob.key for blob in local.list()]
    assert [blob.key for blob in exports.list()] == names
    assert all(exports.read(name) == local.read(name) for name in names)


def test_mbox_files_are_put_together_by_the_server(
    seaweedfs: S3Server, fault_proxy: Callable[[S3Server], FaultProxy], tmp_path: Path
) -> None:
    """Messages are read once to find lines to quote; what is large is copied by the server, as ZIP file and as folder.

    The mbox file is the same wherever it is put together.
    """
    proxy = fault_proxy(seaweedfs)
    bucket, server = seaweedfs.new_bucket(), seaweedfs.at(proxy.url)
    store = S3Store(bucket, "staging", endpoint_url=server.url, session=server.session())
    exports = S3Store(bucket, "exports", endpoint_url=server.url, session=server.session())
    collected = Collected(store)
    collected.rows.clear()
    head = b"From: a@example.com\r\n\r\n"
    large = head + b"L" * (24 << 20) + b"\nFrom " + b"M" * (12 << 20)
    collected.add([(f"in/{n}", head + b"%d\nFrom x\n" % n) for n in range(600)] + [("in/large", large)])
    checked = check_items(collected.manifest, store, SPEC, known=collected.known)
    proxy.clear()
    formats: tuple[tuple[Format, str], ...] = (("mail", "out.zip"), ("mail-directory", "out"))
    for format, key in formats:
        build = PACKAGE_FORMATS[format].build
        built = build(collected.input(checked), PackagePlace(exports, key))
        found = verify(key, store=exports)
        assert (found.problems, found.items, found.fingerprint) == ([], 601, built.fingerprint)
    assert proxy.bytes_up < 24 << 20, "twice 36 MB without being copied by the server"
    local = DirectoryStore(tmp_path)
    PACKAGE_FORMATS["mail"].build(collected.input(checked), PackagePlace(local, "out.zip"))
    assert local.read("out.zip") == exports.read("out.zip")


def test_what_the_server_does_not_copy(seaweedfs: S3Server, fault_proxy: Callable[[S3Server], FaultProxy]) -> None:
    """A large item of a folder fails if its segment was replaced after the check, or if its name is taken.

    Where the server refuses to copy, items are read and hashed: one with another hash fails, as small ones do.
    """
    proxy = fault_proxy(seaweedfs)
    bucket, server = seaweedfs.new_bucket(), seaweedfs.at(proxy.url)
    store = S3Store(bucket, "staging", endpoint_url=server.url, session=server.session())
    exports = S3Store(bucket, "exports", endpoint_url=server.url, session=server.session())
    collected = Collected(store, 0)
    for name in ("altered", "good", "taken", "replaced"):
        collected.add([(name, name[:1].encode() * LARGE)])
    collected.rows[0]["sha256"] = bytes(32)
    checked = check_items(collected.manifest, store, SPEC, known=collected.known)
    key = store_keys.segment_key(JOB, collected.rows[3]["segment"])
    writer = store.writer(key, replace=True)
    writer.write(store.read(key)[:-1] + b"!")
    writer.commit()

    def written(folder: str) -> dict[int, str]:
        exports.create(f"{folder}taken", b"of another writer")
        payload = Payload(collected.input(checked), exports, folder, Stop())
        with Pool(1, "package") as pool:
            for rows in read_rows(collected.manifest):
                payload.write(rows, pool)
        assert exports.read(f"{folder}good") == b"g" * LARGE
        assert exports.read(f"{folder}taken") == b"of another writer"
        return {number: failure.code for number, failure in payload.failed.items()}

    proxy.clear()
    assert written("copied/") == {2: "path_collision", 3: "segment_corrupt"}
    assert proxy.bytes_down < 12 << 20, "only what is compared here passes through this process"
    proxy.fail_next(1, 501, "NotImplemented", method="PUT", path="partNumber")
    assert written("read/") == {0: "segment_corrupt", 2: "path_collision"}, "the replaced segment has the item's bytes"
    assert proxy.hits == 1
    assert not {"copied/replaced", "read/altered"} & {blob.key for blob in exports.list()}


def test_the_same_bytes_wherever_it_is_staged(store: S3Store, tmp_path: Path) -> None:
    """S3 to a directory, directory to directory, and unknown ETags give the same package."""
    local, exports = Collected(DirectoryStore(tmp_path / "staging")), DirectoryStore(tmp_path / "exports")
    remote = Collected(store)
    for name, collected, known in (("l", local, {}), ("r", remote, remote.known), ("u", remote, {})):
        checked = check_items(collected.manifest, collected.store, SPEC, known=known)
        assert checked.failed == 0
        build_zip(collected.input(checked), PackagePlace(exports, name))
    assert exports.read("l") == exports.read("r") == exports.read("u")


def test_an_altered_segment_fails_only_its_damaged_items(store: S3Store) -> None:
    """A segment with another ETag is read; a lost segment fails all of its items."""
    collected = Collected(store)
    first, second, _ = collected.known
    key = store_keys.segment_key(JOB, first)
    data = bytearray(store.read(key))
    data[collected.rows[5]["offset"]] ^= 1
    store.delete(f"{JOB}/segments/0001/")
    for name in collected.known:
        if name not in (first, second):
            Collected.__init__(collected, store)
    store.delete(f"{JOB}/segments/0001/")
    store.create(key, data)
    failed = [row for row, _, _ in check_items(
        collected.manifest, store, SPEC, known=collected.known).failures(collected.manifest)]  # fmt: skip
    assert failed == [5, *range(ITEMS, SEGMENTS * ITEMS)]


def test_a_segment_replaced_after_the_check(store: S3Store) -> None:
    """The copy requires the ETag that was checked."""
    collected = Collected(store)
    checked = check_items(collected.manifest, store, SPEC, known=collected.known)
    name = next(iter(collected.known))
    key = store_keys.segment_key(JOB, name)
    data = bytearray(store.read(key))
    data[1000] ^= 1
    writer = store.writer(key, replace=True)
    writer.write(data)
    writer.commit()
    with pytest.raises(CorruptSegment):
        build_zip(collected.input(checked), PackagePlace(store, "out.zip"))


def test_a_folder_in_a_bucket(store: S3Store) -> None:
    """A directory bag as objects, with SHA-512, is verified in its bucket."""
    collected, spec = Collected(store), replace(SPEC, sha512=True)
    checked = check_items(collected.manifest, store, spec, known=collected.known)
    built = build_directory(collected.input(checked, spec), PackagePlace(store, "bag"))
    found = verify("bag", store=store)
    assert (found.problems, found.items, found.fingerprint) == ([], SEGMENTS * ITEMS, built.fingerprint)
    store.delete("bag/data/0/")
    assert len(verify("bag", store=store).problems) > ITEMS


def test_the_common_bagger_agrees(tmp_path: Path) -> None:
    """`bagit` from PyPI accepts our bags, and we accept its, although it encodes % differently from RFC 8493."""
    target = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "-q", "--target", str(target), "bagit"]
    if subprocess.run(install, check=False, capture_output=True).returncode:
        pytest.skip("bagit cannot be installed here")
    code = "import bagit, sys; bagit.Bag(sys.argv[1]).validate()"
    collected, exports = Collected(DirectoryStore(tmp_path / "staging")), DirectoryStore(tmp_path / "exports")
    for row in collected.rows:
        row |= {name: row[name].replace("%", "\n\u00e9=") for name in ("item_id", "path", "original_path")}
    checked = check_items(collected.manifest, collected.store, replace(SPEC, sha512=True))
    assert not any(map(checked.keeps_header, range(len(collected.rows))))
    spec = replace(SPEC, sha512=True)
    build_directory(collected.input(checked, spec), PackagePlace(exports, "ours"))
    environment = {"PYTHONPATH": str(target)}
    ours = [sys.executable, "-c", code, exports.locate("ours")]
    assert subprocess.run(ours, check=False, env=environment).returncode == 0
    theirs = tmp_path / "theirs"
    (theirs / "sub").mkdir(parents=True)
    for name in ("a.txt", "sub/new\nline", "100%.txt", "50%25.txt", "é"):
        (theirs / name).write_text(name)
    make = [sys.executable, "-c", "import bagit, sys; bagit.make_bag(sys.argv[1])", str(theirs)]
    assert subprocess.run(make, check=False, env=environment).returncode == 0
    assert verify(theirs).problems == []
