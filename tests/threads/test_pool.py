"""Pools of threads: calls whose results come in the order of what was given."""

from __future__ import annotations

import threading

import pytest

from prefect_collect.threads.pool import in_order


def test_in_order() -> None:
    """Results come in the order of what was given, and no more calls begin than the reader is behind by."""
    begun: list[int] = []
    lock = threading.Lock()

    def call(number: int) -> int:
        with lock:
            begun.append(number)
        return number * number

    results = in_order(call, range(100), 4)
    for number in range(50):
        assert next(results) == number * number
        assert max(begun) <= number + 4
    assert list(results) == [number * number for number in range(50, 100)]


def test_in_order_raises_in_its_place() -> None:
    """An exception of a call is raised after the results before it."""

    def call(number: int) -> int:
        if number == 3:
            raise ValueError("three")
        return number

    results = in_order(call, range(10), 4)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three"):
        next(results)
