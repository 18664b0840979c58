"""Sizes, durations and counts in words."""

from __future__ import annotations

from typing import Final

import humanize

from prefect_collect.statuses import JobKind


def items(number: int) -> str:
    """Return a number of items in words: ``1 item``, ``2,000 items``."""
    return counted(number, "item")


def counted(number: int, thing: str) -> str:
    """Return a count in words: ``1 job``, ``2 jobs``. The plural of `thing` must end in a plain s."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def be(number: int) -> str:
    """Return the verb that goes with a count: ``is`` for 1, else ``are``."""
    return "is" if number == 1 else "are"


def job_text(kind: str, name: str) -> str:
    """Return a job's kind and name, with the kind once: ``collection docs``, but ``export of docs``."""
    return name if name.lower().startswith(f"{kind} ") else f"{kind} {name}"


def job_title(kind: str, name: str) -> str:
    """Return a job's kind and name as a line begins: ``Collection docs``, ``Export of docs``."""
    text = job_text(kind, name)
    return f"{text[:1].upper()}{text[1:]}"


_MOST_SECONDS: Final = 5e10
"""About 1,600 years, the longest duration shown: humanize computes with dates, which end with the year 9999."""


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


def found_word(kind: JobKind) -> str:
    """Return what the items are of which a job gives account: those that an export can deliver were collected."""
    return "collected" if kind is JobKind.EXPORT else "found"


def items_text(number: int) -> str:
    """Return the number of items with an error code; 0 stands for the job as a whole."""
    return f"{number:,}" if number else "the job"
