"""Stores at Google and Azure whose servers lose answers, throttle, break off or refuse."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest

from prefect_collect.errors import (
    CorruptSegment,
    KeyExists,
    StoreAccessDenied,
    StoreError,
    StoreTooLarge,
    StoreUnavailable,
)
from prefect_collect.stores import AzureStore, CopyRange, GcsStore, _azure_bucket, _gcs_bucket
from prefect_collect.stores._cloud import CloudStore
from prefect_collect.stores._object_writer import ObjectWriter
from prefect_collect.threads.byte_budget import UPLOADS
from tests.integration.cloud_servers import Azurite, GcsServer, gcs_server
from tests.integration.faults import FaultProxy
from tests.integration.servers import free_port
from tests.stores.patterned import MIB, patterned

pytestmark = pytest.mark.integration


@dataclass
class Cloud:
    """A server behind a proxy."""

    proxy: FaultProxy
    server: Azurite | GcsServer

    def store(self) -> CloudStore:
        """Return a store in a new bucket, behind the proxy."""
        if isinstance(self.server, GcsServer):
            return GcsStore(self.server.new_bucket(), "p", access=self.server.access, endpoint_url=self.server.url)
        return AzureStore(self.server.new_container(), "p", access=self.server.access)

    def objects(self, store: CloudStore) -> list[str]:
        """Return the names of all objects in the store's bucket, by a client that is independent of the store."""
        if isinstance(self.server, GcsServer):
            return [blob.name for blob in self.server.client.list_blobs(store.bucket)]
        return list(self.server.service.get_container_client(store.bucket).list_blob_names())


@pytest.fixture(scope="module")
def clouds(azure: Azurite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Cloud]]:
    """Both servers, which the tests of this module share."""
    folder = tmp_path_factory.mktemp("clouds")
    with ExitStack() as stack:
        port = free_port()
        proxy = stack.enter_context(FaultProxy(f"http://127.0.0.1:{port}"))
        stack.enter_context(gcs_server(folder, public=urlsplit(proxy.url).netloc, port=port))
        before_azure = stack.enter_context(FaultProxy(azure.url))
        yield {"gs": Cloud(proxy, GcsServer(proxy.url)), "az": Cloud(before_azure, azure.at(before_azure.url))}


@pytest.fixture(params=["gs", "az"])
def cloud(request: pytest.FixtureRequest, clouds: dict[str, Cloud], monkeypatch: pytest.MonkeyPatch) -> Cloud:
    """Each server in turn, whose clients repeat requests without long pauses."""
    monkeypatch.setitem(_gcs_bucket.OPTIONS, "retry", _gcs_bucket.RETRY.with_delay(initial=0.01, maximum=0.01))
    monkeypatch.setattr(_gcs_bucket, "_SESSION_SECONDS", 0.5)
    for name, value in {"increment_base": 0, "random_jitter_range": 0, "retry_total": 3}.items():
        monkeypatch.setitem(_azure_bucket.RETRIES, name, value)
    found = clouds[request.param]
    found.proxy.clear()
    return found


CREATES = "uploadType=|^/[^?]*/k$|blocklist"
"""The requests that create an object."""


def test_own_create_is_recognised_after_a_lost_answer(cloud: Cloud) -> None:
    """The object arrived, the answer did not, and the repetition is refused: the object is our own."""
    store = cloud.store()
    cloud.proxy.lose_answer(1, method="PUT|POST", path=CREATES)
    assert store.create("k", b"mine").size == 4
    assert cloud.proxy.hits == 1
    assert store.read("k") == b"mine"


def test_others_create_is_recognised_after_a_lost_answer(cloud: Cloud) -> None:
    """If another writer already had the key, it is KeyExists, even after lost answers."""
    store = cloud.store()
    store.create("k", b"theirs")
    cloud.proxy.lose_answer(1, method="PUT|POST", path=CREATES)
    with pytest.raises(KeyExists):
        store.create("k", b"mine")
    assert store.read("k") == b"theirs"


def test_own_large_upload_is_recognised_after_a_lost_answer(cloud: Cloud) -> None:
    """The same holds for the end of a large upload; its parts are gone."""
    store = cloud.store()
    writer = store.writer("k")
    writer.write(b"x" * (17 * MIB))
    cloud.proxy.lose_answer(1, method="PUT|POST", path="comp=blocklist|/compose")
    assert writer.commit() == store.stat("k")
    assert cloud.proxy.hits == 1
    assert cloud.objects(store) == ["p/k"]


def test_throttling_and_broken_connections_are_waited_out(cloud: Cloud) -> None:
    """A few busy answers and broken connections cost only time, and bodies that break off are fetched again."""
    store = cloud.store()
    store.stat(store.create("before", b"").key)  # the client has its connection
    cloud.proxy.fail_next(2)
    store.create("k", patterned(MIB))
    cloud.proxy.drop_next(2)
    assert store.read("k") == patterned(MIB)
    cloud.proxy.truncate_next(1)
    assert store.read("k", 5, 1000) == patterned(MIB)[5:1000]
    cloud.proxy.truncate_next(1)
    assert store.read("k") == patterned(MIB)
    cloud.proxy.fail_next(2, status=500)
    assert [blob.key for blob in store.list()] == ["before", "k"]
    cloud.proxy.fail_next(1, status=503)
    assert store.delete("k/") == 0


