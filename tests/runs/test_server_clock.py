"""The difference between two clocks, from a header of whole seconds and a slow answer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from prefect_collect.runs.server_clock import _ahead

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("date", "answered", "ahead"),
    [
        (0, 0.1, 0),
        (-1, 0.1, 0),  # the server's date is a second old
        (0, 9.0, 0),  # the answer took its time
        (8, 9.0, 0),
        (60, 0.0, 61),
        (-60, 0.0, -59),
    ],
)
def test_only_what_the_answer_cannot_explain_is_a_difference(date: float, answered: float, ahead: float) -> None:
    """A slow answer of a busy machine does not count as a difference of the clocks."""
    server = NOON + timedelta(seconds=date)
    assert _ahead(server, NOON, NOON + timedelta(seconds=answered)) == timedelta(seconds=ahead)
