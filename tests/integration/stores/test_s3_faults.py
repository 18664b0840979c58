"""S3 stores whose servers lose answers, throttle, break off, hang or refuse."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from prefect_collect.errors import (
    CorruptSegment,
    KeyExists,
    StoreAccessDenied,
    StoreError,
    StoreFull,
    StoreNameTooLong,
    StoreQuotaExceeded,
    StoreTooLarge,
    StoreUnavailable,
    StoreUnsafe,
)
from prefect_collect.stores import S3Store
from tests.integration.faults import FaultProxy
from tests.integration.servers import S3Server
from tests.integration.stores.s3_stores import store_at
from tests.stores.patterned import MIB, patterned

pytestmark = pytest.mark.integration


def test_own_create_is_recognised_after_a_lost_answer(store: S3Store, proxy: FaultProxy) -> None:
    """The PUT arrived, its answer did not, and the repetition is refused.

    The object is our own, so the create succeeds.
    """
    proxy.lose_answer(1, method="PUT")
    assert store.create("k", b"mine").size == 4
    assert proxy.count("PUT") == 2
    assert store.read("k") == b"mine"


def test_others_create_is_recognised_after_a_lost_answer(store: S3Store, proxy: FaultProxy) -> None:
    """If another writer already had the key, it is KeyExists, even after lost answers."""
    store.create("k", b"theirs")
    proxy.lose_answer(1, method="PUT")
    with pytest.raises(KeyExists):
        store.create("k", b"mine")
    assert store.read("k") == b"theirs"


def test_own_multipart_upload_is_recognised_after_a_lost_answer(store: S3Store, proxy: FaultProxy) -> None:
    """The same holds for the end of a large upload, which the server forgets once it is completed."""
    writer = store.writer("large")
    writer.write(b"x" * (40 * MIB))
    proxy.lose_answer(1, method="POST", path="uploadId=")
    assert writer.commit().size == 40 * MIB
    assert store.stat("large").size == 40 * MIB


def test_writers_that_meet_try_again(store: S3Store, proxy: FaultProxy) -> None:
    """S3 answers 409 to conditional creates that collide: they are repeated, but not for ever, and overwrite none."""
    conflict: dict[str, Any] = {"status": 409, "code": "ConditionalRequestConflict", "method": "PUT"}
    store.require_exclusive_creates()
    proxy.clear()
    proxy.fail_next(2, **conflict)
    store.create("k", b"mine")
    assert (proxy.count("PUT"), store.read("k")) == (3, b"mine")
    proxy.clear()
    proxy.fail_next(1, **conflict)
    with pytest.raises(KeyExists):
        store.create("k", b"later")
    assert (proxy.count("PUT"), store.read("k")) == (1, b"mine")
    proxy.clear()
    proxy.fail_next(1000, **conflict)
    with pytest.raises(StoreUnavailable, match="other writes to it"):
        store.create("other", b"mine")
    assert proxy.count("PUT") == 6


def test_throttling_for_a_while_is_waited_out(store: S3Store, proxy: FaultProxy) -> None:
    """A few SlowDown answers to each operation cost only time."""
    proxy.fail_next(2, method="PUT")
    store.create("k", b"data")
    proxy.fail_next(2, status=500, code="InternalError", method="GET")
    assert store.read("k") == b"data"
    proxy.fail_next(2, method="GET", path="list-type")
    assert [blob.key for blob in store.list()] == ["k"]
    proxy.fail_next(2, method="POST")
    assert store.delete("k/") == 0


def test_throttling_to_the_last_try(store: S3Store, proxy: FaultProxy) -> None:
    """A server that stays busy is unavailable, which is a temporary error, and the message names the server."""
    proxy.fail_next(100)
    with pytest.raises(StoreUnavailable, match=r"SlowDown.*\[s3://.*/p/k\]$") as caught:
        store.create("k", b"data")
    assert caught.value.transient


def test_server_down_and_up_again(store: S3Store, proxy: FaultProxy) -> None:
    """A server that refuses connections is unavailable; when it is back, the same store works."""
    proxy.down()
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        store.create("k", b"data")
    proxy.up()
    store.create("k", b"data")
    assert store.read("k") == b"data"


def test_connections_that_break(store: S3Store, proxy: FaultProxy) -> None:
    """A connection that is reset before the answer is tried again."""
    proxy.drop_next(2)
    store.create("k", b"data")
    proxy.drop_next(2)
    assert store.read("k") == b"data"


def test_bodies_that_break_off(store: S3Store, proxy: FaultProxy) -> None:
    """A body that ends early is fetched again; if it always does, that is an error, and never short data."""
    data = patterned(MIB)
    store.create("k", data)
    proxy.truncate_next(2)
    assert store.read("k") == data
    proxy.truncate_next(1)
    assert store.open("k").read() == data
    proxy.truncate_next(1)
    assert store.read("k", 5, 1000) == data[5:1000]
    proxy.truncate_next(100)
    with pytest.raises(StoreUnavailable):
        store.read("k")


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (403, "AccessDenied", StoreAccessDenied),
        (403, "InvalidAccessKeyId", StoreAccessDenied),
        (507, "XMinioStorageFull", StoreFull),
        (403, "QuotaExceeded", StoreQuotaExceeded),
        (400, "EntityTooLarge", StoreTooLarge),
        (400, "KeyTooLongError", StoreNameTooLong),
        (400, "SomethingNew", StoreError),
        (501, "NotImplemented", StoreUnsafe),
    ],
)
def test_answers_are_mapped(store: S3Store, proxy: FaultProxy, status: int, code: str, kind: type[StoreError]) -> None:
    """Every answer becomes the matching store error, with its cause chained."""
    proxy.fail_next(1, status=status, code=code, method="PUT")
    with pytest.raises(StoreError) as caught:
        store.create("k", b"x")
    assert type(caught.value) is kind
    assert caught.value.__cause__ is not None


def test_wrong_credentials(seaweedfs: S3Server) -> None:
    """Wrong keys are refused at every operation, and appear in no message."""
    for access, secret in ((seaweedfs.access_key, "hidden-secret"), ("unknown", "hidden-secret")):
        wrong = S3Server(seaweedfs.name, seaweedfs.url, access, secret)
        store = store_at(wrong, seaweedfs.new_bucket())
        for use in (
            lambda store=store: store.create("k", b"x"),
            lambda store=store: store.read("k"),
            lambda store=store: list(store.list()),
            lambda store=store: store.require_exclusive_creates(),
        ):
            with pytest.raises(StoreAccessDenied) as caught:
                use()
            assert "hidden-secret" not in f"{caught.value}{caught.value.__cause__}{store!r}"


def test_no_credentials(
    seaweedfs: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Without any credentials the message says that there are none."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    empty = tmp_path_factory.mktemp("aws") / "none"
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(empty))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(empty))
    store = S3Store("bucket", endpoint_url=seaweedfs.url)
    with pytest.raises(StoreAccessDenied, match="No credentials"):
        store.create("k", b"x")
    with pytest.raises(StoreAccessDenied, match="No credentials"):
        store.link("k")


def test_credentials_from_the_environment(seaweedfs: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a session the keys and the server's address come from the environment, as for all AWS tools."""
    for name, value in seaweedfs.environment().items():
        monkeypatch.setenv(name, value)
    store = S3Store(seaweedfs.new_bucket(), "x")
    store.create("k", b"x")
    assert store.read("k") == b"x"


