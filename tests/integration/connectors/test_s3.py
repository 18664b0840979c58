"""Buckets as data sources, on real S3 servers."""

from __future__ import annotations

import hashlib
import os
import threading
import zlib
from collections.abc import Callable
from dataclasses import replace

import pytest
from prefect_aws import AwsCredentials, MinIOCredentials
from pydantic import SecretStr

from prefect_collect.blocks import ObjectStoreSource
from prefect_collect.connectors.files.tree import decode_id
from prefect_collect.errors import SourceError
from prefect_collect.sources import Content, Item
from prefect_collect.sources.listing import items_of
from tests.integration.faults import FaultProxy
from tests.integration.servers import MOTO_PAGE, S3Server

pytestmark = pytest.mark.integration
Proxies = Callable[[S3Server], FaultProxy]

ODD = [
    "plain", "sp ace", "plus+", "per%cent", "%41", "amp&x", "q?x=1", "hash#x", "q\"uote'", "new\nline", "é/ü", "日本",
    "=cmd()", "back\\slash", "tab\tx", "star*", "(a)", "semi;x", "colon:x", "at@x", "comma,x", "!", "$x", "[b]", "{c}",
    "a|b", "^", "`", "~t", "bytes:x", "k" * 255,
]  # fmt: skip
PATHS = ["a//b", "/abs", "x/../y", "x/./y", "..", "../up", "a/", "."]


def source_at(server: S3Server, bucket: str, prefix: str = "", **fields: object) -> ObjectStoreSource:
    """Return a source with the server's keys."""
    keys = MinIOCredentials(minio_root_user=server.access_key, minio_root_password=SecretStr(server.secret_key))
    return ObjectStoreSource.model_validate(
        {
            "url": f"s3://{bucket}/{prefix}",
            "endpoint_url": server.url,
            "region": server.region,
            "credentials": keys,
            **fields,
        }
    )


def fill(server: S3Server, keys: list[str]) -> str:
    """Create a bucket with these keys, each with its own name as content; return the bucket."""
    bucket = server.new_bucket()
    client = server.client()
    for key in keys:
        client.put_object(Bucket=bucket, Key=key, Body=key.encode())
    return bucket


def read(source: ObjectStoreSource, item: Item) -> bytes:
    """Return an item's bytes, read by `open`."""
    with source.open(item) as content:
        return b"".join(content.chunks)


def failing(source: ObjectStoreSource, item: Item) -> SourceError:
    """Return the error of an item, which must be the same whether it is read alone or with others."""
    ((same, got),) = source.read_many([item], 4)
    assert same is item
    assert isinstance(got, SourceError), got
    return got


def test_odd_keys_are_signed_as_s3_does(seaweedfs: S3Server) -> None:
    """Every object is read from a server that checks signatures, whatever its key."""
    keys = [key for key in ODD if "\\" not in key]  # SeaweedFS treats a backslash as a slash.
    source = source_at(seaweedfs, fill(seaweedfs, keys))
    items = list(items_of(source))
    assert {item.id for item in items} == {key if key != "bytes:x" else "bytes:bytes%3Ax" for key in keys}
    for item, got in source.read_many(items, 8):
        assert isinstance(got, Content), got
        assert b"".join(got.chunks) == decode_id(item.id)
        assert (got.etag, got.size, got.modified) == (item.etag, item.size, item.modified)
    for item in items:
        assert read(source, item) == decode_id(item.id)
        assert [replace(now, expands=None) for now in source.relist(item)] == [item]


def test_keys_that_are_no_paths(moto: S3Server) -> None:
    """Keys with empty, dot and parent folders are listed and read as they are, without normalization."""
    keys = [key for key in [*ODD, *PATHS] if "\n" not in key]  # moto finds no route for a line break.
    source = source_at(moto, fill(moto, keys))
    items = list(items_of(source))
    assert sorted(decode_id(item.id).decode() for item in items) == sorted(keys)
    for item, got in source.read_many(items, 4):
        assert isinstance(got, Content), (item, got)
        assert b"".join(got.chunks) == decode_id(item.id)


def test_prefix(moto: S3Server) -> None:
    """A prefix selects the keys that begin with it; paths are relative to its folder."""
    bucket = fill(moto, ["mail/2024/1", "mail/2024-old/2", "mail/2023/3", "other"])
    for prefix, paths in (
        ("mail/2024", ["2024-old/2", "2024/1"]),
        ("mail/2024/", ["1"]),
        ("", ["mail/2023/3", "mail/2024-old/2", "mail/2024/1", "other"]),
        ("mail/2024/1", ["1"]),
        ("none", []),
    ):
        assert [item.path for item in items_of(source_at(moto, bucket, prefix))] == paths


def test_many_pages(moto: S3Server) -> None:
    """More objects than fit on a page are all listed and read, once each."""
    count = 3 * MOTO_PAGE + 5
    bucket = moto.new_bucket()
    client = moto.client()
    for number in range(count):
        client.put_object(Bucket=bucket, Key=f"{number:05}", Body=b"%d" % number)
    source = source_at(moto, bucket)
    got = [(item.id, content) for item, content in source.read_many(items_of(source), 16)]
    assert sorted(name for name, _ in got) == [f"{number:05}" for number in range(count)]
    for name, content in got:
        assert isinstance(content, Content)
        assert b"".join(content.chunks) == b"%d" % int(name)
        digest = hashlib.md5(b"%d" % int(name))
        assert content.crc32 == zlib.crc32(b"%d" % int(name))
        assert (content.etag, content.md5) == (digest.hexdigest(), digest.digest())  # beside the CRC


