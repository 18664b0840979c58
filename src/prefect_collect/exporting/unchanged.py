"""The items that an incremental collection found unchanged, and left with the earlier jobs that hold them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from prefect_collect.errors import JobNotFound, KeyMissing, PackageError, UsageError
from prefect_collect.exporting.bound_collection import BoundCollection, count_unchanged
from prefect_collect.formats import FORMATS, Format
from prefect_collect.formats.incremental import require_possible_since
from prefect_collect.job_folder import store_keys, table_columns
from prefect_collect.job_folder.checked_evidence import vouched
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.job_folder.result import TaskResult
from prefect_collect.packages import Batches

_UNCHANGED: Final = "unchanged"
_NAMED: Final = 3
_OWN: Final = ("path", "custodian", "held_by")
"""The columns that the collection states of its unchanged items; all others are those of the jobs that hold them."""

_LEDGER: Final = ["item_id", *_OWN, "error_code"]


def since_text(result: TaskResult) -> str:
    """Return how many items are unchanged since which jobs, as the beginning of a sentence."""
    jobs, count = [*result.relies_on], count_unchanged(result)
    more = f" and {len(jobs) - _NAMED} more" if len(jobs) > _NAMED else ""
    items = "1 item of the source is" if count == 1 else f"{count:,} items of the source are"
    return f"{items} unchanged since job{'s' if len(jobs) > 1 else ''} {', '.join(jobs[:_NAMED])}{more}"


def require_whole(bound: BoundCollection, format: Format, deduplicate: str | None = None) -> None:
    """Raise UsageError if a format that delivers its source whole is asked of a part of it, before there is a job."""
    if why := _why_not_whole(bound, format):
        raise UsageError(why)
    if count_unchanged(bound.result):
        require_possible_since(format, since="last" if FORMATS[format].grows else None, deduplicate=deduplicate)


def _why_not_whole(bound: BoundCollection, format: Format) -> str:
    if not FORMATS[format].whole or FORMATS[format].grows or not count_unchanged(bound.result):
        return ""
    return (
        f"{FORMATS[format].title} has every table whole, but this collection is incremental: "
        f"{since_text(bound.result)} and not held by it. Collect without since and export that collection, or export "
        f"this one as bagit. [format={format}, job={bound.record.job_id}]"
    )


def part_warnings(bound: BoundCollection, format: Format) -> tuple[str, ...]:
    """Return the warning that a package of an incremental collection is a part of the source."""
    if FORMATS[format].whole or not count_unchanged(bound.result):
        return ()
    listed = FORMATS[format].list_name
    return (f"{since_text(bound.result)} and not in this package, which lists them in {listed}: export that too.",)


def with_shared(result: TaskResult, bound: BoundCollection, format: Format) -> TaskResult:
    """Return the result of an export that made a package, which says of one that grows what it shares."""
    if result.package is None or not FORMATS[format].grows or not count_unchanged(bound.result):
        return result
    return replace(result, message=f"{result.message} {since_text(bound.result)}: the version shares them.")


def unchanged_of(bound: BoundCollection, format: Format) -> Batches | None:
    """Return the unchanged items of a collection for a package that shares them; None if there are none.

    Raise PackageError if they may not lack, and the package cannot share them.
    """
    if why := _why_not_whole(bound, format):
        raise PackageError(why)
    if not FORMATS[format].grows or not count_unchanged(bound.result):
        return None
    return UnchangedItems(bound).batches


@dataclass(frozen=True)
class UnchangedItems:
    """The unchanged items of a collection, as the manifests of the jobs that hold them have them."""

    bound: BoundCollection

    def batches(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        """Yield the items, with columns of the manifest and `held_by`; paths and custodians are this collection's.

        Raises:
            PackageError: A job does not hold what this collection found unchanged in it.
            EvidenceError, StoreError: A job's files were changed, or cannot be read.
        """
        found, read = 0, ["item_id", *(name for name in columns if name not in ("item_id", *_OWN))]
        for job, wanted in self._wanted.items():
            for batch in _held_items(JobFolder(self.bound.folder.store, job), read):
                rows = [row for row, item in enumerate(batch["item_id"].to_pylist()) if item in wanted]
                if rows:
                    found += len(rows)
                    yield _described(batch.take(pa.array(rows)), job, wanted, columns)
        if found != count_unchanged(self.bound.result):
            raise PackageError(
                f"The collection found {count_unchanged(self.bound.result):,} items unchanged, but the jobs that held "
                f"them then hold {found:,} of these; collect without since, and export that collection. "
                f"[job={self.bound.record.job_id}]"
            )

    @cached_property
    def _wanted(self) -> dict[str, dict[str, tuple[str, str | None]]]:
        """The path and custodian of each item, by the job that holds it."""
        reported: set[str] = set()
        for batch in self.bound.missing(["item_id", "error_code"]):
            reported.update(batch.filter(pc.equal(batch["error_code"], _UNCHANGED))["item_id"].to_pylist())
        holder: dict[str, tuple[str, str, str | None]] = {}
        for key in self.bound.ledger_keys():
            for batch in self.bound.vouched.batches(key, _LEDGER):
                rows = batch.filter(pc.equal(batch["error_code"], _UNCHANGED))
                columns = [rows[name].to_pylist() for name in ("item_id", "held_by", "path", "custodian")]
                for item, job, path, custodian in zip(*columns, strict=True):
                    if item in reported:
                        holder[item] = job, path, custodian
        made: dict[str, dict[str, tuple[str, str | None]]] = {}
        for item, (job, path, custodian) in holder.items():
            made.setdefault(job, {})[item] = path, custodian
        return dict(sorted(made.items()))


def _held_items(folder: JobFolder, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """Yield columns of the last manifest of an earlier job. Raise PackageError, EvidenceError, StoreError."""
    try:
        result = folder.result()
        if result is not None:
            found = vouched(folder, result.attempt, enter=False)
            yield from found.batches(store_keys.manifest_key(folder.job_id, result.attempt), columns)
    except (JobNotFound, KeyMissing) as error:
        raise PackageError(
            f"A job that holds unchanged items of this collection is gone; collect without since, and export that "
            f"collection. [job={folder.job_id}]"
        ) from error


def _described(
    batch: pa.RecordBatch, job: str, wanted: dict[str, tuple[str, str | None]], columns: list[str]
) -> pa.RecordBatch:
    said = [wanted[item] for item in batch["item_id"].to_pylist()]
    own: dict[str, list[Any]] = {
        "path": [path for path, _ in said],
        "custodian": [custodian for _, custodian in said],
        "held_by": [job] * len(said),
    }
    return pa.RecordBatch.from_arrays(
        [pa.array(own[name], pa.string()) if name in own else batch[name] for name in columns],
        schema=pa.schema([table_columns.LEDGER.field(name) for name in columns]),
    )
