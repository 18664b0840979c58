"""Objects in S3 buckets: odd keys, prefixes, pages, streams and what they state."""

from __future__ import annotations

import hashlib
import os
import threading
import zlib
from dataclasses import replace

import pytest
from prefect_aws import AwsCredentials
from pydantic import SecretStr

from prefect_collect.blocks import ObjectStoreSource
from prefect_collect.connectors.files.tree import decode_id
from prefect_collect.errors import SourceError
from prefect_collect.sources import Content, Item
from prefect_collect.sources.listing import items_of
from tests.integration.connectors.s3_sources import Proxies, failing, fill, read, source_at
from tests.integration.servers import MOTO_PAGE, S3Server

pytestmark = pytest.mark.integration
ODD = [
    "plain", "sp ace", "plus+", "per%cent", "%41", "amp&x", "q?x=1", "hash#x", "q\"uote'", "new\nline", "é/ü", "日本",
    "=cmd()", "back\\slash", "tab\tx", "star*", "(a)", "semi;x", "colon:x", "at@x", "comma,x", "!", "$x", "[b]", "{c}",
    "a|b", "^", "`", "~t", "bytes:x", "k" * 255,
]  # fmt: skip
PATHS = ["a//b", "/abs", "x/../y", "x/./y", "..", "../up", "a/", "."]


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
    before = {*threading.enumerate()}
    with source.open(item) as content:
        next(iter(content.chunks))
    assert not [thread for thread in threading.enumerate() if thread.name == "stream" and thread not in before]
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
