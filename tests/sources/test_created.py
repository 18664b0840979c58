"""Times of creation: which of them are taken over from what a source states."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from prefect_collect.sources.created import creation_time, exact_time, known_creation

HOUR = timezone(timedelta(hours=1))
BORN = datetime(2019, 3, 4, 5, 6, 7, 890123, UTC)


@pytest.mark.parametrize(
    ("stated", "known"),
    [
        (BORN, BORN),
        (BORN.astimezone(HOUR), BORN),
        (datetime(1950, 1, 1, tzinfo=UTC), datetime(1950, 1, 1, tzinfo=UTC)),
        (datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC), datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)),
        (datetime(1970, 1, 1, 1, tzinfo=HOUR), None),
        (datetime(1601, 1, 1, tzinfo=UTC), None),
        (datetime(1600, 12, 31, tzinfo=UTC), None),
        (datetime(1, 1, 1, tzinfo=HOUR), None),
        (datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC), None),
        (datetime.max.replace(tzinfo=timezone(-timedelta(hours=1))), None),
        (datetime(2019, 3, 4), None),
        ("2019-03-04", None),
        (None, None),
    ],
)
def test_which_times_say_something(stated: object, known: datetime | None) -> None:
    """What has no zone, lies before 1601 or in 9999, or is where the times of Unix and Windows begin, says nothing."""
    assert known_creation(stated) == known
    assert known is None or known_creation(stated).tzinfo is UTC  # type: ignore[union-attr]


def test_times_as_text() -> None:
    """A text keeps its zone; one without a zone, of another form, or for a time that says nothing, is none."""
    assert creation_time("2019-03-04T06:06:07+01:00") == datetime(2019, 3, 4, 6, 6, 7, tzinfo=HOUR)
    assert creation_time("2019-03-04T05:06:07Z") == datetime(2019, 3, 4, 5, 6, 7, tzinfo=UTC)
    odd: list[Any] = ["2019-03-04T05:06:07", "3/4/2019 5:06 AM", "", "0001-01-01T00:00:00Z", "9999-12-31T00:00:00Z", 7]
    assert [creation_time(text) for text in odd] == [None] * len(odd)
    assert exact_time("1970-01-01T00:00:00Z") == datetime(1970, 1, 1, tzinfo=UTC)
    assert exact_time("0001-01-01T00:00:00+01:00") is None
