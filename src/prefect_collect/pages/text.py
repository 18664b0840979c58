"""Sizes, durations and numbers of things, in words."""

from __future__ import annotations

from typing import Final

import humanize


def items(number: int) -> str:
    """A number of items in words."""
    return counted(number, "item")


def counted(number: int, thing: str) -> str:
    """A number of things in words, whose plural is made by an s."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


_MOST_SECONDS: Final = 5e10
"""About 1,600 years: the dates that humanize counts with end with the year 9999."""


def bytes_text(size: float) -> str:
    """Return a size in words: ``1 byte``, ``1.5 MiB``."""
    return humanize.naturalsize(size, binary=True).replace(" Byte", " byte")


def duration_text(seconds: float) -> str:
    """Return a duration in words: ``1.5 seconds``, ``3 minutes and 20 seconds``, ``1 day, 2 hours and 5 minutes``."""
    return humanize.precisedelta(
        min(seconds, _MOST_SECONDS),
        minimum_unit="minutes" if seconds >= 3600 else "seconds",
        suppress=("months", "years"),
        format="%.1f" if seconds < 60 else "%.0f",
    )


def items_text(number: int) -> str:
    """How many items have an error code, where 0 stands for the job as a whole."""
    return f"{number:,}" if number else "the job"
