"""What earlier jobs hold: how it is found by ids, what a source is told of it, and that all jobs together have all."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_collect.collecting import incremental as incremental_module
from prefect_collect.collecting.incremental import Incremental, needed_by
from prefect_collect.job_folder import store_keys
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.job_folder.id_sets import digests
from prefect_collect.job_folder.ledger import read_inventory
from prefect_collect.job_folder.result import TaskResult
from prefect_collect.sources import Item, Listed, ListingEnd
from prefect_collect.sources.listing import HeldItems
from prefect_collect.sources.query import Query
from prefect_collect.statuses import JobStatus
from tests.examples import examples
from tests.support.memory_source import WHEN, MemorySource, Thing
from tests.support.memory_store import MemoryStore
from tests.support.run_attempts import attempt, check_account, held, new_incremental_job, new_job

pytestmark = pytest.mark.usefixtures("small_shards")


class ContinuingSource(MemorySource):
    """Things of which those that are held are not described anew; it says what it was told."""

    def items_since(self, query: Query, held: HeldItems) -> Iterator[Listed]:
        """Yield the things, and what is held."""
        self.told = held.items(sorted(self.things)), {*held.folders}
        yield from (item or self._item(id_) for id_, item in zip(sorted(self.things), self.told[0], strict=True))
        yield ListingEnd("all were given", warnings=("The folder is another one.",))


def test_a_source_gets_what_earlier_jobs_hold() -> None:
    """A source that can is told, by id, of what each item was when an earlier job listed it, and its warnings are in
    the result, also if the process is lost before it closes the attempt.
    """
    store = MemoryStore()
    first = ContinuingSource({f"box/{number}": Thing(data=b"x" * number) for number in range(8)})
    attempt(new_job(store, first), first)
    things = {id_: thing for id_, thing in first.things.items() if id_ != "box/3"} | {"box/9": Thing(data=b"9")}
    source = ContinuingSource(things)
    second = new_incremental_job(store, source)
    result = attempt(second, source)
    check_account(second)
    items, folders = source.told
    assert items == [None if id_ == "box/9" else first._item(id_) for id_ in sorted(things)]
    assert folders == {"box"}
    assert (result.counts.skipped, [*held(second)]) == (7, ["box/9"])
    assert result.warnings[0] == "The folder is another one."
    lost = new_incremental_job(store, source)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("prefect_collect.collecting.attempt.close_attempt", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            attempt(lost, source)
    attempt(lost, source)
    found = lost.result(1)
    assert found is not None
    assert "The folder is another one." in found.warnings


def test_ids_whose_digests_begin_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are told apart by the rest, and of one that several jobs hold the item that was collected last counts."""

    def alike(ids: list[str]) -> Any:
        found = digests(ids).copy()
        found[:, 0] %= 3
        return found

    monkeypatch.setattr(incremental_module, "digests", alike)
    store, source = MemoryStore(), MemorySource({f"good/{n}": Thing("good", bytes(n)) for n in range(20)})
    first, changed = new_job(store, source), [f"good/{n}" for n in range(0, 20, 3)]
    attempt(first, source)
    source.things |= {id_: Thing("good", bytes(100)) for id_ in changed}
    second = new_incremental_job(store, source)
    attempt(second, source)
    for jobs in ([second.job_id, first.job_id], [first.job_id, second.job_id]):
        with Incremental(store, jobs) as since:
            assert len(since) == 20
            rows: dict[str, dict[str, Any]] = {}
            for part in first.parts("inventory", 1):
                judged = since.with_unchanged_skipped(read_inventory(first, 1, part)).to_pylist()
                rows |= {row["item_id"]: row for row in judged}
            assert {id_ for id_, row in rows.items() if row["held_by"] == second.job_id} == {*changed}
            assert {row["held_by"] for row in rows.values()} == {first.job_id, second.job_id}
            assert rows["good/1"]["held_sha256"] == hashlib.sha256(bytes(1)).digest()


NAMES = ["a", "b", "c", "d", "e"]
CHANGE = st.tuples(st.sampled_from(NAMES), st.sampled_from(["write", "touch", "delete", "deny"]), st.integers(0, 3))


@settings(max_examples=examples(25), deadline=None)
@given(st.lists(st.tuples(st.lists(CHANGE, max_size=4), st.sampled_from(["full", "since", "since"])), max_size=6))
def test_all_jobs_together_hold_the_source(days: list[tuple[list[tuple[str, str, int]], str]]) -> None:
    """Whatever happens to a source, its content equals the last copies in a job and the jobs it relies on."""
    store, source = MemoryStore(), MemorySource()
    clock = [WHEN]
    modified: dict[str, datetime] = {}
    source._item = lambda id_: Item(id_, id_, len(source.things[id_].data), modified[id_])  # type: ignore[method-assign]
    for changes, kind in days:
        for name, what, size in changes:
            clock[0] += timedelta(seconds=1)
            if what == "delete":
                source.things.pop(name, None)
            elif what == "write" or (name in source.things and what == "touch"):
                data = bytes([65 + size]) * size if what == "write" else source.things[name].data
                source.things[name] = Thing("good", data)
                modified[name] = clock[0]
            elif name in source.things:
                source.things[name].kind = "denied"
        job = new_incremental_job(store, source) if kind == "since" else new_job(store, source)
        result: TaskResult = attempt(job, source)
        check_account(job)
        if result.counts.failed:
            for thing in source.things.values():
                thing.kind = "good"
            result = attempt(job, source)
            check_account(job)
        assert result.status is JobStatus.SUCCESSFULLY_COMPLETED
        copies: dict[str, tuple[Any, bytes]] = {}
        for other in (job.job_id, *result.relies_on):
            folder = JobFolder(store, other)
            for id_, row in held(folder).items():
                data = store.read(
                    store_keys.segment_key(other, row["segment"]), row["offset"], row["offset"] + row["size"]
                )
                copies[id_] = max(copies.get(id_, (row["collected_at"], data)), (row["collected_at"], data))
        assert {id_: copies[id_][1] for id_ in source.things} == {id_: t.data for id_, t in source.things.items()}
        assert job.job_id not in needed_by(store, job.job_id)
        assert all(job.job_id in needed_by(store, other) for other in result.relies_on)
