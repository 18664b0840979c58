"""Repeats the account of a job: compares its ledger with its manifest, error reports, results and segments."""

from __future__ import annotations

import os
import re
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from prefect_collect.archive.problems import Problems
from prefect_collect.errors import CorruptPart, EvidenceError, KeyMissing
from prefect_collect.job_folder import store_keys
from prefect_collect.job_folder.folder import JobFolder, JobRecord
from prefect_collect.job_folder.id_sets import UniqueIds
from prefect_collect.job_folder.ledger import (
    manifest_rows,
    read_export_ledger,
    read_inventory,
    read_ledger,
    recorded_segments,
)
from prefect_collect.job_folder.ledger_counts import count_elsewhere, ledger_counts
from prefect_collect.job_folder.ledger_rules import is_of_inventory, succeeded_rows
from prefect_collect.job_folder.parquet import read_batches
from prefect_collect.job_folder.result import Counts, TaskResult
from prefect_collect.packages import check_segment, segments_of
from prefect_collect.statuses import JobKind
from prefect_collect.stores import DirectoryStore
from prefect_collect.threads.pool import Pool
from prefect_collect.verification._file_hashes import FileCheck
from prefect_collect.verification._manifest import ManifestCheck, check_unique

_REMOTE_THREADS: Final = 16
_LEDGER_PART: Final = re.compile(r"ledger/(\d{4,5})/part-(\d{5,9})\.parquet", re.ASCII)
_LATE: Final = "it was committed after the attempt had ended; its items do not count"


@dataclass(slots=True)
class _Part:
    """The content of a ledger part (or of its inventory part, if no shard committed it), and its problems."""

    name: str = ""
    rows: list[pa.RecordBatch] | None = None
    ids: list[str] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)
    is_counted: bool = True
    segments: set[str] = field(default_factory=set)
    placed: set[str] = field(default_factory=set)
    proven: list[int] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)
    warnings: list[tuple[str, str]] = field(default_factory=list)


