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
_UTC: Final = frozenset({"GMT", "UTC", "Z", ""})
_ZONE: Final = re.compile(r"([+-])([01][0-9]|2[0-3]):?([0-9]{2})")
_OLD_FORM: Final = re.compile(r"\s*[A-Za-z]+, *[0-9]{1,2}-[A-Za-z]{3}-[0-9]{2} ")


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
    return finer_time(http_date(text) if text else None, listed)


def finer_time(stated: datetime | None, listed: datetime | None) -> datetime | None:
    """Return the time that an object's header states; the listing's, which may be finer, if it is the same second."""
    if stated is not None and listed is not None and abs(stated - listed) < _SECOND:
        return listed
    return stated


@lru_cache(maxsize=1024)
def http_date(text: str) -> datetime | None:
    """Return the time of a date such as ``Sun, 06 Nov 1994 08:49:37 GMT``, else None.

    Read are the three forms that RFC 9110 (5.6.7) asks for, and offsets in place of GMT. A date in a zone that has only
    a name is None, and so is one outside the years 1 to 9999 of UTC.
    """
    words = text.split()
    if len(words) < 6:
        words = _other_form(text, words)
    try:
        hour, minute, second = words[4].split(":")
        year = int(words[3]) if len(words[3]) == 4 else _whole_year(words[3])
        at = datetime(year, _MONTHS[words[2]], int(words[1]), int(hour), int(minute), int(second), tzinfo=UTC)
        zone = "".join(words[5:])
        return at if zone in _UTC else at - _offset(zone)
    except (IndexError, KeyError, ValueError, OverflowError):
        return None


def _other_form(text: str, words: list[str]) -> list[str]:
    """Return the words of an RFC 850 or asctime date in the order of the usual form; of any other text, its words."""
    if _OLD_FORM.match(text):
        return text.replace("-", " ", 2).split()
    if len(words) == 5 and ":" in words[3]:
        return [words[0], words[2], words[1], words[4], words[3]]
    return words


def _whole_year(two_digits: str) -> int:
    """Return the year of a date with two digits of it: the last such year, or one of the next 50. Raise ValueError."""
    if len(two_digits) != 2:
        raise ValueError(two_digits)
    latest = datetime.now(UTC).year + 50
    return latest - (latest - int(two_digits)) % 100


def _offset(zone: str) -> timedelta:
    """Return how far a zone such as ``+0200`` is ahead of UTC. Raise ValueError if it is none."""
    found = _ZONE.fullmatch(zone)
    if found is None:
        raise ValueError(zone)
    ahead = timedelta(hours=int(found[2]), minutes=int(found[3]))
    return -ahead if found[1] == "-" else ahead


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
