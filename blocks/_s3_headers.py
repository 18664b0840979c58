"""What S3's response headers say of an object."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

from prefect_collect.items import Content, Item

_MONTHS: Final = {
    name: n
    for n, name in enumerate(("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"), 1)
}
_HEX32: Final = re.compile(r"[0-9a-fA-F]{32}")
_DIGITS: Final = 18
"""Digits of the largest size; all numbers of so many fit into 63 bits."""

_SECOND: Final = timedelta(seconds=1)


def content_of(said: dict[bytes, str], chunks: Iterable[bytes], item: Item) -> Content:
    """The content that a 200 response announces by its headers.

    An ETag is taken for an MD5 only where S3 makes it one: not for multipart uploads (which have a dash), nor with
    SSE-KMS or SSE-C. The listing's is taken where the response brings none, so that the MD5 is computed at the price of
    a response without an ETag only; a response with a CRC-32, SHA-256 or SHA-1 of the whole object is held to that
    instead. Its CRC-32C or CRC-64NVME is not compared: computed in Python they would cost more than reading the object.
    """
    etag = plain_etag(said.get(b"etag"))
    known = etag or (item.etag if item.is_current else None)
    checked = said.get(b"x-amz-checksum-type", "FULL_OBJECT").upper() == "FULL_OBJECT"
    crc32 = _digest(said.get(b"x-amz-checksum-crc32"), 4) if checked else None
    return Content(
        chunks,
        size=whole_number(said.get(b"content-length", "")),
        modified=_modified(said.get(b"last-modified"), item),
        etag=etag,
        crc32=None if crc32 is None else int.from_bytes(crc32, "big"),
        md5=bytes.fromhex(known) if known and _HEX32.fullmatch(known) and not _encrypted(said) else None,
        sha256=_digest(said.get(b"x-amz-checksum-sha256"), 32) if checked else None,
        sha1=_digest(said.get(b"x-amz-checksum-sha1"), 20) if checked else None,
    )


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
