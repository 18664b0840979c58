"""Items that are larger than the staging store takes."""

from __future__ import annotations

from typing import Any

import pytest

from prefect_collect.collecting import enumeration, shard
from prefect_collect.errors import StoreTooLarge
from prefect_collect.sources import SMALL_ITEM
from prefect_collect.statuses import JobStatus
from tests.support.memory_source import MemorySource, Thing, large, small
from tests.support.memory_store import MemoryStore
from tests.support.run_attempts import attempt, check_account, new_job, unsuccessful


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shards of three items."""
    monkeypatch.setattr(enumeration, "SHARD_ITEMS", 3)


def _limited() -> MemoryStore:
    """Return a store that refuses objects larger than two small items."""
    store = MemoryStore()
    put = store._put

    def limited(operation: str, key: str, data: bytes, *, replace: bool) -> Any:
        if len(data) > 2 * SMALL_ITEM:
            raise StoreTooLarge(f"Too large. [{key}]")
        return put(operation, key, data, replace=replace)

    store._put = limited  # type: ignore[method-assign]
    return store


@pytest.mark.parametrize("alone", [True, False])
def test_an_item_larger_than_the_store_takes(monkeypatch: pytest.MonkeyPatch, alone: bool) -> None:
    """That item fails, and all others are collected, with or without a segment of their own."""
    if alone:
        monkeypatch.setattr(shard, "LARGE_ITEM", SMALL_ITEM)
    things = small(5) | {"huge": Thing("good", bytes(3 * SMALL_ITEM)), "tall": Thing("unknown_size", bytes(5 << 20))}
    source = MemorySource(things)
    folder = new_job(_limited(), source)
    result = attempt(folder, source)
    check_account(folder, {id_: thing.data for id_, thing in things.items()})
    assert (result.status, result.counts.succeeded) == (JobStatus.PARTIALLY_COMPLETED, 5)
    assert {id_: row["error_code"] for id_, row in unsuccessful(folder).items()} == {
        "huge": "too_large",
        "tall": "too_large",
    }


def test_a_shared_segment_larger_than_the_store_takes() -> None:
    """Items that fit alone, but not together, get a segment each."""
    things = {f"good/{n}": Thing("good", bytes(SMALL_ITEM - n)) for n in range(3)} | large(2)
    source = MemorySource(things)
    folder = new_job(_limited(), source)
    result = attempt(folder, source)
    check_account(folder, {id_: thing.data for id_, thing in things.items()})
    assert (result.status, result.counts.succeeded) == (JobStatus.SUCCESSFULLY_COMPLETED, 5)
