"""The control numbers that an export as a load file gave, kept for the exports that continue it.

    reports/0001/numbers.parquet    source, item_id, sha256, number, and family where items state any

They are kept in the export's folder, whose custody log vouches for them, because a package may be gone when it is
continued. An item keeps its number if its source, id and bytes are the same; an item with other bytes gets a new one.

One export continues another: two would give the same new numbers to different items. Which one does is recorded in the
custody log of the export that is continued, before the package is made. An export that was deleted, or whose attempts
have all ended without a package, does not count. If the export that is continued was deleted, a retry of the one that
continues it keeps the numbers of its own earlier attempt.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pyarrow as pa

from prefect_collect.errors import KeyMissing, PackageError, UsageError
from prefect_collect.exporting.bound_collection import BoundCollection
from prefect_collect.formats.load_file import LoadFile
from prefect_collect.job_folder import custody_log, store_keys, table_columns
from prefect_collect.job_folder.checked_evidence import Vouched, vouched
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.job_folder.parquet import PartWriter, read_schema
from prefect_collect.packages import Continued, Plan, number_key, plan_of
from prefect_collect.stores import Store

NUMBERS: Final = "numbers.parquet"
"""The report that lists the numbers."""

_FAMILY: Final = "family"

CONTINUED: Final = "continued"
"""The action of the custody entry that names the export by which this one is continued."""


def source_of(bound: BoundCollection) -> str:
    """Return what stands for the collection's source in the list: its location, or else its name."""
    source = bound.record.source
    return str(source.get("location") or source.get("name") or "")


def require_continuable(store: Store, options: LoadFile | None) -> None:
    """Raise UsageError if the export to be continued is not there, cannot be continued, or was continued already.

    `store` is the collection's staging store.

    Raise EvidenceError and StoreError, too.
    """
    if options is not None and options.continue_from is not None:
        try:
            _evidence(store, options)
            _require_not_continued(store, options)
        except PackageError as error:
            raise UsageError(str(error)) from error


def claim_numbers(bound: BoundCollection, options: LoadFile, job_id: str) -> None:
    """Record that this export continues the one that its options name, if they name one.

    Raise PackageError if another export does, EvidenceError, StoreError.
    """
    if options.continue_from is not None:
        store = bound.folder.store
        _evidence(store, options, job_id)
        if not JobFolder(store, options.continue_from).exists():
            return  # a retry, with the numbers of its own earlier attempt
        _require_not_continued(store, options, job_id)
        custody_log.append(bound.folder.beside(options.continue_from), CONTINUED, {"job": job_id})
        _require_not_continued(store, options, job_id)  # another may have been recorded at the same time


def continued_by(bound: BoundCollection, options: LoadFile, job_id: str) -> Continued | None:
    """Return the numbers that the export gave which `job_id` is to continue; None if it continues none.

    Raises:
        PackageError: There is no such export in the collection's staging store, or it cannot be continued.
        EvidenceError: Its files differ from what its custody log vouches for.
        StoreError: They cannot be read.
    """
    if options.continue_from is None:
        return None
    known, last, source, families = dict[bytes, int](), 0, source_of(bound), dict[bytes, tuple[int, int]]()
    for batch in _earlier(bound, options, job_id):
        last = max([last, *batch["number"].to_pylist()])
        rows = [*zip(*(batch[name].to_pylist() for name in table_columns.NUMBERS.names), strict=True)]
        known |= {number_key(item_id, sha256 or b""): number for of, item_id, sha256, number, _ in rows if of == source}
        for of, _, _, number, family in rows:
            if family is not None and of == source:
                low, high = families.get(family, (number, number))
                families[family] = min(low, number), max(high, number)
    return Continued(known, last, families)


def write_numbers(folder: JobFolder, attempt: int, bound: BoundCollection, options: LoadFile) -> None:
    """List the number of every item of the bound collection, after those that are continued.

    Raise PackageError, EvidenceError, StoreError.
    """
    continued, source = continued_by(bound, options, folder.job_id), source_of(bound)
    plan = plan_of(bound.manifest, options, continued)
    names = _columns(plan, bound, options, folder.job_id)
    with PartWriter(pa.schema(map(table_columns.NUMBERS.field, names))) as written:
        if continued is not None:
            written.write(batch.select(names) for batch in _earlier(bound, options, folder.job_id))
        start = 0
        for batch in bound.manifest(["item_id", "sha256"]):
            rows = range(start, start + batch.num_rows)
            start += batch.num_rows
            numbers = [plan.number(row) for row in rows]
            columns = {
                "source": pa.array([source] * len(numbers), pa.string()),
                "item_id": batch["item_id"],
                "sha256": batch["sha256"],
                "number": pa.array(numbers, pa.int64()),
            }
            if _FAMILY in names:
                families = None if plan.families is None else plan.families.families
                columns[_FAMILY] = pa.array([families and families.key_of(row) for row in rows], pa.binary(16))
            table = pa.Table.from_arrays([columns[name] for name in names], schema=written.schema)
            if continued is not None:  # the others are there already
                table = table.filter(pa.array([number > continued.last for number in numbers], pa.bool_()))
            written.write(table.to_batches())
        written.store(folder.store, store_keys.report_key(folder.job_id, attempt, NUMBERS), replace=True)


