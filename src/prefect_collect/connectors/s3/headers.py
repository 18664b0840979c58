"""What S3's response headers say of an object.

Each checksum that they state, and the MD5 that most ETags are, is computed of what arrives and compared. What that
costs, measured on one core of a server: the MD5 1.5 s of CPU per GB (0.66 GB/s) and 5 µs per object of 2 KB, beside the
0.64 s per GB of the SHA-256 that every item gets; CRC-32 and CRC-64/NVME 0.08 s per GB. The MD5 is computed where a CRC
is stated, too: S3 states one for nearly every object, but of what it sends, and only the ETag was listed.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

from prefect_collect.sources import Content, Item

_MONTHS: Final = {
    name: n
    for n, name in enumerate(("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"), 1)
}
_HEX32: Final = re.compile(r"[0-9a-fA-F]{32}")
_OF_PARTS: Final = re.compile(r"-[0-9]+\Z")
"""How the ETag of a multipart upload ends: with the number of its parts."""

_CHECKSUMS: Final = {
    f"x-amz-checksum-{name}".encode(): (name, size)
    for name, size in (("crc32", 4), ("crc32c", 4), ("crc64nvme", 8), ("sha1", 20), ("sha256", 32))
}
"""Headers with checksums, each with the field of `Content` that it fills, and its bytes
(https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html)."""

_DIGITS: Final = 18
"""Digits of the largest size; all numbers of so many fit into 63 bits."""

_SECOND: Final = timedelta(seconds=1)


def content_of(said: dict[bytes, str], chunks: Iterable[bytes], item: Item) -> Content:
    """The content that a 200 response announces by its headers.

    An ETag is taken for an MD5 only where S3 makes it one: not for multipart uploads (which have a dash), nor with
    SSE-KMS or SSE-C. The listing's is taken where the response brings none; one that it brings is compared with the
    listing's.
    """
    etag = plain_etag(said.get(b"etag"))
    known = etag or (item.etag if item.is_current else None)
    is_md5 = known and _HEX32.fullmatch(known) and not _encrypted(said)
    return Content(
        chunks,
        size=whole_number(said.get(b"content-length", "")),
        modified=_modified(said.get(b"last-modified"), item),
        etag=etag,
        md5=bytes.fromhex(known) if known and is_md5 else None,
        **_checksums(said, etag, item.etag),
    )


def _checksums(said: dict[bytes, str], *etags: str | None) -> dict[str, Any]:
    """The checksums of the whole object, by the fields of `Content`; one of a multipart upload's parts is none.

    Servers that do not say which it is (Garage) may give either of an object whose ETag is a multipart upload's.
    """
    of = said.get(b"x-amz-checksum-type", "").upper()
    if of != "FULL_OBJECT" and (of or any(etag and _OF_PARTS.search(etag) for etag in etags)):
        return {}
    found: dict[str, Any] = {}
    for header, (name, size) in _CHECKSUMS.items():
        if digest := _digest(said.get(header), size):
            found[name] = int.from_bytes(digest, "big") if name.startswith("crc") else digest
    return found


def whole_number(text: str) -> int | None:
    """A size as text; None for what no file's size can be."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _DIGITS else None


def plain_etag(etag: str | None) -> str | None:
    """An ETag without its quotes; None if there is none."""
    return etag.removeprefix("W/").strip('"') or None if etag else None


def _encrypted(said: dict[bytes, str]) -> bool:
    return b"x-amz-server-side-encryption-customer-algorithm" in said or said.get(
        b"x-amz-server-side-encryption", ""
    ).startswith("aws:kms")


def _digest(text: str | None, size: int) -> bytes | None:
    """A checksum; None for one of a multipart upload's parts, which ends in a dash and their number."""
    if not text:
        return None
    try:
        digest = b64decode(text, validate=True)
    except ValueError:
        return None
    return digest if len(digest) == size else None


def _modified(text: str | None, item: Item) -> datetime | None:
    """Last-Modified; the listing's time, which may be finer, if it is the same but for the part of a second."""
    stated = http_date(text) if text else None
    if stated is not None and item.modified is not None and abs(stated - item.modified) < _SECOND:
        return item.modified
    return stated


@lru_cache(maxsize=1024)
def http_date(text: str) -> datetime | None:
    """A date such as ``Sun, 06 Nov 1994 08:49:37 GMT`` (RFC 9110, IMF-fixdate); None if it is not one."""
    words = text.split()
    try:
        hour, minute, second = words[4].split(":")
        return datetime(
            int(words[3]), _MONTHS[words[2]], int(words[1]), int(hour), int(minute), int(second), tzinfo=UTC
        )
    except (IndexError, KeyError, ValueError, OverflowError):
        return None
