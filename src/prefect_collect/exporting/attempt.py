"""Exports a collection: proves its items, builds the package, and accounts for both. Does not use Prefect."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from dataclasses import replace as replaced
from datetime import datetime
from functools import partial
from typing import Final

from prefect_collect import freed_memory
from prefect_collect.codes import WORKER_LOST, Failure
from prefect_collect.documents.evidence import account_of_job
from prefect_collect.errors import (
    CollectError,
    CorruptPart,
    EvidenceError,
    JobCanceled,
    PackageError,
    StoreError,
)
from prefect_collect.exporting.bound_collection import BoundCollection
from prefect_collect.exporting.control_numbers import claim_numbers, continued_by, write_numbers
from prefect_collect.exporting.delivery import Delivery, spec_of
from prefect_collect.exporting.duplicates import mark_duplicates, with_duplicates
from prefect_collect.exporting.export_ledger import ExportLedger
from prefect_collect.exporting.family_order import in_family_order
from prefect_collect.exporting.portability import report_names
from prefect_collect.exporting.unchanged import part_warnings, unchanged_of, with_shared
from prefect_collect.formats import FORMATS
from prefect_collect.formats.load_file import LoadFile
from prefect_collect.job_folder import store_keys, table_columns
from prefect_collect.job_folder.account import result_of
from prefect_collect.job_folder.checked_evidence import Vouched
from prefect_collect.job_folder.error_report import ReportWriter, error_rows, job_row
from prefect_collect.job_folder.folder import JobFolder, JobRecord, now
from prefect_collect.job_folder.ledger import manifest_rows
from prefect_collect.job_folder.ledger_counts import cut_off, ledger_counts
from prefect_collect.job_folder.lifecycle import record_result
from prefect_collect.job_folder.parquet import PartWriter
from prefect_collect.job_folder.result import Counts, TaskResult, receipt_of
from prefect_collect.packages import (
    PACKAGE_FORMATS,
    Built,
    Checked,
    Owner,
    PackageInput,
    PackagePlace,
    check_items,
    copy_ahead,
)
from prefect_collect.stores import BegunFile, DirectoryStore
from prefect_collect.threads.abandoned import CallAbandoned, abandonable
from prefect_collect.threads.progress import Progress
from prefect_collect.threads.stop import Stop, current_stop, stopped_by

_CANCELED: Final = Failure("canceled", "The export was canceled before the package was complete.")
_LEFT: Final = "The destination did not answer the cancel, so parts of the package may be there; Start replaces them."


@abandonable
def check_package(bound: BoundCollection, delivery: Delivery, progress: Progress | None = None) -> Checked:
    """Prove every item of the collection, and find those that have the bytes of others.

    Raises:
        PackageError: A job that the items are to be compared with is not there, or there would be too many bags.
        StoreError, EvidenceError: The whole job is affected.
        JobCanceled: The `current_stop` is set to cancel (also in `build_package`).
        CallAbandoned: A store did not answer the cancel (also in `build_package`).
    """
    progress = progress or Progress()
    progress.phase = "Checking"
    local = isinstance(bound.folder.store, DirectoryStore)

    def count(items: int, size: int) -> None:
        progress.add(succeeded=items, bytes=size)

    known = {} if local else bound.segments()
    spec = spec_of(bound, delivery)
    base = PACKAGE_FORMATS[delivery.format].longest_base(bound.manifest, spec)
    begun = _begun(bound, delivery)
    try:
        checked = check_items(
            bound.manifest, bound.folder.store, spec, base=base, known=known, progress=count, stop=current_stop(),
            begins=None if begun is None else partial(copy_ahead, begun, spec.job_id),
        )  # fmt: skip
        if checked.items != bound.result.counts.succeeded:
            raise CorruptPart(
                f"The collection's manifest holds {checked.items} items, but {bound.result.counts.succeeded} "
                f"succeeded; restore it from a backup. [job={bound.record.job_id}]"
            )
        job_id = "" if delivery.owner is None else delivery.owner.job_id
        mark_duplicates(bound, checked, delivery.deduplicate, delivery.duplicates_of, job_id)
    except BaseException:
        if begun is not None:
            begun.drop()
        raise
    checked.begun = begun
    return checked


def _begun(bound: BoundCollection, delivery: Delivery) -> BegunFile | None:
    """Return the package's file, to which items are copied while they are checked; None if that cannot be.

    What is found to be damaged is cut off when the package is built, with what follows it, which is then copied again.
    """
    staging, destination = bound.folder.store, delivery.destination
    can_begin = PACKAGE_FORMATS[delivery.format].begins_with_items and delivery.deduplicate is None
    if not (can_begin and isinstance(staging, DirectoryStore) and isinstance(destination, DirectoryStore)):
        return None
    return BegunFile(destination, delivery.key(delivery.base(bound.record)), staging, current_stop())


@abandonable
def build_package(bound: BoundCollection, delivery: Delivery, checked: Checked, *, replace: bool) -> Built:
    """Build the package of the proven items. Raise PackageError, StoreError, EvidenceError.

    With `replace`, what an earlier attempt of the delivery's `owner` left is replaced or kept; nothing else is.
    """
    options = delivery.load_file or LoadFile()
    job_id = "" if delivery.owner is None else delivery.owner.job_id
    if job_id:
        claim_numbers(bound, options, job_id)
    custody = account_of_job(bound.vouched, bound.record, bound.result)
    spec = replaced(spec_of(bound, delivery), continued=continued_by(bound, options, job_id), custody=custody)
    place = PackagePlace(delivery.destination, delivery.key(delivery.base(bound.record)), delivery.owner, replace)
    unchanged = unchanged_of(bound, delivery.format)
    given = PackageInput(bound.manifest, bound.missing, checked, bound.folder.store, spec, unchanged)
    return PACKAGE_FORMATS[delivery.format].build(given, place, current_stop())


@dataclass(frozen=True)
class Steps:
    """The functions for the two long steps of an export; a flow runs them as task runs."""

    check: Callable[[BoundCollection, Delivery, Progress], Checked]
    build: Callable[[BoundCollection, Delivery, Checked, bool], Built]


STEPS: Final = Steps(
    check_package, lambda bound, delivery, checked, replace: build_package(bound, delivery, checked, replace=replace)
)
"""The steps, run in the calling thread."""


def run_export(
    folder: JobFolder, record: JobRecord, attempt: int, bound: BoundCollection, delivery: Delivery,
    steps: Steps = STEPS, stop: Stop | None = None, progress: Progress | None = None,
) -> TaskResult:  # fmt: skip
    """Run an attempt of an export, whose number was claimed, to its end, and return its result.

    Each attempt proves all items again and builds the package again. It replaces the package of an earlier attempt, but
    nothing that another export, or a user, has put under the name since. A `stop` for a cancel, or an interrupt, ends
    it without a package: between items and parts, or after a grace period at any point. Raise AttemptSuperseded if
    another process has taken over, StoreError if the result cannot be written.
    """
    with ExitStack() as held:
        return _run(
            folder, record, attempt, bound, delivery, steps, Stop() if stop is None else stop, progress or Progress(),
            held,
        )  # fmt: skip


def _run(
    folder: JobFolder, record: JobRecord, attempt: int, bound: BoundCollection, delivery: Delivery,
    steps: Steps, stop: Stop, progress: Progress, held: ExitStack,
) -> TaskResult:  # fmt: skip
    started = now()
    progress.add(found=bound.result.counts.succeeded, found_bytes=bound.result.counts.bytes)
    progress.listing = False
    close_lost_exports(folder, record, attempt, bound, delivery)
    account = ExportLedger(bound)
    try:
        with stopped_by(stop):
            delivery = replace(delivery, owner=_owner(folder, attempt, delivery, delivery.base(bound.record)))
            account.bound = bound = held.enter_context(in_family_order(bound, delivery, folder, stop))
            account.checked = checked = steps.check(bound, delivery, progress)
            if checked.begun is not None:
                held.callback(checked.begun.drop)
            stop.require_going()
            if checked.items == 0 or checked.failed < checked.items:
                progress.phase = "Packaging"
                freed_memory.give_back()
                account.built = steps.build(bound, delivery, checked, attempt > 1)
    except JobCanceled as error:
        account.left = isinstance(error, CallAbandoned) and account.checked is not None
        stop.set(_CANCELED)
    except (StoreError, EvidenceError, PackageError) as error:
        account.why = Failure(error.code, str(error))
    except CollectError:
        raise
    except Exception as error:
        account.why = Failure("unexpected_error", f"{type(error).__name__}: {error}")
    except BaseException:
        stop.set(_CANCELED)
    if account.built is None and stop.canceled:
        account.why = _CANCELED
    progress.phase = "Closing"
    freed_memory.give_back()
    folder.require_current(attempt)
    return _close(folder, record, attempt, bound, account, started, delivery)


def close_lost_exports(
    folder: JobFolder, record: JobRecord, attempt: int, bound: BoundCollection, delivery: Delivery, *,
    canceled: bool = False,
) -> None:  # fmt: skip
    """Close every open attempt before `attempt`: none of its items was delivered.

    With `canceled`, a user canceled it before its process was lost, so that it ends as Canceled.
    """
    if attempt == 1:
        return
    why = _CANCELED if canceled else WORKER_LOST
    for lost in (n for n in folder.attempts() if n < attempt and n not in folder.closed_attempts()):
        _close(folder, record, lost, bound, ExportLedger(bound, why=why), folder.claimed_at(lost), delivery)


def _owner(folder: JobFolder, attempt: int, delivery: Delivery, base: str) -> Owner:
    """Return this job, with the fingerprints of what its earlier attempts delivered to the same place."""
    if attempt == 1:
        return Owner(folder.job_id)
    where = delivery.destination.locate(delivery.key(base))
    found = Vouched(folder)
    results = [found.result(number) for number in folder.closed_attempts()]
    return Owner(folder.job_id, frozenset(r.fingerprint for r in results if r.fingerprint and r.package == where))


def _close(
    folder: JobFolder, record: JobRecord, attempt: int, bound: BoundCollection, account: ExportLedger,
    started: datetime, delivery: Delivery,
) -> TaskResult:  # fmt: skip
    counts, begun = Counts(), 0
    failures = [account.why] if account.why is not None and account.why.code != "canceled" else []
    with PartWriter(table_columns.MANIFEST) as manifest, ReportWriter(folder, attempt) as report:
        for table in account.tables(folder, attempt):
            counts += ledger_counts(table)
            begun += cut_off(table)
            report.write(error_rows(record, attempt, table).to_batches())
            manifest.write(manifest_rows(table, bound.result.attempt))
        for failure in failures:
            report.write(job_row(record, attempt, failure).to_batches())
        counts.check()
        folder.require_open(attempt)
        manifest.store(folder.store, store_keys.manifest_key(folder.job_id, attempt), replace=True)
        report.close()
        tally = report.tally
    canceled = account.why is not None and account.why.code == "canceled"
    receipt = receipt_of(counts, begun) if canceled else None
    built = account.built
    place = delivery.destination.locate(delivery.key(delivery.base(bound.record)))
    warnings = (*bound.warnings(FORMATS[delivery.format].list_name), *part_warnings(bound, delivery.format))
    warnings += () if built is None else built.warnings
    warnings += tuple([f"{_LEFT} [{place}]"] if account.left else [])
    if built is not None and "load_file" in FORMATS[delivery.format].options:
        write_numbers(folder, attempt, bound, delivery.load_file or LoadFile())
    if built is not None and account.checked is not None and "portable_names" in FORMATS[delivery.format].options:
        warnings += report_names(folder, attempt, bound, account.checked, built)
    result = replace(
        result_of(record, attempt, started, counts, counts, tally, failures, receipt=receipt, warnings=warnings),
        estimated_items=bound.result.counts.succeeded,
        estimated_bytes=bound.result.counts.bytes,
        collection={"job_id": bound.record.job_id, "attempt": bound.result.attempt},
        package=None if built is None else place,
        fingerprint=None if built is None else built.fingerprint,
    )
    result = with_duplicates(result, account.checked, delivery.deduplicate)
    result = with_shared(result, bound, delivery.format)
    if built is not None and built.remark:
        result = replace(result, message=f"{result.message} {built.remark}")
    record_result(folder, result)
    return replace(result, store=folder.store)
