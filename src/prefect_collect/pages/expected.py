"""What was expected of a collection, in words, and beside what came."""

from __future__ import annotations

from prefect_collect.job_folder.estimates import Estimate
from prefect_collect.job_folder.result import TaskResult
from prefect_collect.pages.text import bytes_text, duration_text, items

_ALIKE = 1.1
"""The ratio of the longest to the shortest time up to which one time is named."""


def size_text(estimate: Estimate) -> str:
    """Return the expected bytes: ``1.5 GiB``, or ``1.5 GiB, without 20 items of unknown size``."""
    without = f", without {items(estimate.unsized)} of unknown size" if estimate.unsized else ""
    return f"{bytes_text(estimate.bytes)}{without}"


def time_text(estimate: Estimate) -> str:
    """Return the expected time: ``about 3 minutes``, ``2 minutes to 5 minutes``; "" without earlier jobs."""
    if estimate.shortest is None or estimate.longest is None:
        return ""
    if estimate.longest <= _ALIKE * estimate.shortest:
        return f"about {duration_text(estimate.longest)}"
    return f"{duration_text(estimate.shortest)} to {duration_text(estimate.longest)}"


def expected_rows(estimate: Estimate, result: TaskResult | None) -> list[tuple[str, str, str]]:
    """Return rows of what was expected beside what came: a title, the estimate, the actual value; "" for none yet.

    The time is that of the first attempt; it is left out of later ones, which do only what was left.
    """
    counts = None if result is None else result.counts
    came = "" if counts is None else f"{counts.succeeded:,} succeeded of {counts.found:,} found"
    rows = [
        ("items", f"{estimate.items:,}", came),
        ("size", size_text(estimate), "" if counts is None else bytes_text(counts.bytes)),
    ]
    if (expected := time_text(estimate)) and (result is None or result.attempt == 1):
        took = "" if result is None else duration_text((result.ended - result.started).total_seconds())
        rows.append(("time", expected, took))
    return rows
