"""The values of HTTP's headers: sizes, entity tags and dates (RFC 9110)."""

from __future__ import annotations

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
    """Return an ETag without its quotes; None if there is none."""
    return etag.removeprefix("W/").strip('"') or None if etag else None


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
