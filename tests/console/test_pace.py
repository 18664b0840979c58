"""How often pages may look again."""

from __future__ import annotations

import heapq

import pytest

from prefect_collect.console.job_index import LOOK_EVERY
from prefect_collect.console.pace import MOST_POLLS, Pace


@pytest.mark.parametrize("pages", [1, 5, 20, 60, 300])
def test_pages_together_keep_to_the_bound(pages: int) -> None:
    """However many pages wait as long as they are told, their requests stay within the bound once some seconds have
    passed; a few pages look every two seconds.
    """
    now = 0.0
    pace = Pace(clock=lambda: now)
    due = [index * LOOK_EVERY / pages for index in range(pages)]
    asked: list[float] = []
    while due[0] < 300:
        now = heapq.heappop(due)
        asked.append(now)
        heapq.heappush(due, now + pace.pause())
    late = sum(1 for at in asked if at >= 150) / 150
    assert late <= min(MOST_POLLS * 1.25, pages / LOOK_EVERY * 1.01)
    assert late >= min(MOST_POLLS * 0.75, pages / LOOK_EVERY * 0.99)
