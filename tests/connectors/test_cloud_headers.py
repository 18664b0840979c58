"""What the response headers of Google's and Azure's buckets state of an object's bytes."""

from __future__ import annotations

import pytest

from prefect_collect.connectors.http.engine import Answer
from prefect_collect.connectors.object_store.headers import WANTED, content_of
from prefect_collect.sources import Item

CRC, MD5 = "crc32c=n03x6A==", "md5=Ojk9c3dhfxgoKVVHYwFbHQ=="
BOTH = 0x9F4DF1E8, bytes.fromhex("3a393d7377617f18282955476301 5b1d")


@pytest.mark.parametrize(
    ("lines", "stated"),
    [
        ([f"x-goog-hash: {CRC},{MD5}"], (BOTH[0], None)),
        ([f"x-goog-hash: {CRC}", "x-goog-generation: 1", f"X-Goog-Hash: {MD5}"], (BOTH[0], None)),
        ([f"x-goog-hash: {MD5}"], (None, BOTH[1])),
        ([f"x-goog-hash: {CRC}", "x-goog-component-count: 3"], (BOTH[0], None)),
        (["x-goog-hash: crc32c=n03x,md5=none"], (None, None)),
        ([f"x-goog-hash: {CRC}", "content-encoding: gzip", "x-goog-stored-content-encoding: gzip"], (BOTH[0], None)),
        ([f"x-goog-hash: {CRC}", "x-goog-stored-content-encoding: identity"], (BOTH[0], None)),
        ([f"x-goog-hash: {CRC}", "x-goog-stored-content-encoding: gzip"], (None, None)),
        (["x-ms-blob-type: BlockBlob", "Content-MD5: Ojk9c3dhfxgoKVVHYwFbHQ=="], (None, BOTH[1])),
        (["x-ms-blob-type: BlockBlob"], (None, None)),
        (["x-ms-blob-type: PageBlob", "Content-MD5: Ojk9c3dhfxgoKVVHYwFbHQ=="], (None, None)),
    ],
)
def test_checksums(lines: list[str], stated: tuple[int | None, bytes | None]) -> None:
    """They are those of the bytes that are sent, in one header or several; what may be of other bytes is none.

    Of two, the CRC-32C is taken. Of other bytes may be that of an object which Google unpacks, or of a blob which is
    written to in place.
    """
    answer = Answer([b"HTTP/1.1 200 OK", *(line.encode() for line in lines)])
    status, headers = answer.head(WANTED)
    content = content_of(headers, (), Item("a", "a"))
    assert (status, content.crc32c, content.md5) == (200, *stated)
