"""The lines that separate the messages of an mbox file: ``From sender date``."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Final

LONGEST_LINE: Final = 1_000
"""The most bytes of a separator line; also those of the line after it that are looked at."""

_DAYS: Final = rb"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTH: Final = b"(" + "|".join(_MONTHS).encode() + b")"
_ZONE: Final = rb"(?:[A-Z]{1,5}|[+-]\d{4})"
_DATE: Final = re.compile(
    rb"[ \t]" + _DAYS + rb",?[ \t]+" + _MONTH + rb"[ \t]+(\d{1,2})[ \t]+(\d{1,2}):(\d\d)(?::(\d\d))?"
    rb"((?:[ \t]+" + _ZONE + rb"){0,2})[ \t]+(\d{4})((?:[ \t]+" + _ZONE + rb")?)"
)  # fmt: skip
"""``Mon Jan  5 10:00:00 2026``, as asctime writes it (RFC 4155), also with a zone before or after the year."""

_DATE_OF_MAIL: Final = re.compile(
    rb"[ \t]" + _DAYS + rb",?[ \t]+(\d{1,2})[ \t-]+" + _MONTH + rb"[ \t-]+(\d{4})[ \t]+(\d{1,2}):(\d\d)(?::(\d\d))?"
    rb"((?:[ \t]+" + _ZONE + rb")?)"
)  # fmt: skip
"""``Mon, 5 Jan 2026 10:00:00 +0100``, as some programs write it."""

_FIELD: Final = re.compile(rb"[!-9;-~]{1,200}[ \t]*:|>From ")
"""How the first line of a header begins; ``>From`` is a separator of a message that was handed on."""

_OFFSET: Final = re.compile(rb"([+-])(\d\d)(\d\d)")
_DAY: Final = timedelta(days=1)
_NAMED: Final = {
    b"UTC": 0, b"UT": 0, b"GMT": 0, b"Z": 0, b"EST": -5, b"EDT": -4, b"CST": -6, b"CDT": -5, b"MST": -7, b"MDT": -6,
    b"PST": -8, b"PDT": -7,
}  # fmt: skip
"""The zones that have a meaning by their names in mail (RFC 5322, 4.3), in hours ahead of UTC."""


class Kind(Enum):
    """What a line that begins with ``From`` is."""

    SEPARATOR = "separator"
    DOUBTFUL = "doubtful"
    TEXT = "text"


def kind_of(line: bytes, following: bytes, *, after_empty: bool) -> Kind:
    """Return whether a line separates messages.

    A separator is all of these: it comes after an empty line, ends in a date, and a header follows. With two of them a
    line may be one, as not all programs write all of them; with fewer it is text.

    Args:
        line: The line, which begins with ``From`` and a space.
        following: The beginning of the next line.
        after_empty: True if the line comes after an empty line.
    """
    signs = after_empty + (_stated(line) is not None) + (_FIELD.match(following) is not None)
    return Kind.SEPARATOR if signs == 3 else Kind.DOUBTFUL if signs == 2 else Kind.TEXT


def date_of(line: bytes) -> datetime | None:
    """Return the date of a separator line, in UTC, as RFC 4155 has it, unless it names a zone.

    None if it has no date, one in a zone of an unknown name, or one outside the years 1 to 9999 of UTC.
    """
    if (found := _stated(line)) is None or (ahead := _ahead(found[1])) is None:
        return None
    try:
        return (found[0] - ahead).replace(tzinfo=UTC)
    except OverflowError:
        return None


def _stated(line: bytes) -> tuple[datetime, bytes] | None:
    """Return the date of a separator line as it stands there, and its zone; None without a date."""
    line = line[:LONGEST_LINE]
    if (found := _DATE.search(line)) is not None:
        month, day, hour, minute, second, zones, year, zone = found.groups()
        zone = zones + zone
    elif (found := _DATE_OF_MAIL.search(line)) is not None:
        day, month, year, hour, minute, second, zone = found.groups()
    else:
        return None
    try:
        number = _MONTHS.index(month.decode()) + 1
        return datetime(int(year), number, int(day), int(hour), int(minute), int(second or 0)), zone
    except ValueError:
        return None


def _ahead(zone: bytes) -> timedelta | None:
    """Return how far a zone is ahead of UTC: its offset, or what its name means in mail; None for another name."""
    if (offset := _OFFSET.search(zone)) is not None:
        ahead = timedelta(hours=int(offset[2]), minutes=int(offset[3]))
        if ahead >= _DAY:
            return None
        return -ahead if offset[1] == b"-" else ahead
    hours = [_NAMED.get(name) for name in zone.split()]
    return timedelta(hours=next(iter(hours), 0) or 0) if None not in hours else None