def _columns(plan: Plan, bound: BoundCollection, options: LoadFile, job_id: str) -> list[str]:
    """Return the columns of the list: with families if an item states one, or the export that is continued has them."""
    every: list[str] = table_columns.NUMBERS.names
    if plan.families is not None:
        return every
    if options.continue_from is not None:
        _, key = _evidence(bound.folder.store, options, job_id)
        if _FAMILY in read_schema(bound.folder.store, key).names:
            return every
    return [name for name in every if name != _FAMILY]


def has_numbers_without_families(folder: JobFolder) -> bool:
    """Return whether an attempt of this export gave numbers without looking for families, as earlier versions did."""
    own = _own_numbers(folder)
    return own is not None and _FAMILY not in read_schema(folder.store, own[1]).names


def _earlier(bound: BoundCollection, options: LoadFile, job_id: str) -> Iterator[pa.RecordBatch]:
    """Return the numbers of the export that is continued. Raise PackageError."""
    found, key = _evidence(bound.folder.store, options, job_id)
    return found.batches(key)


def _evidence(store: Store, options: LoadFile, job_id: str = "") -> tuple[Vouched, str]:
    """Return what vouches for the numbers of the export that is continued, and their key. Raise PackageError.

    If that was deleted, they are those of an earlier attempt of `job_id`.
    """
    earlier = JobFolder(store, str(options.continue_from))
    if job_id and not earlier.exists() and (own := _own_numbers(JobFolder(store, job_id))) is not None:
        return own
    result = earlier.result() if earlier.exists() else None
    if result is None or result.package is None:
        raise PackageError(
            f"There is no export with a package of that id in the staging store of the collection; name one by its id. "
            f"[continue_from={options.continue_from}]"
        )
    key = store_keys.report_key(earlier.job_id, result.attempt, NUMBERS)
    try:
        store.stat(key)
    except KeyMissing as error:
        raise PackageError(
            f"The export that is to be continued made no load file. [continue_from={options.continue_from}]"
        ) from error
    found = vouched(earlier, result.attempt, enter=False)
    record = found.record()
    before = LoadFile.of(record.options.get("load_file"))
    if before.prefix != options.prefix:
        raise PackageError(
            f"The export that is to be continued has other control numbers, which begin with {before.prefix}; export "
            f"with that prefix. [continue_from={options.continue_from}, prefix={options.prefix}]"
        )
    return found, key


def _own_numbers(folder: JobFolder) -> tuple[Vouched, str] | None:
    """Return the same of the last attempt of this export that gave numbers; None if none did."""
    for attempt in reversed(folder.closed_attempts()):
        key = store_keys.report_key(folder.job_id, attempt, NUMBERS)
        try:
            folder.store.stat(key)
        except KeyMissing:
            continue
        return vouched(folder, attempt, enter=False), key
    return None


def _require_not_continued(store: Store, options: LoadFile, job_id: str = "") -> None:
    """Raise PackageError if an export other than `job_id` continues the one that the options name.

    Of two exports that are recorded at the same time, the first one goes on.
    """
    earlier = JobFolder(store, str(options.continue_from))
    entries = custody_log.check_chain(earlier).entries
    found = {str(entry.details.get("job")): entry.number for entry in entries if entry.action == CONTINUED}
    own = found.pop(job_id, None)
    for other, number in found.items():
        folder = JobFolder(store, other)
        if _has_delivered(folder) or ((own is None or number < own) and _is_open(folder)):
            raise PackageError(
                f"The export that is to be continued was continued by {other}, whose new items have the next numbers; "
                f"continue from that, or delete it if its package is not used. [continue_from={options.continue_from}]"
            )


def _has_delivered(folder: JobFolder) -> bool:
    """Return whether an attempt of the export made a package; False if the export was deleted."""
    if not folder.exists():
        return False
    results = (folder.result(attempt) for attempt in folder.closed_attempts())
    return any(result is not None and result.package is not None for result in results)


def _is_open(folder: JobFolder) -> bool:
    return folder.exists() and not {*folder.attempts()} <= {*folder.closed_attempts()}
