"""How many failed items a job tolerates."""

from __future__ import annotations

from prefect_collect.codes import Failure


def too_many(failed: int, found: int, tolerated: float) -> Failure | None:
    """Why to stop early, if more than `tolerated` percent of the items found so far have failed (100: never)."""
    if tolerated >= 100 or not found or 100.0 * failed / found <= tolerated:
        return None
    return Failure(
        "threshold_exceeded", f"{failed} of {found} items failed, which is more than the tolerated {tolerated:g} %."
    )
