"""A cancel ends an export whose store does not answer, and an abandoned call changes nothing later."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from stat import S_ISREG
from typing import Any

import pytest

from prefect_collect.codes import CANCELED
from prefect_collect.errors import StoreUnavailable
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.job_folder.result import Receipt, TaskResult
from prefect_collect.packages import verify
from prefect_collect.statuses import JobStatus, TaskStatus
from prefect_collect.stores import DirectoryStore, Store, _directory_writer
from prefect_collect.threads import abandoned
from prefect_collect.threads import stop as stop_module
from prefect_collect.threads.pool import Pool
from prefect_collect.threads.stop import Stop
from tests.support.memory_source import MemorySource, Thing
from tests.support.memory_store import MemoryStore
from tests.support.run_attempts import attempt, check_account, copied, export, job_rows, new_job

_COUNT = 12


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use a short grace for a store that hangs."""
    monkeypatch.setattr(stop_module, "GRACE", 0.3)
    monkeypatch.setattr(abandoned, "SETTLING", 0.1)
    monkeypatch.setattr(abandoned, "_RETURNING", 0.1)


@dataclass
class Hang:
    """Makes its first caller hang until it is released, and signals when it does."""

    error: BaseException | None = None
    reached: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)

    def here(self) -> None:
        """Hang once, and then raise the error, if there is one."""
        if self.reached.is_set():
            return
        self.reached.set()
        self.released.wait()
        if self.error is not None:
            raise self.error


@dataclass
class HangingStore(MemoryStore):
    """A store that hangs when a blob with such a key is read."""

    read_hang: Hang | None = None
    ending: str = ""

    def read(self, key: str, start: int = 0, end: int | None = None) -> bytes:  # noqa: D102
        if self.read_hang is not None and key.endswith(self.ending):
            self.read_hang.here()
        return super().read(key, start, end)


def collected(store: Store) -> JobFolder:
    """Return a collection of some items."""
    source = MemorySource({f"good/{n:02d}": Thing("good", f"content {n}".encode() * 99) for n in range(_COUNT)})
    folder = new_job(store, source)
    attempt(folder, source)
    return folder


@cache
def _delivered(format: str) -> tuple[JobFolder, MemoryStore]:
    destination = MemoryStore()
    collection = collected(MemoryStore())
    export(collection, destination, format)
    return collection, destination


def delivered(format: str) -> tuple[JobFolder, MemoryStore]:
    """Return a collection of a test's own, in a store that has an export of it too, and what that delivered."""
    collection, destination = _delivered(format)
    return copied(collection), destination


def canceled(hang: Hang, collection: JobFolder, destination: Store, format: str) -> tuple[JobFolder, TaskResult]:
    """Return an export that is canceled when it hangs, with its result while it still hangs."""
    stop = Stop()
    with ThreadPoolExecutor(1) as pool:
        work: Future[Any] = pool.submit(export, collection, destination, format, stop=stop)
        assert hang.reached.wait(30)
        stop.set(CANCELED)
        job, result = work.result(30)
    assert not hang.released.is_set()
    assert (result.status, result.task_status) == (JobStatus.CANCELED, TaskStatus.CANCELED)
    assert (result.package, result.fingerprint, result.counts.succeeded) == (None, None, 0)
    check_account(job)
    assert job_rows(job) == []
    return job, result


def left_behind() -> list[threading.Thread]:
    """Return the abandoned steps that still run."""
    return [found for found in threading.enumerate() if found.name in ("check_package", "build_package")]


def let_go(hang: Hang) -> None:
    """Let the store answer, and wait for the abandoned steps."""
    hang.released.set()
    for thread in left_behind():
        thread.join(30)
    assert not left_behind()


