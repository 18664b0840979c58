"""S3 servers that refuse, fail, throttle, break off or hang, and objects that change after their listing."""

from __future__ import annotations

from concurrent.futures import wait
from dataclasses import replace

import pytest

from prefect_collect.blocks import ObjectStoreSource
from prefect_collect.codes import CANCELED
from prefect_collect.connectors.s3._sigv4 import Signer
from prefect_collect.errors import SourceError
from prefect_collect.sources import Content, Item
from prefect_collect.sources.listing import items_of
from prefect_collect.threads.pool import in_background
from prefect_collect.threads.stop import Stop, stopped_by
from tests.integration.connectors.s3_sources import Proxies, failing, fill, read, source_at
from tests.integration.servers import S3Server

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("access_key", ["wrong", None])
def test_wrong_credentials(seaweedfs: S3Server, access_key: str | None) -> None:
    """A wrong key or secret fails the listing as `bad_credentials`; the message names the bucket, but no secret."""
    bucket = fill(seaweedfs, ["a"])
    server = replace(seaweedfs, access_key=access_key or seaweedfs.access_key, secret_key="hush-hush")
    source = source_at(server, bucket)
    with pytest.raises(SourceError) as caught:
        list(items_of(source))
    failure = source.classify(caught.value)
    assert failure is not None
    assert (failure.code, failure.http_status) == ("bad_credentials", 403)
    assert failure.message.endswith(f"[s3://{bucket}/]")
    error = failing(source, Item("a", "a"))
    assert error.code == "bad_credentials"
    assert str(error).endswith(f"[s3://{bucket}/a]")
    assert "hush-hush" not in failure.message + str(error)


