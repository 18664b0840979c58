"""Runs attempts without Prefect, and checks that what they leave adds up."""

from __future__ import annotations

import csv
import hashlib
import io
import uuid
import zlib
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from prefect_collect.collecting.attempt import run_attempt
from prefect_collect.collecting.enumeration import Shard
from prefect_collect.collecting.incremental import since_options
from prefect_collect.collecting.policy import CollectionPolicy, ShardPolicy
from prefect_collect.collecting.shard import collect_shard
from prefect_collect.escaping import csv_text
from prefect_collect.exporting.attempt import run_export
from prefect_collect.exporting.bound_collection import BoundCollection, bind_collection
from prefect_collect.exporting.delivery import Delivery
from prefect_collect.job_folder import custody_events, store_keys
from prefect_collect.job_folder.folder import JobFolder, JobRecord
from prefect_collect.job_folder.lifecycle import claim_attempt, create_job
from prefect_collect.job_folder.result import Counts, TaskResult, computed_status
from prefect_collect.sources import Item, Source
from prefect_collect.statuses import TASK_OF_STATUS, JobKind
from prefect_collect.stores import Store
from prefect_collect.threads.progress import Progress
from prefect_collect.threads.retry_policy import RetryPolicy
from prefect_collect.threads.stop import Stop
from tests.support.memory_store import MemoryStore

RETRY = RetryPolicy(tries=3, wait_initial=0.001, wait_max=0.002)


class Inline:
    """Runs each shard where it is submitted; an exception ends up in the future, as in a pool."""

    def submit(self, call: Any, *args: Any) -> Future[Any]:
        """Call it now."""
        future: Future[Any] = Future()
        try:
            future.set_result(call(*args))
        except BaseException as error:
            future.set_exception(error)
        return future


def new_job(store: Store, source: Source, job_id: str | None = None, **described: Any) -> JobFolder:
    """Return the folder of a new collection."""
    folder = JobFolder(store, job_id or str(uuid.uuid4()))
    described = {"query": {}, "options": {}} | described
    where = {"name": source.name, "location": "test"}
    create_job(folder, JobRecord(folder.job_id, JobKind.COLLECTION, "test", where, "test", **described))
    return folder


def copied(made: JobFolder) -> JobFolder:
    """Return a job in a copy of its memory store, for one test to work with."""
    assert isinstance(made.store, MemoryStore)
    return JobFolder(made.store.copy(), made.job_id)


def new_incremental_job(store: Store, source: Source) -> JobFolder:
    """Return the folder of a new collection that compares with those before it."""
    record = replace(new_job(MemoryStore(), source).record(), job_id="probe")
    return new_job(store, source, options=since_options(store, record))


def attempt(
    folder: JobFolder,
    source: Source,
    *,
    only: Iterable[Item] | None = None,
    stop: Stop | None = None,
    workers: int = 0,
    progress: Progress | None = None,
    **policy: Any,
) -> TaskResult:
    """Run one attempt of a collection to its end; `workers` 0 runs the shards one after the other."""
    number = claim_attempt(folder)
    stop, progress = Stop() if stop is None else stop, progress or Progress()
    in_flight = policy.pop("in_flight", max(1, workers))
    given: dict[str, Any] = {"concurrency": 8, "retry": RETRY} | policy
    chosen = CollectionPolicy(**given)
    shards = ShardPolicy("test", chosen)

    def run(shard: Shard) -> Counts:
        return collect_shard(source, folder, number, shard.part, shards, stop, progress)

    record = folder.record()
    with ThreadPoolExecutor(max(1, workers)) as pool:
        place = pool if workers else Inline()
        return run_attempt(
            folder, record, number, source, lambda shard: place.submit(run, shard), chosen,
            in_flight=in_flight, only=only, stop=stop, progress=progress,
        )  # fmt: skip


def export(
    collection: JobFolder, destination: Store, format: Any = "bagit", job: JobFolder | None = None,
    stop: Stop | None = None, **how: Any,
) -> tuple[JobFolder, TaskResult]:  # fmt: skip
    """Run one attempt of an export: the first of a new job, or another one of `job`."""
    bound_to = int(job.claimed(1)["manifest"]) if job is not None and job.attempts() else None
    bound = bind_collection(collection.store, collection.job_id, bound_to)
    job = job or new_export(bound)
    number = claim_attempt(job, {"manifest": bound.result.attempt})
    delivery = Delivery(destination, format, **how)
    return job, run_export(job, job.record(), number, bound, delivery, stop=stop)


