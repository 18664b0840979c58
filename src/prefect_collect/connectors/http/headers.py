"""The values of HTTP's headers: sizes, entity tags and dates (RFC 9110)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

_MONTHS: Final = {
    name: n
    for n, name in enumerate(("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"), 1)
}
_DIGITS: Final = 18
"""The most digits of a size; every number with so many fits into 63 bits."""

_SECOND: Final = timedelta(seconds=1)


def whole_number(text: str) -> int | None:
    """Return the size that a text states; None if it cannot be a size."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _DIGITS else None


def plain_etag(etag: str | None) -> str | None:
    """Return an ETag without its quotes, and without the mark of a weak one; None if there is none.

    Some servers list ETags without quotes, and a hash may begin as the mark does.
    """
    if not etag:
        return None
    return (etag[2:] if etag.startswith('W/"') else etag).strip('"') or None


def modified_of(text: str | None, listed: datetime | None) -> datetime | None:
    """Return the time of Last-Modified; the listing's, which may be finer, if the two differ by less than a second."""
    stated = http_date(text) if text else None
    if stated is not None and listed is not None and abs(stated - listed) < _SECOND:
        return listed
    return stated


@lru_cache(maxsize=1024)
def http_date(text: str) -> datetime | None:
    """Return the time of a date such as ``Sun, 06 Nov 1994 08:49:37 GMT`` (RFC 9110, IMF-fixdate), else None."""
    words = text.split()
    try:
        hour, minute, second = words[4].split(":")
        return datetime(
            int(words[3]), _MONTHS[words[2]], int(words[1]), int(hour), int(minute), int(second), tzinfo=UTC
        )
    except (IndexError, KeyError, ValueError, OverflowError):
        return None


def is_strong(etag: str) -> bool:
    """Return whether an ETag, with its quotes, is a strong one that a request can have (RFC 9110, 8.8.3)."""
    return _STRONG.fullmatch(etag) is not None


def listed_etag(text: str | None) -> str | None:
    """Return an ETag as it is listed: a strong one without its quotes, a weak one as ``W/`` and the rest, or None.

    A server that forgets the quotes means a strong one.
    """
    text = (text or "").strip()
    mark = "W/" if text[:2] in ("W/", "w/") else ""
    plain = plain_etag(text[2:] if mark else text)
    return None if plain is None else mark + plain


def etag_of(text: str | None, listed: str | None) -> str | None:
    """Return the ETag of an answer; that of the listing, if the two are the same and one of them is weak."""
    stated = listed_etag(text)
    if stated is not None and listed is not None and stated.removeprefix("W/") == listed.removeprefix("W/"):
        return listed
    return stated


_STRONG: Final = re.compile(r'"[\x21\x23-\x7e]*"')
_RANGE: Final = re.compile(r"bytes ([0-9]{1,18})-[0-9]{1,18}/(?:([0-9]{1,18})|\*)")


def content_range(text: str) -> tuple[int | None, int | None]:
    """Return the first byte and the whole size that Content-Range states; None for what it does not."""
    found = _RANGE.fullmatch(text.strip())
    if found is None:
        return None, None
    return int(found[1]), int(found[2]) if found[2] else None