def test_no_credentials(seaweedfs: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any credentials the error says what to do; credentials in the environment are found."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    bucket = fill(seaweedfs, ["a"])
    source = ObjectStoreSource(url=f"s3://{bucket}", endpoint_url=seaweedfs.url)
    with pytest.raises(SourceError, match="set AWS_ACCESS_KEY_ID") as caught:
        list(items_of(source))
    assert caught.value.code == "bad_credentials"
    for name, value in seaweedfs.environment().items():
        monkeypatch.setenv(name, value)
    assert [item.id for item in items_of(source)] == ["a"]
    elsewhere = ObjectStoreSource(url=f"s3://{bucket}")  # The environment names the endpoint, too.
    ((_, got),) = elsewhere.read_many(items_of(elsewhere), 1)
    assert isinstance(got, Content)


def test_no_such_bucket(seaweedfs: S3Server) -> None:
    """A missing bucket is `not_found`, and the message says that it is the bucket."""
    source = source_at(seaweedfs, "no-such-bucket")
    with pytest.raises(SourceError, match="no such bucket") as caught:
        list(items_of(source))
    assert (caught.value.code, caught.value.http_status) == ("not_found", 404)


def test_object_deleted_after_listing(seaweedfs: S3Server) -> None:
    """A deleted object is `not_found`, and relisting it yields nothing."""
    bucket = fill(seaweedfs, ["dir/a"])
    source = source_at(seaweedfs, bucket, "dir/")
    (item,) = items_of(source)
    seaweedfs.client().delete_object(Bucket=bucket, Key="dir/a")
    error = failing(source, item)
    assert (error.code, error.http_status) == ("not_found", 404)
    assert "no such object" in str(error)
    assert str(error).endswith(f"[s3://{bucket}/dir/a]")
    with pytest.raises(SourceError, match="no such object"):
        read(source, item)
    assert list(source.relist(item)) == []


def test_object_changed_after_listing(seaweedfs: S3Server) -> None:
    """A changed object is read as it is now, with the new ETag, and relisting it states the new properties."""
    bucket = fill(seaweedfs, ["a"])
    source = source_at(seaweedfs, bucket)
    (item,) = items_of(source)
    seaweedfs.client().put_object(Bucket=bucket, Key="a", Body=b"changed")
    with source.open(item) as content:
        assert content.etag != item.etag
        assert b"".join(content.chunks) == b"changed"
    (now,) = source.relist(item)
    assert (now.size, now.etag) == (7, content.etag)


def test_server_down(moto: S3Server, fault_proxy: Proxies) -> None:
    """An unreachable server is `connection_lost`, for listing and for items."""
    bucket = fill(moto, ["a"])
    proxy = fault_proxy(moto)
    source = source_at(moto.at(proxy.url), bucket)
    proxy.down()
    with pytest.raises(SourceError) as caught:
        list(items_of(source))
    assert caught.value.code == "connection_lost"
    assert caught.value.transient
    assert failing(source, Item("a", "a")).code == "connection_lost"
    proxy.up()
    assert read(source, Item("a", "a")) == b"a"


@pytest.mark.parametrize(
    ("status", "name", "code"),
    [(503, "SlowDown", "throttled"), (500, "InternalError", "source_error")],
)
def test_server_errors(moto: S3Server, fault_proxy: Proxies, status: int, name: str, code: str) -> None:
    """Reads are tried once: the error comes with its status. Listing is retried until it works."""
    bucket = fill(moto, ["a"])
    proxy = fault_proxy(moto)
    source = source_at(moto.at(proxy.url), bucket)
    proxy.fail_next(2, status, name)
    (item,) = items_of(source)
    proxy.clear()
    proxy.fail_next(2, status, name)
    error = failing(source, item)
    assert (error.code, error.http_status, error.transient) == (code, status, True)
    with pytest.raises(SourceError) as caught:
        read(source, item)
    assert (caught.value.code, caught.value.http_status) == (code, status)
    assert proxy.count() == 2
    assert read(source, item) == b"a"


def test_throttled_share(moto: S3Server, fault_proxy: Proxies) -> None:
    """If a server throttles some of many requests, the others succeed, and no item is lost or doubled."""
    bucket = fill(moto, [f"{n:03}" for n in range(60)])
    proxy = fault_proxy(moto)
    source = source_at(moto.at(proxy.url), bucket)
    items = list(items_of(source))
    proxy.fail_next(1000, share=0.3)
    got = list(source.read_many(items, 8))
    assert sorted(item.id for item, _ in got) == [item.id for item in items]
    assert {error.code for _, error in got if isinstance(error, SourceError)} <= {"throttled"}


@pytest.mark.parametrize(("status", "pause"), [(503, 1), (429, None)])
def test_a_pause_that_the_server_states_costs_no_try(
    moto: S3Server, fault_proxy: Proxies, status: int, pause: int | None
) -> None:
    """Where a server says when to come back, or 429, listing and reads wait, and ask once more for each such answer."""
    bucket = fill(moto, ["a", "b", "c"])
    proxy = fault_proxy(moto)
    source = source_at(moto.at(proxy.url), bucket)
    proxy.fail_next(1, status, retry_after=pause)
    items = list(items_of(source))
    assert (len(items), proxy.count()) == (3, 2)
    proxy.clear()
    proxy.fail_next(3, status, retry_after=pause)
    got = source.read_many(items, 3)
    assert {item.id for item, each in got if not isinstance(each, Exception)} == {"a", "b", "c"}
    assert proxy.count() == 6
    proxy.clear()
    proxy.fail_next(1, status, retry_after=pause)
    assert read(source, items[0]) == b"a"
    assert proxy.count() == 2


def test_no_request_of_a_source_begins_within_a_pause(moto: S3Server, fault_proxy: Proxies) -> None:
    """After an answer of "slow down", no thread asks for another item of the source until the pause is over."""
    bucket = fill(moto, ["a", "b"])
    proxy = fault_proxy(moto)
    source = source_at(moto.at(proxy.url), bucket)
    first, second = items_of(source)
    proxy.clear()
    proxy.fail_next(1, 503, retry_after=601)  # longer than it is waited for
    assert failing(source, first).code == "throttled"
    stop = Stop()
    with stopped_by(stop):
        other = in_background(lambda: [*source.read_many([second], 1)])
    assert wait([other], 0.3).not_done
    stop.set(CANCELED)
    assert other.result(60) == []
    assert proxy.count() == 1


def test_an_open_object_holds_no_request(moto: S3Server, fault_proxy: Proxies) -> None:
    """Where a server allows one request at once, an object whose bytes are not yet read keeps no other from being read:
    a listing of what lies in objects waits for the items that it has found.
    """
    bucket = fill(moto, ["a", "b"])
    proxy = fault_proxy(moto)
    source = source_at(moto.at(proxy.url), bucket)
    first, second = items_of(source)
    for several in (False, True):
        with source.open(first), stopped_by(Stop()):
            proxy.fail_next(1, 429)  # one at once from now on
            if several:
                other = in_background(lambda: [got for _, got in source.read_many([second], 1)])
                assert not any(isinstance(got, Exception) for got in other.result(30))
            else:
                assert in_background(read, source, second).result(30) == b"b"


def test_a_listing_that_cannot_be_signed_holds_no_request(
    moto: S3Server, fault_proxy: Proxies, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A listing that fails before its request is sent leaves room for the next, where a server allows one at once."""
    bucket = fill(moto, ["a"])
    proxy = fault_proxy(moto)
    source = source_at(moto.at(proxy.url), bucket)
    proxy.fail_next(1, 429)
    assert [item.id for item in items_of(source)] == ["a"]

    def without_keys(*_: object, **__: object) -> list[str]:
        raise SourceError("No keys. [a]", code="bad_credentials")

    with monkeypatch.context() as broken:
        broken.setattr(Signer, "headers", without_keys)
        for _ in range(3):
            with pytest.raises(SourceError, match="No keys"):
                list(items_of(source))
    assert [item.id for item in items_of(source)] == ["a"]


@pytest.mark.parametrize("keep", [None, 0])
def test_truncated_body(moto: S3Server, fault_proxy: Proxies, keep: int | None) -> None:
    """A body that ends early is detected, read alone and with others."""
    bucket = moto.new_bucket()
    moto.client().put_object(Bucket=bucket, Key="a", Body=bytes(1 << 20))
    proxy = fault_proxy(moto)
    source = source_at(moto.at(proxy.url), bucket)
    (item,) = items_of(source)
    proxy.truncate_next(2, keep=keep)
    assert failing(source, item).code in ("truncated", "connection_lost")
    with pytest.raises(SourceError) as caught:
        read(source, item)
    assert caught.value.code in ("truncated", "connection_lost")
    assert caught.value.transient


def test_dropped_connection(moto: S3Server, fault_proxy: Proxies) -> None:
    """A reset connection is `connection_lost`, and the next try works."""
    bucket = fill(moto, ["a"])
    proxy = fault_proxy(moto)
    source = source_at(moto.at(proxy.url), bucket)
    (item,) = items_of(source)
    proxy.drop_next(2)
    assert failing(source, item).code == "connection_lost"
    with pytest.raises(SourceError) as caught:
        read(source, item)
    assert caught.value.code == "connection_lost"
    assert read(source, item) == b"a"


def test_hanging_server(moto: S3Server, fault_proxy: Proxies) -> None:
    """A read from a silent server fails after the read timeout."""
    bucket = fill(moto, ["a"])
    proxy = fault_proxy(moto)
    source = source_at(moto.at(proxy.url), bucket, read_timeout=1.0)
    (item,) = items_of(source)
    proxy.hang_next(2)
    assert failing(source, item).code == "timeout"
    with pytest.raises(SourceError) as caught:
        read(source, item)
    assert caught.value.code == "timeout"


def test_archived_object(moto: S3Server) -> None:
    """An object in an archive tier is `archived_object`, not `access_denied`."""
    bucket = moto.new_bucket()
    moto.client().put_object(Bucket=bucket, Key="cold", Body=b"x", StorageClass="GLACIER")
    source = source_at(moto, bucket)
    (item,) = items_of(source)
    error = failing(source, item)
    assert (error.code, error.http_status) == ("archived_object", 403)
