"""A cancel ends the work at any point, also in a source that never answers, and leaves a receipt."""

# ruff: noqa: D102 - the methods are those of the protocol.

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from prefect_collect.codes import CANCELED, Failure
from prefect_collect.collecting import enumeration, shard
from prefect_collect.collecting.closing import close_lost_attempts
from prefect_collect.job_folder import store_keys
from prefect_collect.job_folder.result import Receipt, TaskResult
from prefect_collect.sources import SMALL_ITEM, Content, Item, Listed
from prefect_collect.statuses import JobStatus
from prefect_collect.threads import stop as stop_module
from prefect_collect.threads.progress import Progress
from prefect_collect.threads.retry_policy import RetryPolicy
from prefect_collect.threads.stop import Stop
from tests.support.memory_source import MemorySource, Thing, large, small
from tests.support.memory_store import Killed, MemoryStore
from tests.support.run_attempts import attempt, check_account, held, new_job, unsuccessful

_SOON = 0.3


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use small shards, and a short grace for a source that hangs."""
    monkeypatch.setattr(enumeration, "SHARD_ITEMS", 3)
    for module in (stop_module, enumeration):
        monkeypatch.setattr(module, "GRACE", _SOON)


@dataclass
class HangingSource(MemorySource):
    """A source that hangs at the item `hangs_at` until it is released, and signals when it gets there."""

    hangs_at: str = ""
    where: str = "open"
    reached: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)
    ended: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def _hang(self, id_: str, where: str) -> None:
        if id_ == self.hangs_at and where == self.where:
            self.reached.set()
            self.released.wait()

    def items(self) -> Iterator[Listed]:
        for item in super().items():
            if isinstance(item, Item):
                self._hang(item.id, "items")
            yield item
        self.ended.release()

    @contextmanager
    def open(self, item: Item) -> Iterator[Content]:
        self._hang(item.id, "open")
        content = self._content(item)

        def chunks() -> Iterator[bytes]:
            for chunk in content.chunks:
                yield bytes(chunk)
                self._hang(item.id, "chunks")

        yield Content(chunks(), content.size)
        self.ended.release()

    def read_many(self, items: Iterable[Item], concurrency: int) -> Iterator[tuple[Item, Content | Exception]]:
        for item in items:
            self._hang(item.id, "read_many")
            yield item, self._content(item)
        self.ended.release()


class Watched(Progress):
    """A progress that signals when that many items have succeeded."""

    def __init__(self, wanted: int) -> None:
        super().__init__()
        self.wanted = wanted
        self.reached = threading.Event()
        self.add()

    def add(self, **more: int) -> None:
        super().add(**more)
        if self.succeeded >= self.wanted:
            self.reached.set()


def canceled(source: HangingSource, folder: Any, *, after: int = 0, **how: Any) -> TaskResult:
    """Return the result of an attempt that is canceled when its source hangs and that many items are staged."""
    stop, progress = Stop(), Watched(after)
    with ThreadPoolExecutor(1) as pool:
        work: Future[TaskResult] = pool.submit(attempt, folder, source, stop=stop, progress=progress, **how)
        assert source.reached.wait(30)
        assert progress.reached.wait(30)
        stop.set(CANCELED)
        return work.result(30)


def finish(source: HangingSource, folder: Any, count: int) -> None:
    """Start again with a source that answers: everything is collected, and no kept item is read again."""
    source.where = ""
    kept = set(held(folder))
    before = source.given.copy()
    result = attempt(folder, source)
    check_account(folder)
    assert (result.status, result.counts.succeeded) == (JobStatus.SUCCESSFULLY_COMPLETED, count)
    assert all(source.given[id_] == before[id_] for id_ in kept)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_listing_that_hangs(workers: int) -> None:
    """What was listed is accounted for; the listing is not reported as complete."""
    source = HangingSource(small(10), hangs_at="good/007", where="items")
    folder = new_job(MemoryStore(), source)
    result = canceled(source, folder, workers=workers)
    check_account(folder)
    assert (result.status, result.counts.found, result.listing_complete) == (JobStatus.CANCELED, 7, False)
    assert "may hold more items" in " ".join(result.warnings)
    before = dict(folder.store.blobs)  # type: ignore[attr-defined]
    source.released.set()
    finish(source, folder, 10)
    assert before.items() <= folder.store.blobs.items()  # type: ignore[attr-defined]


def test_a_listing_without_end() -> None:
    """The listing is stopped at the next item."""
    source = MemorySource()
    stop = Stop()

    def items() -> Iterator[Item]:
        number = 0
        while True:
            id_ = f"good/{number:05d}"
            source.things[id_] = Thing("good", b"x")
            yield source._item(id_)
            number += 1
            if number == 100:
                stop.set(CANCELED)

    source.items = items  # type: ignore[method-assign]
    folder = new_job(MemoryStore(), source)
    result = attempt(folder, source, stop=stop)
    check_account(folder)
    assert result.status is JobStatus.CANCELED
    assert result.counts.found in (100, 101)


@pytest.mark.parametrize("where", ["read_many", "open", "chunks"])
def test_a_read_that_hangs(where: str) -> None:
    """The item being read is cut off, the items before it are kept, and the items after it were never started."""
    things = small(7) if where == "read_many" else large(7)
    ids = sorted(things)
    source = HangingSource(things, hangs_at=ids[4], where=where)
    folder = new_job(MemoryStore(), source)
    result = canceled(source, folder, after=4 if where == "read_many" else 5)
    check_account(folder)
    receipt = result.receipt
    assert receipt is not None
    assert (receipt.kept, receipt.kept + receipt.cut_off + receipt.never_started) == (
        result.counts.succeeded,
        result.counts.found,
    )
    cut = [id_ for id_, row in unsuccessful(folder).items() if row["tries"] and row["outcome"] == "not_attempted"]
    assert ids[4] in cut
    assert len(cut) == receipt.cut_off
    assert receipt.kept >= 3
    assert str(receipt) in result.message
    before = dict(folder.store.blobs)  # type: ignore[attr-defined]
    source.released.set()
    assert source.ended.acquire(timeout=30)
    assert folder.store.blobs == before  # type: ignore[attr-defined]
    finish(source, folder, 7)


def test_an_item_of_its_own_segment_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A large item that is cut off leaves no segment."""
    monkeypatch.setattr(shard, "LARGE_ITEM", SMALL_ITEM)
    source = HangingSource(large(3), hangs_at="large/001", where="chunks")
    folder = new_job(MemoryStore(), source)
    result = canceled(source, folder, after=2)
    check_account(folder)
    assert result.receipt is not None
    assert (result.receipt.cut_off, result.receipt.kept) == (1, 2)
    assert len([blob for blob in folder.store.list() if "/segments/" in blob.key]) == 2
    source.released.set()
    finish(source, folder, 3)


