"""What was expected of a collection, in words, and beside what came."""

from __future__ import annotations

from prefect_collect.job_folder.estimates import Estimate
from prefect_collect.job_folder.result import TaskResult
from prefect_collect.pages.text import bytes_text, counted, duration_text, items

_ALIKE = 1.1
"""The ratio of the longest to the shortest time up to which one time is named."""


def items_said(estimate: Estimate) -> str:
    """Return the expected items: ``5 items``, or ``5 items, and 1 that cannot be read``."""
    failed = f", and {estimate.failed:,} that cannot be read" if estimate.failed else ""
    return f"{items(estimate.items)}{failed}"


def size_text(estimate: Estimate) -> str:
    """Return the expected bytes: ``1.5 GiB``, or ``1.5 GiB, without 20 items of unknown size``."""
    without = f", without {items(estimate.unsized)} of unknown size" if estimate.unsized else ""
    return f"{bytes_text(estimate.bytes)}{without}"


def time_text(estimate: Estimate) -> str:
    """Return the expected time: ``about 3 minutes``, ``2 minutes to 5 minutes``; "" without earlier jobs."""
    if estimate.shortest is None or estimate.longest is None:
        return ""
    shortest, longest = duration_text(estimate.shortest), duration_text(estimate.longest)
    if shortest == longest or estimate.longest <= _ALIKE * estimate.shortest:
        return f"about {longest}"
    return f"{shortest} to {longest}"


def expected_text(estimate: Estimate) -> str:
    """Return what is expected in a sentence, for the page of a job that has not begun."""
    time = time_text(estimate)
    by = f"{time}, by {counted(len(estimate.jobs), 'earlier job')}" if time else "no time, without an earlier job"
    return (
        f"Expected, by a listing of {estimate.made_at:%Y-%m-%d %H:%M} UTC: {items_said(estimate)}, "
        f"{size_text(estimate)}; {by}."
    )


def not_expected_text(why: str) -> str:
    """Return the sentence that says why nothing is expected."""
    return f"Not estimated: {why.rstrip('.')}."


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