@pytest.mark.parametrize(
    ("format", "operation", "ending"),
    [
        ("bagit", "write", "test.zip"),
        ("bagit", "commit", "test.zip"),
        ("directory", "create", "unfinished.txt"),
        ("directory", "create", "good/07"),
        ("directory", "write", "manifest-sha256.txt"),
        ("directory", "commit", "items.csv"),
        ("directory", "commit", "bagit.txt"),
    ],
)
def test_a_destination_that_hangs(format: str, operation: str, ending: str) -> None:
    """Wherever it hangs, the export ends as Canceled with a warning of what may be left; Start delivers the package."""
    collection, wanted = delivered(format)
    destination = MemoryStore()
    hang = Hang(StoreUnavailable("The connection was lost. [test]"))

    def fault(done: str, key: str) -> None:
        if done == operation and key.endswith(ending):
            hang.here()

    destination.fault = fault
    job, result = canceled(hang, collection, destination, format)
    assert result.receipt == Receipt(0, _COUNT, 0, 0)
    assert [warning for warning in result.warnings if "did not answer" in warning]
    assert left_behind()
    before = dict(destination.blobs)
    assert not {"test.zip", "test/bagit.txt"} & before.keys()
    let_go(hang)
    assert destination.blobs == before
    _, result = export(collection, destination, format, job)
    assert (result.status, result.warnings) == (JobStatus.SUCCESSFULLY_COMPLETED, ())
    assert destination.blobs == wanted.blobs


def test_a_late_answer(tmp_path: Path) -> None:
    """An abandoned call does not change the package that the next attempt has delivered."""
    collection, hang = collected(DirectoryStore(tmp_path / "staging")), Hang()
    destination = DirectoryStore(tmp_path / "out")
    create = destination.create

    def slow(key: str, data: Any, into: Any = None) -> Any:
        if key.endswith("good/07"):
            hang.here()
        return create(key, data, into)

    destination.create = slow  # type: ignore[method-assign]
    job, _ = canceled(hang, collection, destination, "directory")
    _, result = export(collection, DirectoryStore(tmp_path / "out"), "directory", job)
    assert result.status is JobStatus.SUCCESSFULLY_COMPLETED
    before = [*destination.list()]
    let_go(hang)
    assert [*destination.list()] == before
    assert verify(str(tmp_path / "out" / "test")).valid


def test_a_late_last_piece() -> None:
    """A file whose last piece is written late is not completed."""
    collection, destination, hang, pieces = collected(MemoryStore()), MemoryStore(), Hang(), Counter[str]()
    destination.fault = lambda operation, _: pieces.update([operation])
    export(collection, destination)
    destination = MemoryStore()
    left = iter(range(pieces["write"] - 1))
    destination.fault = lambda *_: None if next(left, None) is not None else hang.here()
    canceled(hang, collection, destination, "bagit")
    let_go(hang)
    assert destination.blobs == {}


