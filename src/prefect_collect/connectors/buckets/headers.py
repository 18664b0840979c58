"""What the headers of all clouds have in common: an answer with a range of an object, and the form of checksums."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterable
from typing import Final

from prefect_collect.connectors.http.headers import modified_of, plain_etag, whole_number
from prefect_collect.connectors.http.pace import RETRY_AFTER
from prefect_collect.sources import Content, Item

RANGE: Final = frozenset({b"content-range", b"etag", b"last-modified", RETRY_AFTER})
"""The headers that `range_of` reads."""


def range_of(headers: dict[bytes, str], chunks: Iterable[bytes], item: Item) -> Content:
    """Return the content of a 206 response: size, time and ETag are of the whole object, and no checksum is."""
    return Content(
        chunks,
        size=whole_number(headers.get(b"content-range", "").rpartition("/")[2]),
        modified=modified_of(headers.get(b"last-modified"), item.modified),
        etag=plain_etag(headers.get(b"etag")),
    )


def digest_of(text: str | None, size: int) -> bytes | None:
    """Return the checksum of so many bytes that a header states in base64; None if it states none, or another text."""
    if not text:
        return None
    try:
        digest = b64decode(text, validate=True)
    except ValueError:
        return None
    return digest if len(digest) == size else None
