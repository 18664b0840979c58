"""What S3's response headers say of an object."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

from prefect_collect.items import Content, Item

_MONTHS: Final = {
    name: n
    for n, name in enumerate(("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"), 1)
}
_HEX32: Final = re.compile(r"[0-9a-fA-F]{32}")
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
    SSE-KMS or SSE-C. The listing's is taken where the response brings none. Where it brings one, which is compared with
    the listing's, and a checksum of the whole object beside it, that checksum is enough: an MD5 costs more than all
    others together.
    """
    etag = plain_etag(said.get(b"etag"))
    known = etag or (item.etag if item.is_current else None)
    stated = _checksums(said)
    is_md5 = known and _HEX32.fullmatch(known) and not _encrypted(said) and not (etag and stated)
    return Content(
        chunks,
        size=whole_number(said.get(b"content-length", "")),
        modified=_modified(said.get(b"last-modified"), item),
        etag=etag,
        md5=bytes.fromhex(known) if known and is_md5 else None,
        **stated,
    )


def _checksums(said: dict[bytes, str]) -> dict[str, Any]:
    """The checksums of the whole object, by the fields of `Content`; one of a multipart upload's parts is none."""
    if said.get(b"x-amz-checksum-type", "FULL_OBJECT").upper() != "FULL_OBJECT":
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
