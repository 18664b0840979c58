"""Creation times that sources state: which of them say something, and how they are read from text."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

_FIRST: Final = datetime(1601, 1, 1, tzinfo=UTC)
"""The beginning of the times of Windows, which stands for one that is not known; files have no earlier ones."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST: Final = datetime(9999, 1, 1, tzinfo=UTC)
"""The beginning of the year in which the greatest time of .NET lies, which stands for one that is not known."""


def known_creation(at: object) -> datetime | None:
    """Return a stated creation time in UTC; None for a value that is no time with a zone, or stands for an unknown one.

    The latter are the first moment of Unix's times (1970) and of Windows' (1601), all times before 1601, and the year
    9999.
    """
    if not isinstance(at, datetime) or at.tzinfo is None:
        return None
    try:
        at = at.astimezone(UTC)
    except (OverflowError, ValueError):
        return None
    if not _FIRST < at < _LAST or at == _EPOCH:
        return None
    return datetime(at.year, at.month, at.day, at.hour, at.minute, at.second, at.microsecond, UTC)


def exact_time(text: object) -> datetime | None:
    """Return the time of a text by ISO 8601 (RFC 3339), with its zone; None for any other, also without a zone."""
    try:
        at = datetime.fromisoformat(text) if isinstance(text, str) else None
        return at if at is not None and at.tzinfo is not None and at.astimezone(UTC) else None
    except (ValueError, OverflowError):
        return None


def creation_time(text: object) -> datetime | None:
    """Return what `exact_time` does, if it is a creation time that is known (`known_creation`); else None."""
    at = exact_time(text)
    return None if known_creation(at) is None else at
