"""The headers of an answer with a range of an object."""

from __future__ import annotations

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
