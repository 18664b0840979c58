"""The throughput and the estimated time left, from samples of a job's progress."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from prefect_collect.pages.pace import Pace, Rate, TimeLeft
from prefect_collect.threads.progress import Progress


def looked(
    *samples: tuple[float, int, int], found: int = 1000, size: int = 0, listing: bool = False
) -> tuple[Pace, Progress]:
    """Return a pace with those samples (time, items, bytes), and the progress."""
    progress, pace = Progress(found=found, found_bytes=size, listing=listing), Pace()
    for at, items, count in samples:
        progress.succeeded, progress.bytes = items, count
        pace.look(progress, at)
    return pace, progress


def test_one_sample_gives_no_rate() -> None:
    """There is no rate and no estimate before the second sample."""
    pace, progress = looked((0, 5, 5))
    assert pace.recent() == Rate()
    assert pace.left(progress) is None


def test_the_rate_is_of_the_last_ten_seconds() -> None:
    """A slow start does not lower the present throughput."""
    pace, _ = looked((0, 0, 0), (100, 10, 10), (110, 110, 1010))
    assert pace.recent() == Rate(10, 100)


def test_the_longer_of_items_and_bytes() -> None:
    """The time left is by bytes for few large items, and by number for many small ones."""
    pace, progress = looked((0, 0, 0), (10, 100, 1000), found=110, size=11000)
    assert pace.left(progress) == TimeLeft(100, at_least=False)
    pace, progress = looked((0, 0, 0), (10, 100, 1000), found=1100, size=1100)
    assert pace.left(progress) == TimeLeft(100, at_least=False)


def test_while_listing_it_is_a_lower_bound() -> None:
    """While the source is listed the estimate is a lower bound, as more items may be found."""
    pace, progress = looked((0, 0, 0), (10, 100, 0), found=200, listing=True)
    assert pace.left(progress) == TimeLeft(10, at_least=True)


def test_what_failed_is_not_waited_for() -> None:
    """Bytes of failed items are not counted as left, as they are never read."""
    pace, progress = looked((0, 0, 0), (10, 50, 500), found=100, size=1000)
    progress.failed = 40
    left = pace.left(progress)
    assert left is not None
    assert left.seconds == 2


@given(
    st.lists(st.tuples(st.floats(0, 50), st.integers(-5, 100), st.integers(-9, 10**6)), max_size=30), st.integers(0, 99)
)
def test_no_rate_is_negative_and_nothing_divides_by_zero(steps: list[tuple[float, int, int]], found: int) -> None:
    """Rates and estimates stay valid when counts go down, or two samples have the same time."""
    pace, progress, now = Pace(), Progress(found=found, found_bytes=found * 10), 0.0
    for after, items, size in steps:
        now += after
        progress.add(succeeded=items, bytes=size)
        pace.look(progress, now)
        rate, left = pace.recent(), pace.left(progress)
        assert rate.items >= 0
        assert rate.bytes >= 0
        assert left is None or left.seconds >= 0
