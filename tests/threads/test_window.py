"""How many are read at once: more as long as that is faster."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_collect.threads.window import FIRST, Window


@dataclass
class Server:
    """A server that answers each request after `away` seconds, and at most `rate` of them a second.

    Attributes:
        at: What its clock shows.
    """

    away: float
    rate: float
    at: float = 0.0

    def answer(self, window: Window, requests: int) -> list[int]:
        """Answer so many requests; return the sizes that the window had."""
        sizes = []
        for _ in range(requests):
            self.at += max(self.away / window.size, 1 / self.rate)
            window.answered()
            sizes.append(window.size)
        return sizes


@pytest.mark.parametrize("most", [1, 31, 32, 33, 100, 128, 1024])
def test_more_at_once_where_the_way_is_long(most: int) -> None:
    """The size doubles up to the most that is allowed, and never passes it."""
    server = Server(away=0.02, rate=1e9)
    window = Window(most, clock=lambda: server.at)
    sizes = server.answer(window, 10_000)
    assert sizes[0] == min(FIRST, most)
    assert sizes[-1] == max(sizes) == most


def test_no_more_where_the_server_is_the_limit() -> None:
    """A size that gains nothing is tried once, and again when reading begins anew."""
    server = Server(away=0.02, rate=1000)
    window = Window(1024, clock=lambda: server.at)
    sizes = server.answer(window, 10_000)
    assert {*sizes} == {FIRST, 2 * FIRST}
    assert sizes[-1] == FIRST
    window.begin()
    server.rate = 1e9
    assert server.answer(window, 10_000)[-1] == 1024
    window.begin()
    assert window.size == 1024


@given(
    most=st.integers(1, 2000),
    first=st.integers(1, 64),
    rates=st.lists(st.floats(0.001, 1e6), min_size=1, max_size=6),
    away=st.floats(0, 10),
)
def test_the_size_stays_within_its_bounds(most: int, first: int, rates: list[float], away: float) -> None:
    """Whatever the server does, from one to `most` are read at once."""
    server = Server(away, rates[0])
    window = Window(most, first, clock=lambda: server.at)
    for rate in rates:
        server.rate = rate
        assert all(1 <= size <= most for size in server.answer(window, 200))
        window.begin()
