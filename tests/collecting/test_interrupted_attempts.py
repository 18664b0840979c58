"""Attempts that are canceled, interrupted, or whose store fails: the account adds up, and a retry goes on."""

from __future__ import annotations

import threading

import pytest

from prefect_collect.codes import Failure
from prefect_collect.errors import StoreFull
from prefect_collect.job_folder.lifecycle import claim_attempt
from prefect_collect.sources import Content, Item
from prefect_collect.statuses import JobStatus, TaskStatus
from prefect_collect.threads.progress import Progress
from prefect_collect.threads.stop import Stop
from tests.collecting.things_of_a_kind import some
from tests.examples import STEP
from tests.support.memory_source import MemorySource, Thing
from tests.support.memory_store import MemoryStore, fails_at
from tests.support.run_attempts import attempt, check_account, job_rows, new_job

pytestmark = pytest.mark.usefixtures("small_shards")


def test_empty_source_fails_though_the_first_attempt_was_killed() -> None:
    """The first attempt that reaches the listing's end decides, even if it is not attempt 1."""
    source = MemorySource()
    folder = new_job(MemoryStore(), source)
    claim_attempt(folder)
    result = attempt(folder, source, on_empty="fail")
    check_account(folder)
    assert (result.attempt, result.status) == (2, JobStatus.FAILED)


def test_cancel_between_items() -> None:
    """A canceled job keeps what is committed, reports what was never started, and collects that in the next attempt."""
    source = MemorySource(some("good", 20))
    folder = new_job(MemoryStore(), source)
    stop, progress = Stop(), Progress()
    given = source._content

    def content(item: Item) -> Content:
        if item.id == "good/007":
            stop.set(Failure("canceled", "Canceled."))
        return given(item)

    source._content = content  # type: ignore[method-assign]
    result = attempt(folder, source, stop=stop, progress=progress)
    check_account(folder)
    assert (result.status, result.task_status) == (JobStatus.CANCELED, TaskStatus.CANCELED)
    assert result.counts.succeeded == 8
    assert result.counts.not_attempted >= 1
    result = attempt(folder, source)
    check_account(folder)
    assert (result.status, result.counts.succeeded) == (JobStatus.SUCCESSFULLY_COMPLETED, 20)
    assert set(source.given.values()) == {1}


def test_an_interrupt_while_listing() -> None:
    """KeyboardInterrupt makes the attempt Canceled, not crashed."""
    source = MemorySource(some("good", 10))
    listed = source.items

    def items():  # type: ignore[no-untyped-def]
        for count, item in enumerate(listed()):
            if count == 5:
                raise KeyboardInterrupt
            yield item

    source.items = items  # type: ignore[method-assign]
    folder = new_job(MemoryStore(), source)
    result = attempt(folder, source)
    check_account(folder)
    assert result.status is JobStatus.CANCELED
    source.items = listed  # type: ignore[method-assign]
    result = attempt(folder, source)
    check_account(folder)
    assert (result.status, result.counts.succeeded) == (JobStatus.SUCCESSFULLY_COMPLETED, 10)


def test_a_shard_that_cannot_be_handed_out() -> None:
    """If shards cannot be submitted any more, the attempt ends and reports that; it does not wait for ever."""
    source = MemorySource(some("good", 10))
    folder = new_job(MemoryStore(), source)
    from prefect_collect.collecting.attempt import run_attempt
    from prefect_collect.collecting.policy import CollectionPolicy

    def submit(shard: object) -> object:
        raise RuntimeError("no more threads")

    ended: list[object] = []

    def run() -> None:
        ended.append(run_attempt(folder, folder.record(), claim_attempt(folder), source, submit, CollectionPolicy()))  # type: ignore[arg-type]

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(60)
    assert ended
    check_account(folder)
    result = folder.result()
    assert result is not None
    assert (result.status, result.counts.not_attempted) == (JobStatus.FAILED, 10)
    assert attempt(folder, source).status is JobStatus.SUCCESSFULLY_COMPLETED
    check_account(folder)


@pytest.mark.parametrize("number", range(0, 26, STEP))
def test_store_fails_at_any_write(number: int) -> None:
    """A store that is full from some write on causes no wrong account.

    When it has space again, a retry completes it.
    """
    source = MemorySource(some("good", 8) | some("denied", 2))
    store = MemoryStore()
    folder = new_job(store, source)
    store.fault = fails_at(number, StoreFull("No space is left. [memory:]"))
    try:
        result = attempt(folder, source)
    except StoreFull:
        pass
    else:
        assert result.status in (JobStatus.FAILED, JobStatus.PARTIALLY_COMPLETED)
    store.fault = None
    check_account(folder)
    source.things["denied/000"].kind = "good"
    result = attempt(folder, source)
    check_account(folder)
    assert (result.status, result.counts.succeeded) == (JobStatus.PARTIALLY_COMPLETED, 9)


def test_store_full_for_a_while() -> None:
    """A store that is full for one write only: the affected items report it, and the attempt closes correctly."""
    source = MemorySource(some("good", 9))
    store = MemoryStore()
    folder = new_job(store, source)

    def fault(operation: str, key: str) -> None:
        if operation == "commit" and key.endswith("segments/0001/00001.zip"):
            raise StoreFull("No space is left. [memory:]")

    store.fault = fault
    result = attempt(folder, source)
    check_account(folder)
    assert result.status is JobStatus.PARTIALLY_COMPLETED
    assert "disk_full" in job_rows(folder)
    store.fault = None
    result = attempt(folder, source)
    check_account(folder)
    assert (result.status, result.counts.succeeded) == (JobStatus.SUCCESSFULLY_COMPLETED, 9)


def test_what_was_never_tried_is_not_looked_up_again() -> None:
    """A start after a cancel reads the remaining items as they are then, without a look-up request for each."""
    source = MemorySource({f"good/{n}": Thing("good") for n in range(9)})
    folder = new_job(MemoryStore(), source)
    stop = Stop()
    stop.set(Failure("canceled", "Canceled."))
    attempt(folder, source, stop=stop)
    source.things["good/1"] = Thing("good", b"another size by now")
    lookups: list[str] = []
    look_up = source.relist
    source.relist = lambda item: (lookups.append(item.id), look_up(item))[1]  # type: ignore[method-assign]
    result = attempt(folder, source)
    assert result.status is JobStatus.SUCCESSFULLY_COMPLETED
    assert lookups == []
