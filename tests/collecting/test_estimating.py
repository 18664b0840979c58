"""Estimates: what a collection is expected to take, and what is kept of it for the job."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from prefect_collect.blocks import FileSource
from prefect_collect.blocks.data_source import identity_of
from prefect_collect.collecting.estimating import estimate_collection
from prefect_collect.errors import SourceError
from prefect_collect.job_folder.estimates import Estimate, find_estimate, save_estimate
from prefect_collect.job_folder.folder import now
from prefect_collect.job_folder.long_queries import named
from prefect_collect.pages.expected import expected_rows, expected_text, size_text, time_text
from prefect_collect.sources.query import Query
from tests.support.memory_source import MemorySource, Thing
from tests.support.memory_store import MemoryStore
from tests.support.run_attempts import attempt, new_job

HERE = {"location": "test"}


def source(count: int, **how: Any) -> MemorySource:
    """Return a source of so many items of 10 bytes."""
    return MemorySource({f"{number:03}.txt": Thing(data=b"0123456789") for number in range(count)}, **how)


def made(store: MemoryStore, of: MemorySource, query: Query | None = None) -> Estimate:
    """Return the estimate of a collection."""
    return estimate_collection(of, query or Query(), HERE, store, lambda listed: None)


def test_without_earlier_jobs_no_time_is_known() -> None:
    """The items and bytes are those that the query takes; a time is not made up."""
    found = made(MemoryStore(), source(12), Query(include=("00*",)))
    assert (found.items, found.bytes, found.shortest, found.longest, found.jobs) == (10, 100, None, None, ())
    assert time_text(found) == ""
    assert [row[0] for row in expected_rows(found, None)] == ["items", "size"]


def test_time_by_earlier_jobs() -> None:
    """The time is that of earlier jobs of the same place, scaled by items and by bytes; other places do not count."""
    store = MemoryStore()
    first = new_job(store, source(10))
    result = attempt(first, source(10))
    took = (result.ended - result.started).total_seconds()
    new_job(store, source(3))
    found = made(store, source(30))
    assert found.jobs == (first.job_id,)
    assert found.shortest is not None
    assert found.longest is not None
    assert (found.shortest, found.longest) == pytest.approx((3 * took, 3 * took))
    other = estimate_collection(source(30), Query(), {"location": "elsewhere"}, store, lambda listed: None)
    assert other.jobs == ()


def test_a_listing_that_breaks_off_gives_no_estimate() -> None:
    """A part of a source is not passed off as the whole."""
    with pytest.raises(SourceError, match="broke off"):
        made(MemoryStore(), source(12, breaks_after=3))
    unproven = source(12)
    unproven.items = lambda: iter(())  # type: ignore[method-assign]
    with pytest.raises(SourceError, match="without proof"):
        made(MemoryStore(), unproven)


def test_the_last_estimate_of_source_and_query_is_kept() -> None:
    """It is found again by the same query, also one of many patterns, and by no other; the earlier one is gone."""
    store = MemoryStore()
    long = Query(include=tuple(f"{number:08}" for number in range(3000)))
    assert "patterns" in named(long)
    for query in (Query(), long):
        for count in (1, 2):
            save_estimate(store, HERE, query, Estimate(now(), count, 10, shortest=1.0, longest=2.5, jobs=("a",)))
    assert len(list(store.list("estimates/"))) == 2
    kept = find_estimate(store, HERE, Query.of(named(long)))
    assert kept is not None
    assert (kept.items, kept.longest, kept.jobs) == (2, 2.5, ("a",))
    assert find_estimate(store, HERE, Query(limit=1)) is None
    assert find_estimate(store, {"location": "other"}, Query()) is None


def test_estimates_of_other_listings_and_old_ones() -> None:
    """A source that lists other things at the same place has an estimate of its own, and an old one does not count."""
    source, store = identity_of(FileSource(root="/srv", name="one")), MemoryStore()
    assert source == identity_of(FileSource(root="/srv", name="two", custodian="Ann"))
    assert source != identity_of(FileSource(root="/srv", follow_symlinks=True))
    save_estimate(store, source, Query(), Estimate(now() - timedelta(days=31), 1, 10))
    assert find_estimate(store, source, Query()) is None
    save_estimate(store, source, Query(), Estimate(now() - timedelta(days=29), 1, 10))
    assert find_estimate(store, source, Query()) is not None


def test_an_estimate_that_cannot_be_read_is_none() -> None:
    """A job does not depend on a damaged estimate."""
    store = MemoryStore()
    save_estimate(store, HERE, Query(), Estimate(now(), 1, 10))
    [key] = [blob.key for blob in store.list("estimates/")]
    store.remove([key])
    store.create(key, b'{"items": -1}')
    assert find_estimate(store, HERE, Query()) is None


def test_words() -> None:
    """A time is a range if earlier jobs differ by what can be seen, and items of unknown size are told."""
    alike = Estimate(now(), 5, 2048, shortest=0.16, longest=0.24, jobs=("a", "b"))
    assert time_text(alike) == "about 0.2 seconds"
    assert "5 items, and 2 that cannot be read, 2.0 KiB;" in expected_text(replace(alike, failed=2))
    assert Estimate.from_json(replace(alike, failed=2).to_json()).failed == 2
    found = Estimate(now(), 5, 2048, unsized=2, shortest=60.0, longest=180.0, jobs=("a", "b"))
    assert (size_text(found), time_text(found)) == ("2.0 KiB, without 2 items of unknown size", "1 minute to 3 minutes")
    store = MemoryStore()
    result = attempt(new_job(store, source(3)), source(3))
    rows = expected_rows(found, result)
    assert rows[0] == ("items", "5", "3 succeeded of 3 found")
    assert rows[1][2] == "30 bytes"
