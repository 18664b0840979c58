"""A process that dies after any write: its commits stay, and the next start ends like an undisturbed job."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from prefect_collect.errors import AttemptSuperseded, CollectError, StoreUnavailable
from prefect_collect.exporting.bound_collection import bind_collection
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.job_folder.ledger import read_ledger
from prefect_collect.job_folder.store_keys import result_key
from prefect_collect.sources import Listed
from prefect_collect.statuses import JobStatus
from tests.examples import STEP
from tests.support.memory_source import MemorySource, Thing
from tests.support.memory_store import Killed, MemoryStore
from tests.support.run_attempts import attempt, check_account, export, held, new_export, new_job, unsuccessful

pytestmark = pytest.mark.usefixtures("small_shards")


def things() -> dict[str, Thing]:
    """Return eight readable items, and three that cannot be read."""
    good = {f"good/{n}": Thing("good", f"content {n}".encode()) for n in range(8)}
    return good | {f"denied/{n}": Thing("denied", b"secret") for n in range(2)} | {"sock": Thing("skipped")}


def committed(folder: JobFolder) -> set[str]:
    """Return the items in the ledger parts of all attempts."""
    ids: set[str] = set()
    for number in folder.attempts():
        for part in folder.parts("ledger", number):
            table = read_ledger(folder, number, part)
            assert table is not None
            ids.update(row["item_id"] for row in table.to_pylist() if row["outcome"] == "succeeded")
    return ids


def essence(folder: JobFolder) -> dict[str, object]:
    """Return what must be the same whatever interrupted the job."""
    rows, reported = held(folder), unsuccessful(folder)
    result = folder.result()
    assert result is not None
    return {
        "held": {id_: (row["path"], row["size"], row["sha256"]) for id_, row in rows.items()},
        "reported": {id_: (row["outcome"], row["error_code"]) for id_, row in reported.items()},
        "status": result.status,
        "counts": result.counts,
    }


def results(store: MemoryStore) -> dict[str, bytes]:
    """Return every result.json."""
    return {key: data for key, data in store.blobs.items() if key.endswith("result.json")}


def writes_of(store: MemoryStore, source: MemorySource) -> int:
    """Return the number of writes of an attempt."""
    copy = store.copy()
    attempt(JobFolder(copy, next(iter(store.folders()))), source)
    return len(copy.written) - len(store.written)


@pytest.mark.parametrize(("workers", "step"), [(0, 1), (2, 3)])
def test_dying_after_each_write_of_a_first_attempt(workers: int, step: int) -> None:
    """The next start reads no item again that a ledger part holds, and ends like an undisturbed job.

    With threads, whose writes come in another order each time, every third write is enough.
    """
    clean = MemoryStore()
    attempt(folder := new_job(clean, source := MemorySource(things())), source)
    wanted = essence(folder)
    start = MemoryStore()
    job = new_job(start, MemorySource(things())).job_id
    total = writes_of(start, MemorySource(things()))
    assert total > 15
    for moment in range(0, total, step * STEP):
        dying = start.copy()
        dying.die_after = moment
        source = MemorySource(things())
        with pytest.raises(Killed):
            attempt(JobFolder(dying, job), source, workers=workers)
        found = dying.copy()
        folder = JobFolder(found, job)
        kept = committed(folder)
        closed = results(found)
        before = source.given.copy()
        attempt(folder, source)
        check_account(folder, {id_: thing.data for id_, thing in things().items()})
        assert essence(folder) == wanted, moment
        assert all(source.given[id_] == before[id_] for id_ in kept), moment
        assert closed.items() <= results(found).items()


def test_dying_after_each_write_of_a_retry() -> None:
    """The same holds for a second attempt, which works on what the first left."""
    start = MemoryStore()
    source = MemorySource(things())
    folder = new_job(start, source)
    attempt(folder, source)
    repaired = things() | {"denied/0": Thing("good", b"secret")}
    clean = start.copy()
    attempt(JobFolder(clean, folder.job_id), MemorySource(repaired))
    wanted = essence(JobFolder(clean, folder.job_id))
    for moment in range(0, len(clean.written) - len(start.written), STEP):
        dying = start.copy()
        dying.die_after = moment
        source = MemorySource(repaired)
        with pytest.raises(Killed):
            attempt(JobFolder(dying, folder.job_id), source)
        found = dying.copy()
        again = JobFolder(found, folder.job_id)
        attempt(again, source)
        check_account(again)
        assert essence(again) == wanted, moment
        assert source.given["denied/0"] <= 2
        assert not any(source.given[id_] for id_ in things() if id_.startswith("good"))
        assert results(start).items() <= results(found).items()


def test_dying_again_and_again() -> None:
    """Attempts that die after a few writes each keep what they held and read it never again; the next one completes."""
    store = MemoryStore()
    source = MemorySource(things())
    job = new_job(store, source).job_id
    for _ in range(6):
        store = store.copy()
        store.die_after = 12
        kept, before = committed(JobFolder(store.copy(), job)), source.given.copy()
        with pytest.raises(Killed):
            attempt(JobFolder(store, job), source)
        assert all(source.given[id_] == before[id_] for id_ in kept)
    folder, before = JobFolder(store.copy(), job), source.given.copy()
    result = attempt(folder, source)
    check_account(folder)
    assert folder.closed_attempts() == [1, 2, 3, 4, 5, 6, 7]
    assert (result.counts.succeeded, result.counts.failed, result.counts.not_attempted) == (8, 2, 0)
    assert source.given == before


def test_a_lost_attempt_says_that_its_worker_was_lost() -> None:
    """Items that a killed attempt did not commit are not attempted, with a code that tells why."""
    codes = set()
    for moment in range(2, 9):
        source = MemorySource(things())
        folder = new_job(store := MemoryStore(), source)
        store.die_after = moment
        with pytest.raises(Killed):
            attempt(folder, source)
        folder = JobFolder(store.copy(), folder.job_id)
        attempt(folder, source)
        lost = [row for row in unsuccessful(folder, 1).values() if row["outcome"] == "not_attempted"]
        codes |= {row["error_code"] for row in lost}
        result = folder.result(1)
        assert result is not None
        assert result.status in (JobStatus.PARTIALLY_COMPLETED, JobStatus.FAILED)
        assert result.counts.not_attempted == len(lost)
    assert codes == {"worker_lost"}


@pytest.mark.parametrize("format", ["bagit", "directory"])
def test_dying_after_each_write_of_an_export(format: str) -> None:
    """The next start of an export that died builds it again, with the bytes of an undisturbed export."""
    start = MemoryStore()
    source = MemorySource(things())
    collection = new_job(start, source)
    attempt(collection, source)
    clean, delivered = start.copy(), MemoryStore()
    export(JobFolder(clean, collection.job_id), delivered, format)
    steps = len(clean.written) - len(start.written) - 2 + len(delivered.written)
    seen = set()
    for moment in range(0, steps + 3, STEP):
        dying, destination = start.copy(), MemoryStore()
        _share_life(dying, destination, moment + 2)
        bound = bind_collection(dying, collection.job_id)
        job = new_export(bound)
        try:
            export(JobFolder(dying, collection.job_id), destination, format, job)
        except Killed:
            seen.add(moment)
        found = dying.copy()
        destination = destination.copy()
        folder = JobFolder(found, job.job_id)
        if folder.result() is None:
            export(JobFolder(found, collection.job_id), destination, format, folder)
        check_export(folder)
        result = folder.result()
        assert result is not None
        assert result.status is JobStatus.SUCCESSFULLY_COMPLETED
        assert destination.blobs == delivered.blobs, moment
    assert STEP * len(seen) > 5


def test_a_store_that_fails_for_the_first_write_of_a_result() -> None:
    """If the result cannot be written, the attempt ends with the store's error, and the next start closes it."""
    store = MemoryStore()
    source = MemorySource(things())
    folder = new_job(store, source)

    def fault(operation: str, key: str) -> None:
        if key == result_key(folder.job_id, 1):
            raise StoreUnavailable("Busy. [memory:]")

    store.fault = fault
    with pytest.raises(CollectError, match="Busy"):
        attempt(folder, source)
    store.fault = None
    result = attempt(folder, source)
    check_account(folder)
    assert (result.attempt, result.counts.succeeded) == (2, 8)
    assert source.given["good/0"] == 1


