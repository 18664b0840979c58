"""Random histories of a job: whatever happens to its items, source and processes, the account adds up."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from prefect_collect.codes import Failure
from prefect_collect.collecting import enumeration, shard
from prefect_collect.errors import CollectError, StoreFull
from prefect_collect.job_folder.custody_events import record_missed_events
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.sources import Content, Item
from prefect_collect.statuses import JobStatus
from prefect_collect.threads.stop import Stop
from prefect_collect.verification import verify_job
from tests.examples import examples
from tests.support.memory_source import KINDS, SUCCEEDS, MemorySource, Thing
from tests.support.memory_store import Killed, MemoryStore, fails_at
from tests.support.run_attempts import attempt, check_account, held, job_rows, new_job, unsuccessful

NAMES = [f"{folder}/{n}" for folder in "abc" for n in range(5)]
CONTENTS = st.binary(max_size=40)


def is_settled(row: dict[str, Any]) -> bool:
    """Return whether no attempt tries an item of the report again: it was skipped, or is kept elsewhere."""
    return row["outcome"] == "skipped" or (row["outcome"], row["error_code"]) == ("not_attempted", "linked_file")


class Job(RuleBasedStateMachine):
    """One job over its life; the model holds only what must never be lost: held items, and every closed result."""

    def __init__(self) -> None:
        super().__init__()
        self.store = MemoryStore()
        self.source = MemorySource()
        self.held: dict[str, bytes] = {}
        self.closed: dict[str, bytes] = {}
        self.checked: dict[str, bytes] = {}
        self.job = ""

    @initialize(things=st.dictionaries(st.sampled_from(NAMES), st.tuples(st.sampled_from(KINDS), CONTENTS)))
    def begin(self, things: dict[str, tuple[Any, bytes]]) -> None:
        """Create a source with some things, and a job on it."""
        self.source.things = {id_: Thing(kind, data) for id_, (kind, data) in things.items()}
        self.job = new_job(self.store, self.source).job_id

    @property
    def folder(self) -> JobFolder:
        """Return the job's folder as a new process finds it."""
        return JobFolder(self.store, self.job)

    @rule(id_=st.sampled_from(NAMES), kind=st.sampled_from(KINDS), data=CONTENTS)
    def change(self, id_: str, kind: Any, data: bytes) -> None:
        """Add or change an item."""
        self.source.things[id_] = Thing(kind, data)
        self.source.opened[id_] = 0

    @rule(id_=st.sampled_from(NAMES))
    def remove(self, id_: str) -> None:
        """Remove an item."""
        self.source.things.pop(id_, None)

    @rule()
    def repair(self) -> None:
        """Make every item readable."""
        for thing in self.source.things.values():
            thing.kind = "good"

    @rule(after=st.none() | st.integers(0, 12))
    def listing(self, after: int | None) -> None:
        """Let the listing break off, or complete again."""
        self.source.breaks_after = after

    @precondition(lambda self: self.may_run)
    @rule(workers=st.integers(0, 2), tolerated=st.sampled_from([0, 20, 100, 100, 100]), compress=st.booleans())
    def run(self, workers: int, tolerated: float, compress: bool) -> None:
        """Run an attempt to its end; with threads that race, Hypothesis could not repeat it."""
        workers = workers if tolerated == 100 else 0
        attempt(self.folder, self.source, workers=workers, tolerated_failure_percentage=tolerated, compress=compress)

    @precondition(lambda self: self.may_run)
    @rule(moment=st.integers(0, 30))
    def die(self, moment: int) -> None:
        """Run an attempt whose process is killed after some writes."""
        dying = self.store.copy()
        dying.die_after = moment
        with suppress(Killed):
            attempt(JobFolder(dying, self.job), self.source)
        self.store = dying.copy()

    @precondition(lambda self: self.may_run)
    @rule(moment=st.integers(0, 30))
    def run_out_of_space(self, moment: int) -> None:
        """Run an attempt whose store is full from some write on."""
        self.store.fault = fails_at(moment, StoreFull("No space is left. [memory:]"))
        with suppress(StoreFull):
            attempt(self.folder, self.source)
        self.store.fault = None

    @precondition(lambda self: self.may_run)
    @rule(at=st.integers(1, 10))
    def cancel(self, at: int) -> None:
        """Run an attempt that is canceled while it reads."""
        stop = Stop()
        given = self.source._content
        count = iter(range(at))

        def content(item: Item) -> Content:
            if next(count, None) is None:
                stop.set(Failure("canceled", "Canceled."))
            return given(item)

        self.source._content = content  # type: ignore[method-assign]
        result = attempt(self.folder, self.source, stop=stop)
        self.source._content = given  # type: ignore[method-assign]
        these = result.this_attempt
        is_done = result.listing_complete and not (these.failed or these.left)
        assert (result.status is JobStatus.CANCELED) is (bool(stop) and not is_done)

    @precondition(lambda self: self.may_run and bool(self.folder.closed_attempts()) and not self.has_lost_attempts)
    @rule(data=st.data())
    def retry_some(self, data: st.DataObject) -> None:
        """Retry with some rows of the report of any attempt."""
        number = data.draw(st.sampled_from(self.folder.closed_attempts()))
        rows = sorted(unsuccessful(self.folder, number))
        chosen = data.draw(st.lists(st.sampled_from(rows))) if rows else []
        left = {id_ for id_, row in unsuccessful(self.folder).items() if not is_settled(row)}
        opened = self.source.opened.copy()
        before = job_rows(self.folder)
        # This includes an attempt that died after its listing, and that this one closes first.
        listed = any((self.folder.inventory_totals(n) or {}).get("listed") for n in self.folder.attempts())
        result = attempt(self.folder, self.source, only=[Item(id_, id_) for id_ in chosen])
        done = {id_ for id_ in self.source.opened if self.source.opened[id_] != opened[id_]}
        assert done <= left & set(chosen)
        assert listed or "enumeration_failed" not in before or "enumeration_failed" in job_rows(self.folder)
        assert result.counts.succeeded >= len(self.held)

    @property
    def has_lost_attempts(self) -> bool:
        """Return whether the next attempt will first close others, which may change what is left to do."""
        return self.folder.attempts() != self.folder.closed_attempts()

    @property
    def may_run(self) -> bool:
        """Return whether an attempt may run.

        Not after a Successfully completed one, unless a lost attempt follows it.
        """
        try:
            result = self.folder.result()
        except CollectError:
            return True
        return result is None or result.status is not JobStatus.SUCCESSFULLY_COMPLETED

    @invariant()
    def adds_up(self) -> None:
        """Check that every closed account agrees, no held item is lost or read again, and no result changes."""
        if not self.job or self.store.blobs == self.checked:
            return
        self.checked = dict(self.store.blobs)
        check_account(self.folder)
        self.is_verified()
        rows = held(self.folder)
        assert self.held.keys() <= rows.keys()
        for id_, row in rows.items():
            known = self.held.setdefault(id_, row["sha256"])
            assert known == row["sha256"], "something that was held was collected again"
        results = {key: data for key, data in self.store.blobs.items() if key.endswith("result.json")}
        assert self.closed.items() <= results.items()
        self.closed = results

    def is_verified(self) -> None:
        """Check that the job is valid; the next start adds the entries that a dead process did not write."""
        problems = [problem for problem in verify_job(self.folder).problems if "does not say" not in problem.what]
        assert not problems
        record_missed_events(JobFolder(copy := self.store.copy(), self.job))
        assert verify_job(JobFolder(copy, self.job)).valid

    def teardown(self) -> None:
        """Complete the job once everything can be read, whatever happened before, with all items."""
        if not self.job or not self.may_run:
            return
        self.source.breaks_after = None
        self.repair()
        attempt(self.folder, self.source)
        result = attempt(self.folder, self.source) if self.may_run else self.folder.result()
        check_account(self.folder)
        assert result is not None
        gone = [id_ for id_ in unsuccessful(self.folder) if id_ in self.source.things]
        settled = [id_ for id_ in gone if is_settled(unsuccessful(self.folder)[id_])]
        assert gone == settled
        assert result.counts.left == 0


@pytest.fixture(autouse=True, scope="module")
def small() -> Any:
    """Use shards of three items, and segments of their own for items of 30 bytes or more."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(enumeration, "SHARD_ITEMS", 3)
        patch.setattr(shard, "LARGE_ITEM", 30)
        patch.setattr(shard, "SMALL_ITEM", 20)
        yield


assert SUCCEEDS
TestHistories = Job.TestCase
TestHistories.settings = settings(
    max_examples=examples(15),
    stateful_step_count=10,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
