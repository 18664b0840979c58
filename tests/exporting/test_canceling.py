"""A canceled export stops between items and parts, leaves no unfinished package, and can be started again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from prefect_collect.codes import CANCELED
from prefect_collect.job_folder.result import Receipt
from prefect_collect.packages import verify
from prefect_collect.statuses import JobStatus, TaskStatus
from prefect_collect.stores import DirectoryStore
from prefect_collect.threads.stop import Stop
from tests.examples import STEP
from tests.support.memory_source import MemorySource, Thing
from tests.support.memory_store import MemoryStore
from tests.support.run_attempts import attempt, export, new_job

_COUNT = 6


def collected(store: Any) -> Any:
    """Return a collection of some items, one of which was not collected."""
    things = {f"good/{n:02d}": Thing("good", f"content {n}".encode() * 99) for n in range(_COUNT)}
    source = MemorySource(things | {"denied": Thing("denied")})
    folder = new_job(store, source)
    attempt(folder, source)
    return folder


@pytest.mark.parametrize("format", ["bagit", "directory", "loadfile-directory"])
def test_canceled_before_each_write(format: str) -> None:
    """Before whichever write it is canceled, it leaves a complete package or none.

    The next start delivers the same bytes.
    """
    collection = collected(MemoryStore())
    wanted = MemoryStore()
    export(collection, wanted, format)
    statuses = []
    for moment in range(0, 100, STEP):
        destination, stop = MemoryStore(), Stop()
        left = iter(range(moment))

        def fault(operation: str, key: str, stop: Stop = stop, left: Any = left) -> None:
            if next(left, None) is None:
                stop.set(CANCELED)

        destination.fault = fault
        job, result = export(collection, destination, format, stop=stop)
        destination.fault = None
        statuses.append(result.status)
        if result.status is JobStatus.SUCCESSFULLY_COMPLETED:
            assert destination.blobs == wanted.blobs
            if not stop:
                break
            continue
        assert (result.status, result.task_status) == (JobStatus.CANCELED, TaskStatus.CANCELED)
        assert destination.blobs == {}, moment
        assert result.receipt == Receipt(0, _COUNT, 0, 0)
        assert (result.package, result.counts.not_attempted) == (None, _COUNT)
        _, again = export(collection, destination, format, job)
        assert again.status is JobStatus.SUCCESSFULLY_COMPLETED
        assert destination.blobs == wanted.blobs
    assert statuses[0] is JobStatus.CANCELED
    assert statuses[-1] is JobStatus.SUCCESSFULLY_COMPLETED


def test_canceled_before_the_items_are_checked() -> None:
    """No item is exported then."""
    collection = collected(MemoryStore())
    destination, stop = MemoryStore(), Stop()
    stop.set(CANCELED)
    _, result = export(collection, destination, stop=stop)
    assert result.receipt == Receipt(0, 0, _COUNT, 0)
    assert result.message == f"Canceled: 0 items kept, 0 cut off, {_COUNT} never started."
    assert destination.blobs == {}


def test_what_others_put_into_the_folder_stays(tmp_path: Path) -> None:
    """A canceled export does not delete a file that another user put beside its own."""
    collection = collected(DirectoryStore(tmp_path / "staging"))
    destination, stop = DirectoryStore(tmp_path / "out"), Stop()
    create = destination.create

    def intruded(key: str, data: Any, into: Any = None) -> Any:
        if key.endswith("good/03"):
            create("test/theirs.txt", b"mine")
            stop.set(CANCELED)
        return create(key, data, into)

    destination.create = intruded  # type: ignore[method-assign]
    _, result = export(collection, destination, "directory", stop=stop)
    assert result.status is JobStatus.CANCELED
    assert (tmp_path / "out" / "test" / "theirs.txt").read_bytes() == b"mine"


def test_a_canceled_export_is_completed_later(tmp_path: Path) -> None:
    """Started again on real folders, it delivers a valid package."""
    collection = collected(DirectoryStore(tmp_path / "staging"))
    destination, stop = DirectoryStore(tmp_path / "out"), Stop()
    create = destination.create

    def canceling(key: str, data: Any, into: Any = None) -> Any:
        stop.set(CANCELED)
        return create(key, data, into)

    destination.create = canceling  # type: ignore[method-assign]
    job, result = export(collection, destination, "directory", stop=stop)
    assert result.status is JobStatus.CANCELED
    assert [*destination.list()] == []
    _, result = export(collection, DirectoryStore(tmp_path / "out"), "directory", job)
    assert result.status is JobStatus.SUCCESSFULLY_COMPLETED
    assert verify(str(tmp_path / "out" / "test")).valid
