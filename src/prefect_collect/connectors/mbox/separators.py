"""The lines that separate the messages of an mbox file: ``From sender date``."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
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
    signs = after_empty + (date_of(line) is not None) + (_FIELD.match(following) is not None)
    return Kind.SEPARATOR if signs == 3 else Kind.DOUBTFUL if signs == 2 else Kind.TEXT


def date_of(line: bytes) -> datetime | None:
    """Return the date of a separator line, in UTC, as RFC 4155 has it, unless it names an offset; None without one."""
    line = line[:LONGEST_LINE]
    if (found := _DATE.search(line)) is not None:
        month, day, hour, minute, second, zones, year, zone = found.groups()
        zone = zones + zone
    elif (found := _DATE_OF_MAIL.search(line)) is not None:
        day, month, year, hour, minute, second, zone = found.groups()
    else:
        return None
    try:
        offset = _OFFSET.search(zone)
        ahead = timedelta(hours=int(offset[2]), minutes=int(offset[3])) if offset is not None else timedelta()
        there = timezone(-ahead if offset is not None and offset[1] == b"-" else ahead)
        number = _MONTHS.index(month.decode()) + 1
        at = datetime(int(year), number, int(day), int(hour), int(minute), int(second or 0), 0, there)
        return at.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
