"""When an attempt is worth worker processes: as soon as its process has kept a core busy."""

from __future__ import annotations

import pytest

from prefect_collect.collecting.busy_core import AFTER, BusyCore


@pytest.mark.parametrize(
    ("cpu", "clock", "busy"),
    [
        (AFTER, AFTER, True),
        (2 * AFTER, AFTER, True),
        (AFTER - 0.1, AFTER - 0.1, False),
        (AFTER, 2 * AFTER, False),
        (100.0, 142.0, True),
        (100.0, 143.0, False),
    ],
)
def test_a_core_is_busy(cpu: float, clock: float, busy: bool) -> None:
    """After some seconds of CPU, if they were most of one core; what the process used before does not count."""
    cpus, clocks = iter((50.0, 50.0 + cpu)), iter((7.0, 7.0 + clock))
    assert BusyCore(lambda: next(cpus), lambda: next(clocks)).is_busy() is busy


def test_the_clocks_of_this_process() -> None:
    """A process that has just begun is not busy."""
    assert not BusyCore().is_busy()