def test_no_such_bucket(seaweedfs: S3Server, moto: S3Server) -> None:
    """A bucket that does not exist is named, and distinguished from a missing key if S3 does so."""
    store = store_at(moto, "no-such-bucket")
    for use in (lambda: store.create("k", b"x"), lambda: store.read("k"), lambda: list(store.list())):
        with pytest.raises(StoreError, match="no such bucket"):
            use()


def test_server_without_conditional_creates_is_refused(rclone: S3Server) -> None:
    """``rclone serve s3`` lets every writer overwrite: refused, unless the user vouches for a single writer."""
    bucket = rclone.new_bucket()
    with pytest.raises(StoreUnsafe, match=r"single_writer.*\[s3://"):
        store_at(rclone, bucket).require_exclusive_creates()
    store = store_at(rclone, bucket, single_writer=True)
    store.require_exclusive_creates()
    store.create("k", b"first")
    with pytest.raises(KeyExists):
        store.create("k", b"second")
    writer = store.writer("k")
    writer.write(b"third")
    with pytest.raises(KeyExists):
        writer.commit()
    assert store.read("k") == b"first"
    assert [blob.key for blob in store.list()] == ["k"]


def test_safety_is_found_out_once(store: S3Store, proxy: FaultProxy) -> None:
    """The probe is sent once per process and bucket, by whichever thread is first."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: store.require_exclusive_creates(), range(8)))
    assert proxy.count("PUT", "prefect-collect-probe") == 2


def test_an_error_while_probing_is_no_verdict(store: S3Store, proxy: FaultProxy) -> None:
    """A server that is down at the first probe is probed again."""
    proxy.down()
    with pytest.raises(StoreUnavailable):
        store.require_exclusive_creates()
    proxy.up()
    store.require_exclusive_creates()


def test_object_replaced_while_it_is_read(store: S3Store) -> None:
    """A reader of a large object never mixes two versions of it."""
    store.create("k", patterned(20 * MIB))
    with store.open("k") as file:
        file.read(10)
        writer = store.writer("k", replace=True)
        writer.write(patterned(20 * MIB, 7))
        writer.commit()
        with pytest.raises(CorruptSegment, match="replaced"):
            file.read()


def test_few_requests_are_made_to_read(store: S3Store, proxy: FaultProxy) -> None:
    """A small object is opened and read with one request; a large one is read to the end with two."""
    store.create("small", patterned(MIB))
    store.create("large", patterned(20 * MIB))
    proxy.clear()
    assert store.open("small").read() == patterned(MIB)
    assert proxy.count() == 1
    proxy.clear()
    with store.open("large") as file:
        assert file.read() == patterned(20 * MIB)
    assert proxy.count() == 2
    proxy.clear()
    with store.open("large") as file:
        while file.read(100_000):
            pass
        assert proxy.count() < 10
        file.seek(10 * MIB)
        before = proxy.bytes_down
        file.read(100)
        assert proxy.bytes_down - before <= MIB


def test_hanging_server_does_not_stop_others(store: S3Store, proxy: FaultProxy) -> None:
    """One request that hangs delays only itself."""
    store.create("a", b"a")
    proxy.hang_next(1, path="/hangs")
    thread = threading.Thread(target=lambda: store.create("hangs", b"x"), daemon=True)
    thread.start()
    assert store.read("a") == b"a"
    proxy.release()
    thread.join()
    assert store.read("hangs") == b"x"
