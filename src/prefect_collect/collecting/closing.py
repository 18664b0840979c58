"""Closes an attempt: writes manifest, error report and result, computed from what its shards committed.

The same computation ends an attempt that ran to its end, one that was canceled, and one whose process was killed: what
was committed counts, every other item is not attempted.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import count
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from prefect_collect.codes import CANCELED, WORKER_LOST, Failure
from prefect_collect.collecting.attempt_parts import AttemptParts
from prefect_collect.collecting.enumeration import Doubled
from prefect_collect.collecting.incremental import incremental_text
from prefect_collect.collecting.shard_ledger import not_attempted
from prefect_collect.errors import CorruptPart, KeyExists
from prefect_collect.escaping import one_line
from prefect_collect.job_folder import store_keys, table_columns
from prefect_collect.job_folder.account import result_of
from prefect_collect.job_folder.checked_evidence import Vouched
from prefect_collect.job_folder.custody_rules import damage_text
from prefect_collect.job_folder.error_report import ReportWriter, error_rows, job_row
from prefect_collect.job_folder.folder import JobFolder, JobRecord
from prefect_collect.job_folder.id_sets import IdSet
from prefect_collect.job_folder.ledger import inventory_table, ledger_bytes, manifest_rows, read_inventory
from prefect_collect.job_folder.ledger_counts import count_elsewhere, counts_by_holder, cut_off, ledger_counts
from prefect_collect.job_folder.lifecycle import record_result
from prefect_collect.job_folder.parquet import PartWriter, part_bytes
from prefect_collect.job_folder.process_identity import is_alive, is_gone
from prefect_collect.job_folder.result import Counts, TaskResult, receipt_of

_NAMED: Final = 5
"""How many paths a sentence names."""

_SHOWN: Final = 200
"""Characters of a path that a sentence shows."""

_GONE: Final = "Of what earlier attempts could not collect, "
"""How the sentence about what is not in the account any more begins, which later attempts repeat."""

UNLISTED = Failure("enumeration_failed", "The source was never listed to its end, so items may be missing.")


@dataclass
class Ending:
    """Why and how an attempt ends, as far as it does not follow from the ledger.

    Attributes:
        missing: Why the items that no shard committed were not attempted.
        early: Why the attempt stopped early; also a failure of the job if the attempt left items without an outcome.
        job_failures: What went wrong with the job as a whole.
        canceled: A user canceled the attempt: it ends as Canceled, unless all of its items had succeeded.
        lost: The attempt's process is gone, so its ledger is compared with its inventory.
        warnings: Sentences for the result that a user should act on.
        notes: Sentences for the result that say what is.
    """

    missing: Failure = WORKER_LOST
    early: Failure | None = None
    job_failures: list[Failure] = field(default_factory=list)
    canceled: bool = False
    lost: bool = False
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def close_attempt(folder: JobFolder, record: JobRecord, attempt: int, ending: Ending, started: datetime) -> TaskResult:
    """Account for every item of the attempt, and write manifest, error report and, last, the result.

    The account of earlier attempts is continued only if the custody log is whole. If the process of this attempt is
    lost, a damaged log does not prevent the closing, but the result warns of it.

    Raises:
        AttemptSuperseded: Another process closed the attempt.
        EvidenceError: The custody log is damaged.
        CorruptPart: The account does not add up.
        StoreError: The store cannot be read or written.
    """
    evidence = Vouched(folder)
    previous = _last_closed(folder, evidence, attempt, ending)
    inventory = AttemptParts(folder, attempt, compared=ending.lost)
    before = previous.counts if previous is not None else Counts()
    redone = inventory.redone() if previous is not None else IdSet()
    this = Counts()
    total = Counts()
    begun = 0
    by_holder: dict[str, list[int]] = {}
    vanished: list[str] = []
    with PartWriter(table_columns.MANIFEST) as manifest, ReportWriter(folder, attempt) as report:
        if previous is not None:
            carried, vanished = _carry(folder, evidence, previous, redone, inventory.vanished, manifest, report)
            total += carried
        for table in inventory.outcomes(ending.missing, ending.warnings):
            this += ledger_counts(table)
            begun += cut_off(table) if ending.canceled else 0
            for job, numbers in counts_by_holder(table).items():
                known = by_holder.setdefault(job, [0, 0])
                by_holder[job] = [sum(pair) for pair in zip(known, numbers, strict=True)]
            manifest.write(manifest_rows(table, attempt))
            report.write(error_rows(record, attempt, table).to_batches())
        total += this
        complete = inventory.is_complete(this.found) or (previous is not None and previous.listing_complete)
        if inventory.lost:
            ending.job_failures.append(inventory.lost_failure())
            complete = False
        canceled = ending.canceled and not (complete and this.failed == this.left == 0)
        _add_job_failures(ending, is_whole=complete, are_left=bool(this.left))
        for failure in ending.job_failures:
            report.write(job_row(record, attempt, failure).to_batches())
        total.check()
        _check_nothing_lost(total, before, this, manifest.rows)
        folder.require_open(attempt)
        manifest.store(folder.store, store_keys.manifest_key(folder.job_id, attempt), replace=True)
        report.close()
        tally = report.tally
    result = result_of(
        record, attempt, started, total, this, tally, ending.job_failures,
        receipt=receipt_of(this, begun) if canceled else None, warnings=ending.warnings,
    )  # fmt: skip
    result = replace(
        result,
        estimated_items=inventory.totals.get("items"),
        estimated_bytes=inventory.totals.get("bytes"),
        listing_complete=complete,
        relies_on=tuple(sorted({job for job, (same, _) in by_holder.items() if same} | _relied_on(previous))),
    )
    if previous is not None:
        ending.notes += [note for note in previous.notes if note.startswith(_GONE)]
    if vanished:
        ending.notes.append(_vanished_text(vanished, before.found, total.found, attempt))
    if record.options.get("since") or by_holder:
        ending.notes.append(incremental_text(record, this, by_holder))
    result = replace(result, notes=tuple(ending.notes))
    record_result(folder, result)
    return replace(result, store=folder.store)


def _last_closed(folder: JobFolder, evidence: Vouched, attempt: int, ending: Ending) -> TaskResult | None:
    """Return the result of the last attempt that was closed before this one; add the warnings of earlier attempts."""
    earlier = [number for number in folder.closed_attempts() if number < attempt]
    if earlier and not ending.lost:
        evidence.require_whole()
    elif ending.lost and (damage := evidence.damage):
        ending.warnings.append(damage_text(damage, folder.job_id))
    previous = evidence.result(earlier[-1]) if earlier else None
    if previous is not None and (late := evidence.late(previous.attempt)):
        ending.warnings.append(late)
    for number in earlier:  # what those listings said is true of the items that are carried over
        with suppress(CorruptPart):  # verifying the job says so; the account does not need it
            said = (folder.inventory_totals(number) or {}).get("warnings", ())
            ending.warnings += [one for one in said if one not in ending.warnings]
    return previous


def _add_job_failures(ending: Ending, *, is_whole: bool, are_left: bool) -> None:
    """Add why the job as a whole failed, if the listing is not whole or items are left; a canceled job is warned."""
    if ending.early is not None and (are_left or not is_whole):
        ending.job_failures.append(ending.early)
    if not is_whole and ending.canceled:
        ending.warnings.append("The source was not listed to its end, so it may hold more items than were found.")
    elif not is_whole and not ending.job_failures:
        ending.job_failures.append(UNLISTED)


def _relied_on(previous: TaskResult | None) -> set[str]:
    return set() if previous is None else set(previous.relies_on)


def _carry(
    folder: JobFolder,
    evidence: Vouched,
    previous: TaskResult,
    redone: IdSet,
    gone: Collection[str],
    manifest: PartWriter,
    report: ReportWriter,
) -> tuple[Counts, list[str]]:
    """Copy from the previous attempt's account every item that this one did not work on again.

    Return their counts, and the paths of the items whose ids are `gone`.
    """
    counts, paths = Counts(), list[str]()
    for batch in evidence.batches(store_keys.manifest_key(folder.job_id, previous.attempt)):
        counts += Counts(found=batch.num_rows, succeeded=batch.num_rows, bytes=pc.sum(batch["size"]).as_py() or 0)
        manifest.write([batch])
    for batch in evidence.batches(store_keys.report_key(folder.job_id, previous.attempt, "errors.parquet")):
        kept = batch.filter(pc.is_valid(batch["item_id"]))
        paths += _paths_of(kept, gone)
        if redone:
            kept = kept.filter(pa.array(~redone.contains(kept["item_id"].to_pylist())))
        outcomes = kept["outcome"].to_pylist()
        counts += Counts(
            found=len(outcomes),
            failed=outcomes.count("failed"),
            skipped=outcomes.count("skipped"),
            not_attempted=outcomes.count("not_attempted"),
            elsewhere=count_elsewhere(kept),
        )
        report.write([kept])
    return counts, paths


def _paths_of(batch: pa.RecordBatch, ids: Collection[str]) -> list[str]:
    """Return the paths of those items of a batch that have one of the ids."""
    if not ids:
        return []
    rows = zip(batch["item_id"].to_pylist(), batch["path"].to_pylist(), strict=True)
    return [path for id_, path in rows if id_ in ids]


def _vanished_text(paths: list[str], before: int, now: int, attempt: int) -> str:
    """Return the sentence about what is not in the account any more; it is true of later attempts too."""
    shown = ", ".join(one_line(path[:_SHOWN]) for path in paths[:_NAMED])
    more = f" and {len(paths) - _NAMED:,} more" if len(paths) > _NAMED else ""
    return (
        f"{_GONE}{len(paths):,} {'is' if len(paths) == 1 else 'are'} not listed by the source in that form any more, "
        f"and not counted: {shown}{more}. The job had found {before:,} items, and counts {now:,} since attempt "
        f"{attempt}."
    )


def _check_nothing_lost(total: Counts, before: Counts, this: Counts, manifest_rows: int) -> None:
    if manifest_rows != total.succeeded:
        raise CorruptPart(f"The manifest holds {manifest_rows} items, but {total.succeeded} succeeded.")
    if total.succeeded - this.succeeded != before.succeeded:
        raise CorruptPart(
            f"{before.succeeded} items were held before this attempt, but the earlier manifest has "
            f"{total.succeeded - this.succeeded}; restore it from a backup."
        )


def _listing_warnings(folder: JobFolder, attempt: int) -> list[str]:
    """Return the warnings about what was listed, such as items listed twice, if the listing came to its end."""
    totals = folder.inventory_totals(attempt) or {}
    return [*totals.get("warnings", ()), *Doubled.of(totals).warnings()]


def close_lost_attempts(
    folder: JobFolder, record: JobRecord, attempt: int, *, canceled: bool = False
) -> list[TaskResult]:
    """Close every open attempt before `attempt`; the items that they did not commit are not attempted.

    With `canceled`, a user canceled the last of them before its process was lost, so that it ends as Canceled.
    """
    closed = set(folder.closed_attempts())
    lost = [number for number in folder.attempts() if number < attempt and number not in closed]
    endings = {number: Ending(lost=True, warnings=_listing_warnings(folder, number)) for number in lost}
    if lost and canceled:
        endings[lost[-1]].missing, endings[lost[-1]].canceled = CANCELED, True
    for number in lost:
        claim = folder.claimed(number)
        is_own = is_alive(claim) and claim.get("pid") == os.getpid()
        if not is_own and not is_gone(claim):  # in another process, which may only have been suspended
            fence(folder, number, endings[number].missing)
    return [close_attempt(folder, record, number, endings[number], folder.claimed_at(number)) for number in lost]


def fence(folder: JobFolder, attempt: int, why: Failure) -> None:
    """Prevent the attempt's process from adding anything; `why` is the reason of the items it did not commit.

    What it commits in the meantime counts: of two processes that commit a shard, the first wins. A damaged part is left
    as it is. Raise StoreError.
    """
    if folder.inventory_totals(attempt) is None:
        _end_listing(folder, attempt)
    committed = set(folder.parts("ledger", attempt))
    for part in folder.parts("inventory", attempt):
        if part not in committed:
            with suppress(KeyExists, CorruptPart):
                table = not_attempted(read_inventory(folder, attempt, part), why)
                folder.store.create(store_keys.ledger_key(folder.job_id, attempt, part), ledger_bytes(table, []))


def _end_listing(folder: JobFolder, attempt: int) -> None:
    """Take the number of the next inventory part, with an empty part, so that the listing cannot add one."""
    empty = part_bytes(inventory_table([]))
    for part in count(max(folder.parts("inventory", attempt), default=-1) + 1):
        with suppress(KeyExists):
            folder.store.create(store_keys.inventory_key(folder.job_id, attempt, part), empty)
            return
