"""Closing an attempt: manifest, error report and result, computed from what its shards committed.

The same computation ends an attempt that ran to its end, one that was canceled, and one whose process was killed: what
was committed counts, everything else is not attempted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from prefect_collect import layout, schemas
from prefect_collect.errors import CorruptPart
from prefect_collect.idsets import IdSet
from prefect_collect.items import Failure
from prefect_collect.jobfolder import JobFolder, JobRecord, now
from prefect_collect.ledger import ledger_counts, not_attempted, read_inventory, read_ledger
from prefect_collect.parts import PartWriter, read_batches
from prefect_collect.reports import ReportWriter, error_rows, job_row
from prefect_collect.results import Counts, TaskResult, computed_status
from prefect_collect.statuses import TASK_OF_STATUS

WORKER_LOST = Failure("worker_lost", "The process that ran the job ended before it came to this item.")

UNLISTED = Failure("enumeration_failed", "The source was never listed to its end, so items may be missing.")


@dataclass
class Ending:
    """Why and how an attempt ends: what the ledger alone does not say.

    `missing` is the reason of items that no shard committed; `job_failures` concern the whole job.
    """

    missing: Failure = WORKER_LOST
    job_failures: list[Failure] = field(default_factory=list)
    canceled: bool = False
    warnings: list[str] = field(default_factory=list)


def close_attempt(folder: JobFolder, record: JobRecord, attempt: int, ending: Ending, started: datetime) -> TaskResult:
    """Account for every item of the attempt, and write manifest, error report and, last, the result.

    Raises AttemptSuperseded if another process closed it, StoreError, CorruptPart if the account does not add up.
    """
    if not (ending.job_failures or ending.canceled or listing_complete(folder, attempt)):
        ending.job_failures.append(UNLISTED)
    previous = folder.result(max((n for n in folder.closed_attempts() if n < attempt), default=0))
    before = previous.counts if previous is not None else Counts()
    redone = _inventoried(folder, attempt)
    this = Counts()
    total = Counts()
    with PartWriter(schemas.MANIFEST) as manifest, ReportWriter(folder, attempt) as report:
        if previous is not None:
            carried = _carry(folder, previous.attempt, redone, manifest, report)
            total += carried
        for table in _shards(folder, attempt, ending):
            this += ledger_counts(table)
            manifest.write(_held(table, attempt))
            report.write(error_rows(record, attempt, table).to_batches())
        total += this
        for failure in ending.job_failures:
            report.write(job_row(record, attempt, failure).to_batches())
        total.check()
        _check_nothing_lost(total, before, this, manifest.rows)
        folder.require_open(attempt)
        manifest.store(folder.store, layout.manifest_key(folder.job_id, attempt), replace=True)
        report.close()
        codes = report.codes
    result = _result(folder, record, attempt, ending, started, total, this, codes)
    folder.close(result)
    return replace(result, store=folder.store)


def _result(
    folder: JobFolder, record: JobRecord, attempt: int, ending: Ending, started: datetime,
    total: Counts, this: Counts, codes: dict[str, int],
) -> TaskResult:  # fmt: skip
    status = computed_status(total, incomplete=bool(ending.job_failures), canceled=ending.canceled)
    totals = folder.inventory_totals(attempt) or {}
    return TaskResult(
        job_id=record.job_id,
        kind=record.kind,
        attempt=attempt,
        task_status=TASK_OF_STATUS[status],
        status=status,
        counts=total,
        this_attempt=this,
        started=started,
        ended=now(),
        estimated_items=totals.get("items"),
        estimated_bytes=totals.get("bytes"),
        codes=dict(sorted(codes.items(), key=lambda entry: (-entry[1], entry[0]))),
        warnings=tuple(ending.warnings),
        message=describe(total, codes, ending.job_failures),
        store=folder.store,
    )


def describe(counts: Counts, codes: dict[str, int], job_failures: Sequence[Failure]) -> str:
    """One line for the state of a job: counts first, then what went wrong."""
    parts = [f"{counts.succeeded:,} of {counts.found:,} items succeeded"]
    rest = (counts.failed, "failed"), (counts.skipped, "skipped"), (counts.not_attempted, "not attempted")
    parts += [f"{number:,} {words}" for number, words in rest if number]
    text = ", ".join(parts)
    if codes:
        text += " (" + ", ".join(f"{code} {n:,}" for code, n in sorted(codes.items(), key=lambda e: -e[1])) + ")"
    return ". ".join([text, *(failure.message.rstrip(".") for failure in job_failures)]) + "."


def _inventoried(folder: JobFolder, attempt: int) -> IdSet:
    """The items that this attempt took over from earlier ones: those it lists, and the folders it opened up."""
    ids = IdSet()
    if attempt == 1:
        return ids
    for part in folder.parts("inventory", attempt):
        table = read_inventory(folder, attempt, part)
        ids.add(table["item_id"].to_pylist())
        ids.add(table["expands"].drop_null().unique().to_pylist())
    ids.add((folder.inventory_totals(attempt) or {}).get("resolved", ()))
    return ids


def _carry(folder: JobFolder, previous: int, redone: IdSet, manifest: PartWriter, report: ReportWriter) -> Counts:
    """Take over from the attempt before what this one did not work on again."""
    counts = Counts()
    for batch in read_batches(folder.store, layout.manifest_key(folder.job_id, previous)):
        counts += Counts(found=batch.num_rows, succeeded=batch.num_rows, bytes=pc.sum(batch["size"]).as_py() or 0)
        manifest.write([batch])
    for batch in read_batches(folder.store, layout.report_key(folder.job_id, previous, "errors.parquet")):
        kept = batch.filter(pc.is_valid(batch["item_id"]))
        if redone:
            kept = kept.filter(pa.array(~redone.contains(kept["item_id"].to_pylist())))
        outcomes = kept["outcome"].to_pylist()
        counts += Counts(
            found=len(outcomes),
            failed=outcomes.count("failed"),
            skipped=outcomes.count("skipped"),
            not_attempted=outcomes.count("not_attempted"),
        )
        report.write([kept])
    return counts


def _shards(folder: JobFolder, attempt: int, ending: Ending) -> Iterator[pa.Table]:
    """The outcomes of every inventory part, committed or not."""
    for part in folder.parts("inventory", attempt):
        try:
            table = read_ledger(folder, attempt, part)
        except CorruptPart as error:
            ending.warnings.append(str(error))
            inventory = read_inventory(folder, attempt, part)
            yield not_attempted(inventory, Failure("ledger_corrupt", str(error)))
            continue
        yield table if table is not None else not_attempted(read_inventory(folder, attempt, part), ending.missing)


def _held(table: pa.Table, attempt: int) -> list[pa.RecordBatch]:
    rows = table.filter(pc.equal(table["outcome"], "succeeded"))
    names = [f.name for f in schemas.MANIFEST][:-1]
    rows = rows.select(names).append_column(
        schemas.MANIFEST.field("attempt"), pa.array([attempt] * rows.num_rows, pa.int16())
    )
    return rows.replace_schema_metadata(None).cast(schemas.MANIFEST).to_batches()  # type: ignore[no-any-return]


def _check_nothing_lost(total: Counts, before: Counts, this: Counts, manifest_rows: int) -> None:
    if manifest_rows != total.succeeded:
        raise CorruptPart(f"The manifest holds {manifest_rows} items, but {total.succeeded} succeeded.")
    if total.succeeded - this.succeeded != before.succeeded:
        raise CorruptPart(
            f"{before.succeeded} items were held before this attempt, but the manifest of then has "
            f"{total.succeeded - this.succeeded}; restore it from a backup."
        )


def close_lost_attempts(folder: JobFolder, record: JobRecord, attempt: int) -> list[TaskResult]:
    """Close every attempt before `attempt` that no process closed; what they did not commit is not attempted."""
    closed = set(folder.closed_attempts())
    return [
        close_attempt(folder, record, lost, Ending(), folder.claimed_at(lost))
        for lost in folder.attempts()
        if lost < attempt and lost not in closed
    ]


def listing_complete(folder: JobFolder, attempt: int) -> bool:
    """Whether this attempt or one before it listed the source to its end, so that a retry need not."""
    totals = (folder.inventory_totals(n) for n in folder.attempts() if n <= attempt)
    return any(found.get("listed") for found in totals if found is not None)