@pytest.mark.parametrize("operation", ["remove", "delete"])
def test_a_removal_that_hangs(operation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once its attempt is closed, the removal of what a canceled export has written does not continue.

    The removal begins within the grace after the cancel, also on a busy machine.
    """
    monkeypatch.setattr(stop_module, "GRACE", 2.0)
    collection, destination, hang, stop = collected(MemoryStore()), MemoryStore(), Hang(), Stop()

    def fault(done: str, key: str) -> None:
        if done == "commit" and key.endswith("items.csv"):
            stop.set(CANCELED)
        if done == operation:
            hang.here()

    destination.fault = fault
    with ThreadPoolExecutor(1) as pool:
        job, result = pool.submit(export, collection, destination, "directory", stop=stop).result(30)
    assert hang.reached.is_set()
    assert not hang.released.is_set()
    assert result.status is JobStatus.CANCELED
    assert [warning for warning in result.warnings if "did not answer" in warning]
    tags = {key for key in destination.blobs if "/data/" not in key}
    assert "test/items.csv" in tags
    let_go(hang)
    assert tags <= destination.blobs.keys()
    _, result = export(collection, destination, "directory", job)
    assert result.status is JobStatus.SUCCESSFULLY_COMPLETED


@pytest.mark.parametrize("format", ["bagit", "directory"])
def test_a_staging_store_that_hangs(format: str) -> None:
    """While items are proven, nothing is written to the destination."""
    store, destination, hang = HangingStore(), MemoryStore(), Hang()
    collection = collected(store)
    store.read_hang, store.ending = hang, ".zip"
    job, result = canceled(hang, collection, destination, format)
    assert result.receipt == Receipt(0, 0, _COUNT, 0)
    assert result.warnings == ()
    let_go(hang)
    assert destination.blobs == {}
    _, result = export(collection, destination, format, job)
    assert result.status is JobStatus.SUCCESSFULLY_COMPLETED


@pytest.mark.parametrize(("format", "call"), [("bagit", "copy_file_range"), ("bagit", "fsync"), ("directory", "fsync")])
def test_a_disk_that_hangs(format: str, call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy or sync that ends after the export gives no file its name."""
    collection = collected(DirectoryStore(tmp_path / "staging"))
    hang, out = Hang(), tmp_path / "out"
    begins = b"PK" if format == "bagit" else b"Ba"  # the start of the file that completes a package
    real = getattr(os, call)
    monkeypatch.setattr(_directory_writer, "_SMALL", 0)  # so that the kernel copies also a small package

    def slow(*args: Any, **options: Any) -> Any:
        to = args[1] if call == "copy_file_range" else args[0]
        is_there = os.readlink(f"/proc/self/fd/{to}").startswith(f"{out}/") and S_ISREG(os.fstat(to).st_mode)
        if is_there and (call == "copy_file_range" or os.pread(to, 2, 0) == begins):
            hang.here()
        return real(*args, **options)

    monkeypatch.setattr(os, call, slow)
    job, result = canceled(hang, collection, DirectoryStore(out), format)
    assert result.receipt == Receipt(0, _COUNT, 0, 0)
    let_go(hang)
    assert not (out / "test.zip").exists()
    assert not (out / "test" / "bagit.txt").exists()
    _, result = export(collection, DirectoryStore(out), format, job)
    assert result.status is JobStatus.SUCCESSFULLY_COMPLETED
    assert result.package is not None
    assert verify(result.package).valid


@pytest.mark.usefixtures("heeding_interrupts")
def test_an_interrupt_while_the_store_hangs() -> None:
    """Ctrl-C ends the export like a cancel."""
    collection, destination, hang = collected(MemoryStore()), MemoryStore(), Hang()
    destination.fault = lambda *_: hang.here()

    def interrupt() -> None:
        hang.reached.wait()
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    job, result = export(collection, destination)
    assert not hang.released.is_set()
    assert (result.status, result.receipt) == (JobStatus.CANCELED, Receipt(0, _COUNT, 0, 0))
    check_account(job)
    let_go(hang)
    assert destination.blobs == {}


def test_a_pool_maps_in_order() -> None:
    """An error is raised in the order of its call; calls that have not begun are not made after the caller stops."""
    begun, go = list[int](), threading.Semaphore(2)

    def call(n: int) -> int:
        begun.append(n)
        go.acquire()
        return 6 // n

    with Pool(1, "test") as pool:
        found = pool.map(call, [3, 2, 1, 0])
        assert next(found) == 2
        assert next(found) == 3
        found.close()  # type: ignore[attr-defined]
        go.release(9)
    assert 0 not in begun
    with Pool(2, "test") as pool, pytest.raises(ZeroDivisionError):
        list(pool.map(call, [1, 0]))


@pytest.mark.parametrize("format", ["bagit", "directory"])
def test_an_error_after_the_cancel(format: str) -> None:
    """A store that fails while the export stops does not make it Failed."""
    collection, destination, stop = collected(MemoryStore()), MemoryStore(), Stop()

    def fault(operation: str, key: str) -> None:
        stop.set(CANCELED)
        raise StoreUnavailable("The connection was lost. [test]")

    destination.fault = fault
    job, result = export(collection, destination, format, stop=stop)
    assert (result.status, job_rows(job)) == (JobStatus.CANCELED, [])
    check_account(job)
