"""Pools of threads: calls whose results come in the order of what was given."""

from __future__ import annotations

import os
import threading

import pytest

from prefect_collect.threads.pool import as_completed, in_order


def test_as_completed_keeps_to_its_bounds() -> None:
    """Calls end in any order; never more run at once than are allowed, nor with more bytes, but for a single one."""
    lock, running, most = threading.Lock(), list[int](), list[tuple[int, int]]()

    def call(size: int) -> int:
        with lock:
            running.append(size)
            most.append((len(running), sum(running)))
        os.sched_yield()
        with lock:
            running.remove(size)
        if size == 7:
            raise ValueError(size)
        return size

    sizes = [7, 1, *[20 << 20] * 30, 65 << 20, 5]
    got = [*as_completed(call, sizes, 6, size=lambda size: size)]
    assert sorted(size for size, _ in got) == sorted(sizes)
    assert all(isinstance(outcome, ValueError) if size == 7 else outcome == size for size, outcome in got)
    assert max(count for count, _ in most) <= 6
    assert all(bytes_at_once <= 64 << 20 for count, bytes_at_once in most if count > 1)


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