class LedgerCheck:
    """The repeated account of all closed attempts; `segments` are those that a ledger names."""

    def __init__(
        self, folder: JobFolder, problems: Problems, warnings: Problems, files: FileCheck,
        progress: Callable[[int, int], None] | None,
    ) -> None:  # fmt: skip
        self._folder, self._problems, self._warnings, self._files = folder, problems, warnings, files
        self._progress = progress
        self._base = ""
        self.segments: set[str] = set()
        self.items = 0
        self.bytes = 0

    def check(self, record: JobRecord, closed: list[int]) -> None:
        """Repeat the account of these attempts. Raise StoreError."""
        if not closed:
            return
        self._base = record.package_base
        is_export = record.kind is JobKind.EXPORT
        held = ManifestCheck(self._folder, closed[-1], self._problems)
        doubled = False
        results = {attempt: self._result(attempt) for attempt in closed}
        for attempt in closed:
            this = Counts()
            is_counted = True
            ids = UniqueIds()
            for part in self._parts(attempt, is_export):
                this += part.counts
                twice = ids.add(part.ids)
                doubled = doubled or bool(twice)
                for row in twice:
                    self._problems.add(part.name, f"it holds {part.ids[row]}, which occurs twice in the attempt")
                is_counted &= part.is_counted
                if not is_export or attempt == closed[-1]:
                    held.follow(part.rows)
            result = results[attempt]
            if result is not None:
                self._compare(attempt, result, this if is_counted else None)
        held.finish()
        # An id that occurs once in the ledger of a single attempt occurs once in the manifest of the same rows.
        is_unique = held.is_whole and not doubled and (is_export or len(closed) == 1)
        check_unique(self._folder, closed[-1], self._problems, is_unique=is_unique)
        last = results[closed[-1]]
        for job in last.relies_on if last is not None else ():
            where = "" if self._folder.beside(job).exists() else ", which is not in this store"
            what = f"unchanged items are held by job {job}{where}; verify that job too"
            self._warnings.add(f"reports/{closed[-1]:04d}/result.json", what)

    def _result(self, attempt: int) -> TaskResult | None:
        name = f"reports/{attempt:04d}/result.json"
        try:
            return self._folder.result(attempt)
        except CorruptPart as error:
            self._unreadable(name, error)
            return None

    def _compare(self, attempt: int, result: TaskResult, this: Counts | None) -> None:
        """Compare the result with what it was computed from."""
        name = f"reports/{attempt:04d}/result.json"

        def agree(stated: object, found: object, what: str, where: str) -> None:
            if stated != found:
                self._problems.add(name, f"it states {what}: {stated:,}, but {where}: {found:,}")

        counts = result.counts
        try:
            counts.check()
        except CorruptPart as error:
            self._problems.add(name, str(error))
        if this is not None:
            for what in ("found", "succeeded", "bytes"):
                stated = getattr(result.this_attempt, what)
                agree(stated, getattr(this, what), f"{what} by this attempt", "inventory and ledger hold")
        manifest = store_keys.manifest_key("", attempt)[1:]
        try:
            sizes = [(len(batch), pc.sum(batch["size"]).as_py() or 0) for batch in self._batches(manifest, ["size"])]
            agree(counts.succeeded, sum(rows for rows, _ in sizes), "items succeeded", f"{manifest} holds")
            agree(counts.bytes, sum(size for _, size in sizes), "bytes", f"{manifest} holds")
        except (KeyMissing, EvidenceError) as error:
            self._unreadable(manifest, error)
        report = f"reports/{attempt:04d}/errors.parquet"
        try:
            outcomes: Counter[str] = Counter()
            for batch in self._batches(report, ["item_id", "outcome", "error_code"]):
                items = batch.filter(pc.is_valid(batch["item_id"]))
                outcomes["elsewhere"] += count_elsewhere(items)
                outcomes.update(items["outcome"].to_pylist())
            for what in ("failed", "skipped", "not_attempted", "elsewhere"):
                agree(getattr(counts, what), outcomes[what], f"items {what.replace('_', ' ')}", f"{report} holds")
        except (KeyMissing, EvidenceError) as error:
            self._unreadable(report, error)

    def _batches(self, name: str, columns: list[str]) -> Iterator[pa.RecordBatch]:
        return read_batches(self._folder.store, f"{self._folder.job_id}/{name}", columns)

    def _unreadable(self, name: str, error: Exception) -> None:
        if name not in self._files.changed:
            self._problems.add(name, "it is missing" if isinstance(error, KeyMissing) else _without_place(error))

    def _parts(self, attempt: int, is_export: bool) -> Iterator[_Part]:
        """Yield every shard of the attempt in order, read ahead by threads."""
        folder = self._folder
        shards = sorted({*folder.parts("ledger", attempt), *folder.parts("inventory", attempt)} | self._lost(attempt))
        local = isinstance(folder.store, DirectoryStore)
        threads = min(4, os.cpu_count() or 1) if local else _REMOTE_THREADS
        placed: set[str] = set()
        for part in _ahead(threads, lambda shard: self._part(attempt, shard, is_export), shards):
            for segment in sorted(part.placed & placed):
                self._problems.add(segment, "two shards of the ledger have their items in it")
            placed |= part.placed
            self.segments |= part.segments
            for place, what in part.problems:
                self._problems.add(place, what)
            for place, what in part.warnings:
                self._warnings.add(place, what)
            self.items += len(part.proven)
            self.bytes += sum(part.proven)
            if self._progress is not None and part.segments:
                self._progress(len(part.segments), sum(part.proven))
            yield part

    def _lost(self, attempt: int) -> set[int]:
        """Return the shards whose ledger part is missing although the custody log vouches for it."""
        names = (_LEDGER_PART.fullmatch(name) for name in self._files.changed)
        missing = (found[2] for found in names if found is not None and found[1] == f"{attempt:04d}")
        return {part for text in missing if (part := store_keys.numbered(text, 5, store_keys.MAX_PART)) is not None}

    def _part(self, attempt: int, shard: int, is_export: bool) -> _Part:
        part = _Part()
        name = f"ledger/{attempt:04d}/part-{shard:05d}.parquet"
        try:
            ledger = self._ledger(attempt, shard, is_export)
        except KeyMissing:
            part.is_counted = name not in self._files.changed
            self._from_inventory(part, attempt, shard)
            return part
        except CorruptPart as error:
            self._damaged(part, name, attempt, error)
            self._from_inventory(part, attempt, shard)
            return part
        if name not in self._files.recorded and attempt in self._files.listed:
            part.warnings.append((name, _LATE))
            self._from_inventory(part, attempt, shard)
            part.segments = set(recorded_segments(ledger.schema))
            return part
        part.name, part.ids = name, ledger["item_id"].to_pylist()
        part.counts = ledger_counts(ledger)
        part.rows = manifest_rows(ledger, attempt)
        if not is_export:
            self._compare_inventory(part, attempt, shard, ledger)
            self._prove_segments(part, ledger)
        return part

    def _ledger(self, attempt: int, shard: int, is_export: bool) -> pa.Table:
        if is_export:
            return read_export_ledger(self._folder, attempt, shard)
        table = read_ledger(self._folder, attempt, shard)
        if table is None:
            raise KeyMissing(store_keys.ledger_key(self._folder.job_id, attempt, shard))
        return table

    def _compare_inventory(self, part: _Part, attempt: int, shard: int, ledger: pa.Table) -> None:
        """Check that every item that was found has an outcome, and no other item has."""
        name = f"inventory/{attempt:04d}/part-{shard:05d}.parquet"
        try:
            inventory = read_inventory(self._folder, attempt, shard)
        except (KeyMissing, CorruptPart) as error:
            what = "it is missing" if isinstance(error, KeyMissing) else _without_place(error)
            if name not in self._files.recorded:
                part.problems.append((name, what))
            elif name not in self._files.changed:
                part.warnings.append((name, f"the custody log vouches for it as it is, but {what}"))
            return
        if not is_of_inventory(ledger, inventory):
            part.problems.append((name, "it does not hold the items that the ledger accounts for"))

    def _prove_segments(self, part: _Part, ledger: pa.Table) -> None:
        part.segments = set(recorded_segments(ledger.schema))
        for segment, rows in segments_of(succeeded_rows(ledger)):
            if segment is None:
                part.problems += [("ledger", f"it does not name the segment that holds {row.path}") for row in rows]
                continue
            part.segments.add(segment)
            part.placed.add(segment)
            offsets = Counter([row.entry_offset for row in rows])
            if len(offsets) < len(rows):
                part.problems += [
                    (segment, f"{row.path}: by the ledger, its bytes also belong to another item")
                    for row in rows
                    if offsets[row.entry_offset] > 1
                ]
            key = store_keys.segment_key(self._folder.job_id, segment)
            wrong = check_segment(self._folder.store, key, self._base, rows)
            part.problems += [(segment, f"{path}: {what}" if path else what) for path, what in wrong]
            bad = {path for path, _ in wrong}
            if not any(what.startswith(("it is missing", "it cannot be read")) for path, what in wrong if not path):
                part.proven += [row.size for row in rows if row.path not in bad]

    def _damaged(self, part: _Part, name: str, attempt: int, error: CorruptPart) -> None:
        if name in self._files.changed:
            part.is_counted = False
        elif name in self._files.recorded:
            what = "it was already damaged when the attempt ended, so its items count as not attempted"
            part.warnings.append((name, what))
        elif attempt in self._files.listed:
            part.warnings.append((name, _LATE))
        else:
            part.problems.append((name, _without_place(error)))
            part.is_counted = False

    def _from_inventory(self, part: _Part, attempt: int, shard: int) -> None:
        """Add the items of a shard that was never committed: they were found, and nothing more."""
        name = f"inventory/{attempt:04d}/part-{shard:05d}.parquet"
        part.rows = [] if part.is_counted else None
        try:
            inventory = read_inventory(self._folder, attempt, shard)
            part.name, part.ids = name, inventory["item_id"].to_pylist()
            part.counts = Counts(found=inventory.num_rows)
        except (KeyMissing, CorruptPart):
            part.is_counted = False


def _ahead(threads: int, work: Callable[[int], _Part], shards: Iterable[int]) -> Iterator[_Part]:
    """Yield the results in order; no more shards are read ahead than twice the threads."""
    with Pool(threads, "account") as pool:
        waiting: deque[Future[_Part]] = deque()
        try:
            for shard in shards:
                waiting.append(pool.submit(work, shard))
                if len(waiting) > 2 * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _without_place(error: Any) -> str:
    return str(error).rpartition(" [")[0] or str(error)