def test_a_process_that_was_taken_for_dead() -> None:
    """A stale process notices that another one took over, and changes nothing that the other one has closed."""
    store = MemoryStore()
    source = MemorySource(things())
    folder = new_job(store, source)
    listed = source.items
    after: dict[str, bytes] = {}

    def items() -> Iterator[Listed]:
        found = list(listed())
        yield from found[:6]
        source.items = listed  # type: ignore[method-assign]
        attempt(JobFolder(store, folder.job_id), source)
        after.update({key: data for key, data in store.blobs.items() if "/ledger/" not in key and "/seg" not in key})
        yield from found[6:]

    source.items = items  # type: ignore[method-assign]
    with pytest.raises(AttemptSuperseded):
        attempt(folder, source)
    assert folder.closed_attempts() == [1, 2]
    check_account(folder)
    assert {key: store.blobs[key] for key in after} == after
    assert held(folder).keys() == {f"good/{n}" for n in range(8)}


def check_export(folder: JobFolder) -> None:
    """Check an export's account by the same rules; its manifest lists what it delivered."""
    for number in folder.closed_attempts():
        result = folder.result(number)
        assert result is not None
        result.counts.check()
        assert len(result.successful) == result.counts.succeeded
        assert len(unsuccessful(folder, number)) == result.counts.found - result.counts.succeeded


def _share_life(first: MemoryStore, second: MemoryStore, moment: int) -> None:
    """Let both stores fail after that many writes to either."""
    left = iter(range(moment))

    def fault(operation: str, key: str) -> None:
        if operation == "write":
            return
        if next(left, None) is None:
            first.dead = second.dead = True
            raise Killed

    first.fault = second.fault = fault