def new_export(bound: BoundCollection, **options: Any) -> JobFolder:
    """Return the folder of a new export; its record has these options."""
    folder, of = JobFolder(bound.folder.store, str(uuid.uuid4())), bound.record
    create_job(folder, JobRecord(folder.job_id, JobKind.EXPORT, "export", of.source, of.package_base, options=options))
    return folder


def enter_all(folder: JobFolder, *, late: bool = False) -> None:
    """Add to an empty custody log all entries that the job's files imply, as a forger would."""
    custody_events.record_created(folder, late=late)
    for number in folder.attempts():
        custody_events.record_start(folder, number, late=late)
        custody_events.record_end(folder, number, late=late)


def held(folder: JobFolder, number: int | None = None) -> dict[str, dict[str, Any]]:
    """Return the manifest's rows by item id, after that attempt or the last."""
    result = folder.result(number)
    return {} if result is None else _by_id(result.successful.to_arrow().to_pylist(), "held")


def unsuccessful(folder: JobFolder, number: int | None = None) -> dict[str, dict[str, Any]]:
    """Return the error report's rows of items by item id, after that attempt or the last."""
    result = folder.result(number)
    return {} if result is None else _of_items(result.unsuccessful.to_arrow().to_pylist())


def _of_items(report: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return _by_id([row for row in report if row["item_id"] is not None], "reported")


def _by_id(rows: list[dict[str, Any]], what: str) -> dict[str, dict[str, Any]]:
    by_id = {row["item_id"]: row for row in rows}
    assert len(by_id) == len(rows), f"an item is {what} twice"
    return by_id


def job_rows(folder: JobFolder, number: int | None = None) -> list[str]:
    """Return the codes of the error report's rows about the whole job."""
    result = folder.result(number)
    assert result is not None
    return _of_the_job(result.unsuccessful.to_arrow().to_pylist())


def _of_the_job(report: list[dict[str, Any]]) -> list[str]:
    return [row["error_code"] for row in report if row["item_id"] is None]


def check_account(folder: JobFolder, contents: dict[str, bytes] | None = None) -> None:
    """Assert, for every closed attempt, that its counts, manifest, report, status and staged bytes agree."""
    before: set[str] = set()
    for number in folder.closed_attempts():
        result = folder.result(number)
        assert result is not None
        counts = result.counts
        assert counts.found == counts.succeeded + counts.failed + counts.skipped + counts.not_attempted
        # Each table is read once, as nearly every test of an attempt ends in this.
        rows = _by_id(result.successful.to_arrow().to_pylist(), "held")
        report = result.unsuccessful.to_arrow().to_pylist()
        reported, of_job = _of_items(report), _of_the_job(report)
        assert len(rows) == counts.succeeded
        assert len(reported) == counts.failed + counts.skipped + counts.not_attempted
        assert not rows.keys() & reported.keys(), "an item is both held and reported"
        outcomes = [row["outcome"] for row in reported.values()]
        for outcome in ("failed", "skipped", "not_attempted"):
            assert outcomes.count(outcome) == getattr(counts, outcome)
        linked = [row for row in reported.values() if row["error_code"] == "linked_file"]
        assert {row["outcome"] for row in linked} <= {"not_attempted"}
        assert (len(linked), counts.left) == (counts.elsewhere, counts.not_attempted - counts.elsewhere)
        assert sum(row["size"] for row in rows.values()) == counts.bytes
        canceled = result.status.value == "Canceled"
        assert result.status is computed_status(counts, incomplete=bool(of_job), canceled=canceled)
        assert result.task_status is TASK_OF_STATUS[result.status]
        assert before <= rows.keys(), "something that was held is lost"
        before = set(rows)
        _check_csv(folder, number, report)
        for item_id, row in rows.items():
            _check_staged(folder, row, None if contents is None else contents.get(item_id))


def _check_csv(folder: JobFolder, number: int, exact: list[dict[str, Any]]) -> None:
    data = folder.store.read(store_keys.report_key(folder.job_id, number, "errors.csv"))
    cells = list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")))
    assert [csv_text(row["item_id"]) for row in cells] == [row["item_id"] or "" for row in exact]
    assert [row["error_code"] for row in cells] == [row["error_code"] for row in exact]


def _check_staged(folder: JobFolder, row: dict[str, Any], expected: bytes | None) -> None:
    key = store_keys.segment_key(folder.job_id, row["segment"])
    data = folder.store.read(key, row["offset"], row["offset"] + row["stored_size"])
    if row["deflated"]:
        data = zlib.decompress(data, -zlib.MAX_WBITS)
    assert len(data) == row["size"]
    assert hashlib.sha256(data).digest() == row["sha256"]
    assert zlib.crc32(data) == row["crc32"]
    if expected is not None:
        assert data == expected
