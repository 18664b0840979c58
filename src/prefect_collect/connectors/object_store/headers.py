"""The content that the response headers of Google Cloud Storage and Azure Blob Storage describe.

A checksum that they state of a whole object is compared with that of the bytes that arrive. Google states a CRC-32C of
every object, and an MD5 of most; both are of the object as it is kept, and the ETag ties it to the listing. So the MD5
would prove nothing more, and would take nearly as much time as all the rest of a large object (0.85 times its processor
time, in one run); it is compared where there is no CRC-32C. Azure has only the MD5.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from prefect_collect.connectors.buckets.headers import digest_of
from prefect_collect.connectors.http.headers import http_date, modified_of, plain_etag, whole_number
from prefect_collect.connectors.http.pace import RETRY_AFTER
from prefect_collect.sources import Content, Item
from prefect_collect.sources.created import known_creation
from prefect_collect.sources.metadata import CREATED

_CREATED: Final = b"x-ms-creation-time"
_HASHES: Final = b"x-goog-hash"
_PACKED: Final = b"content-encoding", b"x-goog-stored-content-encoding"
_MD5, _KIND = b"content-md5", b"x-ms-blob-type"

WANTED: Final = frozenset(
    {b"content-length", b"etag", b"last-modified", b"x-ms-error-code", RETRY_AFTER, _CREATED, _HASHES, *_PACKED, _MD5}
    | {_KIND}
)
"""The response headers that describe an object or an error; the others are ignored."""

_NOT_PACKED: Final = ("", "identity")


def content_of(headers: dict[bytes, str], chunks: Iterable[bytes], item: Item) -> Content:
    """Return the content of an answer with the whole object, or to a HEAD."""
    created = None if item.created is not None else known_creation(http_date(headers.get(_CREATED, "")))
    return Content(
        chunks,
        size=whole_number(headers.get(b"content-length", "")),
        modified=modified_of(headers.get(b"last-modified"), item.modified),
        etag=plain_etag(headers.get(b"etag")),
        metadata=None if created is None else {CREATED: created.isoformat()},
        **_checksums(headers),
    )


def _checksums(headers: dict[bytes, str]) -> dict[str, Any]:
    """Return the checksums of the bytes that are sent, by the fields of `Content`.

    Google states those of the object as it keeps it, also where it sends it unpacked. Azure keeps what its users state,
    and that of an append or page blob may be of the bytes that it had before it was last written to.
    """
    found: dict[str, Any] = {}
    sent, kept = (headers.get(name, "").lower() for name in _PACKED)
    if kept == sent or kept in _NOT_PACKED:
        stated = dict(pair.strip().partition("=")[::2] for pair in headers.get(_HASHES, "").split(","))
        if digest := digest_of(stated.get("crc32c"), 4):
            found["crc32c"] = int.from_bytes(digest, "big")
        else:
            found["md5"] = digest_of(stated.get("md5"), 16)
    if headers.get(_KIND) == "BlockBlob":
        found["md5"] = digest_of(headers.get(_MD5), 16)
    return found