def test_the_wait_for_another_try_ends() -> None:
    """A cancel ends the wait between two tries; the item failed, and says why."""
    source = HangingSource({"down": Thing("down", bytes(SMALL_ITEM + 1))})
    stop = Stop()
    down = source._content

    def content(item: Item) -> Content:
        threading.Timer(0.05, stop.set, [CANCELED]).start()
        return down(item)

    source._content = content  # type: ignore[method-assign]
    folder = new_job(MemoryStore(), source)
    result = attempt(folder, source, stop=stop, retry=RetryPolicy(5, 3600, 3600))
    check_account(folder)
    assert (result.status, result.counts.failed) == (JobStatus.CANCELED, 1)


def test_a_cancel_that_changes_nothing() -> None:
    """A job that is canceled while its last item is read, which succeeds, is Successfully completed."""
    source = HangingSource(small(1))
    folder, stop = new_job(MemoryStore(), source), Stop()
    given = source._content

    def content(item: Item) -> Content:
        stop.set(CANCELED)
        return given(item)

    source._content = content  # type: ignore[method-assign]
    result = attempt(folder, source, stop=stop)
    check_account(folder)
    assert (result.counts.succeeded, result.status, result.receipt) == (1, JobStatus.SUCCESSFULLY_COMPLETED, None)


def test_a_cancel_after_too_many_failures() -> None:
    """A job that has stopped for another reason, but still lists its source, can be canceled."""
    source = HangingSource({"denied": Thing("denied")} | small(20), hangs_at="good/009", where="items")
    folder = new_job(MemoryStore(), source)
    result = canceled(source, folder, tolerated_failure_percentage=0)
    check_account(folder)
    assert result.status is JobStatus.CANCELED
    source.released.set()


def test_the_receipt_is_kept() -> None:
    """The receipt is in result.json and in the message; a later attempt has its own or none."""
    source = HangingSource(small(4), hangs_at="good/003", where="items")
    folder = new_job(MemoryStore(), source)
    result = canceled(source, folder, after=3)
    source.released.set()
    assert result.receipt == Receipt(3, 0, 0, sum(len(source.things[f"good/{n:03d}"].data) for n in range(3)))
    assert result.message == "Canceled: 3 items kept, 0 cut off, 0 never started."
    assert folder.result() == result
    values = json.loads(folder.store.read(store_keys.result_key(folder.job_id, 1)))
    assert values["receipt"] == {"kept": 3, "cut_off": 0, "never_started": 0, "kept_bytes": result.counts.bytes}
    finish(source, folder, 4)
    last = folder.result()
    assert last is not None
    assert last.receipt is None


def test_results_without_a_receipt_can_be_read() -> None:
    """A result that an earlier version wrote has no receipt."""
    source = MemorySource(small(1))
    folder = new_job(MemoryStore(), source)
    attempt(folder, source)
    key = store_keys.result_key(folder.job_id, 1)
    values = json.loads(folder.store.read(key))
    del values["receipt"]
    folder.store.blobs[key] = json.dumps(values).encode()  # type: ignore[attr-defined]
    result = folder.result()
    assert result is not None
    assert result.receipt is None


def test_a_canceled_job_whose_process_was_killed() -> None:
    """Closed by another process, the job is Canceled, and what its process did not commit was never started."""
    source = MemorySource(small(10))
    store = MemoryStore()
    folder = new_job(store, source)
    store.die_after = 7
    with pytest.raises(Killed):
        attempt(folder, source)
    folder.store = found = store.copy()
    (result,) = close_lost_attempts(folder, folder.record(), 2, canceled=True)
    check_account(folder)
    assert result.status is JobStatus.CANCELED
    assert result.receipt is not None
    assert result.receipt.never_started == result.counts.not_attempted > 0
    assert {row["error_code"] for row in unsuccessful(folder).values()} == {"canceled"}
    folder.store = found
    assert attempt(folder, source).counts.succeeded == 10


def test_a_failure_is_told_apart_from_a_cut() -> None:
    """Items that failed before the cancel, without tries left, stay failed."""
    source = HangingSource({"denied": Thing("denied", bytes(SMALL_ITEM + 1))} | large(2), hangs_at="large/001")
    folder = new_job(MemoryStore(), source)
    result = canceled(source, folder, after=1)
    source.released.set()
    check_account(folder)
    assert result.receipt is not None
    assert (result.counts.failed, result.receipt.cut_off, result.receipt.never_started) == (1, 1, 0)
    assert "1 failed" in result.message
    assert Failure("canceled", "x").code in result.codes