def test_a_server_that_stays_busy_or_is_down(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are temporary errors that name the place; when the server is back, the same store works."""
    monkeypatch.setitem(_gcs_bucket.OPTIONS, "retry", _gcs_bucket.OPTIONS["retry"].with_timeout(0.5))
    store = cloud.store()
    cloud.proxy.fail_next(1000)
    with pytest.raises(StoreUnavailable, match=r"busy or failing.*/p/k\]$") as caught:
        store.create("k", b"data")
    assert caught.value.transient
    cloud.proxy.clear()
    cloud.proxy.down()
    try:
        with pytest.raises(StoreUnavailable, match=r"cannot be reached|connection .* broke"):
            store.create("k", b"data")
    finally:
        cloud.proxy.up()
    store.create("k", b"data")
    assert store.read("k") == b"data"


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [(401, "InvalidAuthenticationInfo", StoreAccessDenied), (403, "AuthorizationPermissionMismatch", StoreAccessDenied),
     (413, "RequestBodyTooLarge", StoreTooLarge), (400, "SomethingNew", StoreError), (409, "X", StoreUnavailable)],
)  # fmt: skip
def test_answers_are_mapped(cloud: Cloud, status: int, code: str, kind: type[StoreError]) -> None:
    """Every answer becomes the matching store error, with its cause chained."""
    store = cloud.store()
    cloud.proxy.fail_next(1, status=status, code=code, method="PUT|POST")
    with pytest.raises(StoreError) as caught:
        store.create("k", b"x")
    assert type(caught.value) is kind
    assert caught.value.__cause__ is not None


def test_failed_part_leaves_nothing(cloud: Cloud) -> None:
    """When a part cannot be uploaded, the writer raises, no object is left, and the memory of uploads is free again."""
    store = cloud.store()
    writer = store.writer("large")
    cloud.proxy.fail_next(1, status=403, code="AuthorizationFailure", method="PUT|POST", path="comp=block&|uploadType=")
    writer.write(b"x" * (17 * MIB))
    with pytest.raises(StoreAccessDenied):
        writer.commit()
    assert cloud.proxy.hits == 1
    assert cloud.objects(store) == []
    assert UPLOADS.reserved == 0


def test_a_part_whose_answer_is_lost(cloud: Cloud) -> None:
    """The part is sent again, and the object is whole."""
    store = cloud.store()
    data = patterned(17 * MIB)
    writer = store.writer("k")
    cloud.proxy.lose_answer(1, method="PUT", path="comp=block&|upload_id=")
    writer.write(data)
    writer.commit()
    assert cloud.proxy.hits == 1
    assert store.read("k") == data
    assert cloud.objects(store) == ["p/k"]


def test_no_such_bucket(cloud: Cloud) -> None:
    """A bucket that does not exist is named when something is written."""
    store = cloud.store()
    if isinstance(cloud.server, GcsServer):
        cloud.server.client.bucket(store.bucket).delete()
    else:
        cloud.server.service.delete_container(store.bucket)
    with pytest.raises(StoreError, match=r"no such (bucket|container)") as caught:
        store.create("k", b"x")
    assert not caught.value.transient


def test_composing_finds_a_replaced_segment(cloud: Cloud) -> None:
    """A segment that was replaced since the manifest was written is named, and no object appears."""
    store = cloud.store()
    mark = store.create("seg", patterned(MIB)).etag
    writer = store.writer("seg", replace=True)
    writer.write(patterned(MIB))
    writer.commit()
    with pytest.raises(CorruptSegment, match=r"replaced.*/seg\]$"):
        store.compose("out", [CopyRange("seg", 0, MIB, mark)], store)
    assert cloud.objects(store) == ["p/seg"]


def test_leftovers_of_a_killed_process(clouds: dict[str, Cloud]) -> None:
    """Parts that a killed process left in Google's storage are in no listing.

    They go with the next composition of the same key, or with the folder.
    """
    cloud = clouds["gs"]
    store = cloud.store()
    for key in ("job/seg/a", "job/seg/b", "other/c"):
        writer = store.writer(key)
        writer.write(b"x" * (17 * MIB))
        assert isinstance(writer, ObjectWriter)
        for sent in writer._sending:
            sent.result()
    assert (list(store.list()), list(store.folders())) == ([], [])
    left = [name for name in cloud.objects(store) if "/job/seg/" in name]
    assert left
    store.compose("job/seg/a", [b"new"], store)
    assert store.delete("job/seg/") == 1
    assert [name for name in cloud.objects(store) if "/job/" in name] == []


def test_more_parts_than_are_joined_at_once(clouds: dict[str, Cloud], monkeypatch: pytest.MonkeyPatch) -> None:
    """Google joins 32 objects at once; more parts are joined in steps, and nothing else is left."""
    monkeypatch.setattr("prefect_collect.stores._object_writer._GROWTH", ((10_000, 1000),))
    cloud = clouds["gs"]
    store = cloud.store()
    data = patterned(70_500)
    writer = store.writer("k")
    writer.write(data)
    blob = writer.commit()
    assert (store.read("k"), store.stat("k")) == (data, blob)
    assert cloud.objects(store) == ["p/k"]