def test_large_object_streams(seaweedfs: S3Server) -> None:
    """A large object is read in pieces, completely, with the properties that the server states."""
    body = os.urandom(1 << 20) * 40
    bucket = seaweedfs.new_bucket()
    seaweedfs.client().put_object(Bucket=bucket, Key="large", Body=body)
    source = source_at(seaweedfs, bucket)
    (item,) = items_of(source)
    with source.open(item) as content:
        assert content.size == len(body)
        pieces = list(content.chunks)
    assert len(pieces) > 10
    assert hashlib.sha256(b"".join(pieces)).digest() == hashlib.sha256(body).digest()


def test_stream_stops_when_closed(seaweedfs: S3Server) -> None:
    """A reader that stops early leaves no thread, and the next one reads correctly."""
    body = bytes(40 << 20)
    bucket = seaweedfs.new_bucket()
    seaweedfs.client().put_object(Bucket=bucket, Key="large", Body=body)
    source = source_at(seaweedfs, bucket)
    (item,) = items_of(source)
    with source.open(item) as content:
        next(iter(content.chunks))
    assert not [thread for thread in threading.enumerate() if thread.name == "stream"]
    assert len(read(source, item)) == len(body)


def test_read_many_stops_when_closed(moto: S3Server) -> None:
    """A batch that is stopped early takes no more items, and the next batch works."""
    source = source_at(moto, fill(moto, [f"{n:03}" for n in range(50)]))
    items = list(items_of(source))
    taken: list[Item] = []
    reading = source.read_many((taken.append(item) or item for item in items), 4)
    next(reading)
    reading.close()  # type: ignore[attr-defined]
    assert len(taken) <= 8
    assert sum(isinstance(got, Content) for _, got in source.read_many(items, 4)) == 50


def test_empty_objects_and_markers(moto: S3Server) -> None:
    """An object of 0 bytes is an item; a folder marker of 0 bytes is skipped."""
    bucket = moto.new_bucket()
    for key in ("folder/", "empty"):
        moto.client().put_object(Bucket=bucket, Key=key, Body=b"")
    source = source_at(moto, bucket)
    empty, marker = items_of(source)
    assert read(source, empty) == b""
    assert marker.skipped is not None
    assert marker.skipped.code == "empty_folder"
    assert [now.skipped for now in source.relist(marker)] == [marker.skipped]


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


def test_anonymous(seaweedfs: S3Server) -> None:
    """An anonymous source sends no credentials, so a private bucket refuses it."""
    bucket = fill(seaweedfs, ["a"])
    source = ObjectStoreSource(url=f"s3://{bucket}", endpoint_url=seaweedfs.url, anonymous=True)
    with pytest.raises(SourceError) as caught:
        list(items_of(source))
    assert caught.value.code == "access_denied"
    assert failing(source, Item("a", "a")).code == "access_denied"


def test_anonymous_reads_what_is_public(moto: S3Server) -> None:
    """An anonymous source lists and reads a public bucket."""
    bucket = moto.new_bucket()
    moto.client().put_object(Bucket=bucket, Key="a", Body=b"a", ACL="public-read")
    source = ObjectStoreSource(url=f"s3://{bucket}", endpoint_url=moto.url, anonymous=True)
    (item,) = items_of(source)
    assert read(source, item) == b"a"


def test_aws_credentials_with_token(moto: S3Server, fault_proxy: Proxies) -> None:
    """An AwsCredentials block with a session token is used."""
    keys = AwsCredentials(
        aws_access_key_id="a", aws_secret_access_key=SecretStr("b"), aws_session_token="t", region_name="eu-west-1"
    )
    source = source_at(moto, fill(moto, ["a"]), credentials=keys, region=None)
    (item,) = items_of(source)
    assert read(source, item) == b"a"


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
    [(503, "SlowDown", "throttled"), (429, "TooManyRequests", "throttled"), (500, "InternalError", "source_error")],
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


@pytest.mark.parametrize("keep", [None, 0])
def test_truncated_body(moto: S3Server, fault_proxy: Proxies, keep: int | None) -> None:
    """A body that ends early is detected, read alone and with others."""
    bucket = moto.new_bucket()
    moto.client().put_object(Bucket=bucket, Key="a", Body=bytes(3 << 20))
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


def test_checksums_are_asked_for(seaweedfs: S3Server) -> None:
    """The content has the checksum of the whole object that the server stores."""
    bucket = seaweedfs.new_bucket()
    seaweedfs.client().put_object(Bucket=bucket, Key="a", Body=b"hello", ChecksumAlgorithm="CRC32")
    source = source_at(seaweedfs, bucket)
    with source.open(next(items_of(source))) as content:
        list(content.chunks)
    assert content.crc32 in (0x3610A686, None)
    assert content.md5 == hashlib.md5(b"hello").digest()
    seaweedfs.client().put_object(Bucket=bucket, Key="b", Body=b"hello", ChecksumAlgorithm="SHA256")
    ((_, got),) = source.read_many([Item("b", "b")], 1)
    assert isinstance(got, Content)
    assert got.sha256 in (hashlib.sha256(b"hello").digest(), None)


def test_several_threads(moto: S3Server) -> None:
    """One source can be read in several threads at once."""
    source = source_at(moto, fill(moto, [f"{n:03}" for n in range(40)]))
    items = list(items_of(source))
    counts: list[int] = []
    threads = [
        threading.Thread(
            target=lambda: counts.append(sum(isinstance(got, Content) for _, got in source.read_many(items, 4)))
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == [40] * 4
