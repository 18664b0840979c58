"""Collecting one shard: its items into segments, their outcomes into the ledger. Knows nothing of Prefect."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa
import stamina

from prefect_collect import layout
from prefect_collect.control import TRANSIENT, Progress, RetryPolicy, Stop, too_many
from prefect_collect.errors import KeyExists, StoreError, TransientSourceError
from prefect_collect.items import Content, Failure, Item
from prefect_collect.jobfolder import JobFolder, now
from prefect_collect.ledger import ShardLedger, ledger_bytes, ledger_counts, read_inventory, read_ledger, table_items
from prefect_collect.reading import Digest, failure_of, read_through, read_whole
from prefect_collect.results import Counts
from prefect_collect.room import Room
from prefect_collect.segments import SegmentWriter
from prefect_collect.sources import SMALL_ITEM, Source
from prefect_collect.stores import Blob, Buffer

LARGE_ITEM: Final = 64 << 20
"""Bytes from which an item gets a segment of its own."""

UNKNOWN_ITEM: Final = 2 << 20
"""The same for an item whose size nobody says before it is read."""

_ROOM: Final = Room(LARGE_ITEM)
"""Shared by all shards of the process, so that memory does not grow with what they read at once."""

_STREAMS: Final = 4
_GIVE_UP_AFTER: Final = 20


@dataclass(frozen=True)
class ShardPolicy:
    """How a shard is collected."""

    folder_name: str
    concurrency: int = 32
    compress: bool = False
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    tolerated_failure_percentage: float = 100.0


class _Shard:
    """The work on one shard; `lock` guards the shared segment and the ledger."""

    def __init__(
        self,
        source: Source,
        folder: JobFolder,
        attempt: int,
        part: int,
        policy: ShardPolicy,
        stop: Stop,
        progress: Progress,
    ) -> None:
        self.source, self.folder, self.attempt, self.part = source, folder, attempt, part
        self.policy, self.stop, self.progress = policy, stop, progress
        inventory = read_inventory(folder, attempt, part)
        self.items = table_items(inventory)
        self.paths: list[str] = inventory["path"].to_pylist()
        self.ledger = ShardLedger(inventory)
        self.lock = threading.Lock()
        self.segment: SegmentWriter | None = None
        self.shared_rows: list[int] = []
        self.segments: list[Blob] = []
        self.exhausted = 0

    def run(self) -> pa.Table:
        """Collect, commit, and return the ledger part. Raises StoreError if not even the ledger can be written."""
        try:
            self._collect()
            self._commit_segment()
        except StoreError as error:
            self._abandon(error)
        except BaseException:
            if self.segment is not None:
                self.segment.abort()
            raise
        self._close_rows()
        table = self.ledger.table()
        data = ledger_bytes(table, self.segments)
        try:
            self.folder.store.create(layout.ledger_key(self.folder.job_id, self.attempt, self.part), data)
        except KeyExists:
            committed = read_ledger(self.folder, self.attempt, self.part)
            return committed if committed is not None else table
        return table

    def _collect(self) -> None:
        todo = self.ledger.undecided()
        decided = len(self.items) - len(todo)
        if decided:
            failed = self.ledger.outcomes.count("failed")
            self.progress.add(failed=failed, skipped=decided - failed)
        small = [row for row in todo if _is_small(self.items[row])]
        if small:
            self._read_small(small)
        rest = self.ledger.undecided()
        if rest and not self.stop:
            with ThreadPoolExecutor(min(_STREAMS if len(rest) < 64 else self.policy.concurrency, len(rest))) as pool:
                for done in [pool.submit(self._read_one, row) for row in rest]:
                    done.result()

    def _read_small(self, rows: list[int]) -> None:
        """One try at each, many at a time; what fails for a passing reason is left for `_read_one`."""
        row_of = {id(self.items[row]): row for row in rows}

        def wanted() -> Iterator[Item]:
            for row in rows:
                if self.stop or self.exhausted >= _GIVE_UP_AFTER:
                    return
                yield self.items[row]

        for item, got in self.source.read_many(wanted(), self.policy.concurrency):
            row = row_of[id(item)]
            self.ledger.tries[row] += 1
            try:
                if isinstance(got, Exception):
                    raise got
                data, digest = read_whole(item, got)
            except StoreError:
                raise
            except Exception as error:
                failure = failure_of(error, self.source, item)
                self._failed(row, failure, final=failure.code not in TRANSIENT)
                self.exhausted = self.exhausted + 1 if failure.code in TRANSIENT else 0
                continue
            self.exhausted = 0
            self._stage(row, data, digest)
        self.exhausted = 0

    def _read_one(self, row: int) -> None:
        """Try an item until it is staged, fails for good, or has used up its tries."""
        if self.stop:
            return
        item = self.items[row]
        retry = self.policy.retry
        # When item after item has used up its tries, the source is down: the rest get one try each.
        tries = retry.tries - self.ledger.tries[row] if self.exhausted < _GIVE_UP_AFTER else 1
        try:
            for attempt in stamina.retry_context(
                on=_Again, attempts=max(1, tries), timeout=None,
                wait_initial=retry.wait_initial, wait_max=retry.wait_max, wait_jitter=retry.wait_initial,
            ):  # fmt: skip
                with attempt:
                    self._try(row, item)
        except _Again as again:
            self._failed(row, again.failure, final=True)
            self.exhausted += 1

    def _try(self, row: int, item: Item) -> None:
        if self.stop:
            return
        self.ledger.tries[row] += 1
        try:
            with self.source.open(item) as content:
                self._take(row, item, content)
            self.exhausted = 0
        except StoreError:
            raise
        except _CutOff:
            return
        except Exception as error:
            failure = failure_of(error, self.source, item)
            transient = failure.code in TRANSIENT
            self._failed(row, failure, final=not transient)
            if transient:
                raise _Again(failure) from error

    def _take(self, row: int, item: Item, content: Content) -> None:
        """Stage an opened item: in the shared segment if it turns out to fit, else in one of its own."""
        announced = content.size if content.size is not None else item.size
        if announced is None:
            if self._took_small(row, item, content):
                return
        elif announced < LARGE_ITEM:
            with _ROOM.of(announced):
                self._stage(row, *read_whole(item, content))
            return
        self._stage_alone(row, item, content, announced)

    def _took_small(self, row: int, item: Item, content: Content) -> bool:
        """Stage an item of unknown size, if it is not larger than `UNKNOWN_ITEM`; else `content` is whole again."""
        with _ROOM.of(UNKNOWN_ITEM):
            chunks = iter(content.chunks)
            head: list[Any] = []
            held = 0
            while held <= UNKNOWN_ITEM and (chunk := next(chunks, None)) is not None:
                head.append(chunk)
                held += len(chunk)
            if held > UNKNOWN_ITEM:
                content.chunks = _chain(head, chunks)
                return False
            content.chunks = head
            self._stage(row, *read_whole(item, content))
            return True

    def _stage(self, row: int, data: Buffer, digest: Digest) -> None:
        item = self.items[row]
        with self.lock:
            name = layout.segment_name(self.attempt, self.part)
            if self.segment is None:
                writer = self.folder.store.writer(layout.segment_key(self.folder.job_id, name))
                self.segment = SegmentWriter(writer, self.policy.folder_name)
            entry = self.segment.append(
                self.paths[row], data, digest.crc32, item.modified, deflate=self.policy.compress
            )
            self.shared_rows.append(row)
            self.ledger.succeeded(row, digest, name, entry)
        self.progress.add(succeeded=1, bytes=digest.size)

    def _stage_alone(self, row: int, item: Item, content: Content, announced: int | None) -> None:
        name = layout.segment_name(self.attempt, self.part, row)
        # A failed earlier try of this row left nothing: a segment appears only when it is closed.
        writer = self.folder.store.writer(layout.segment_key(self.folder.job_id, name))
        segment = SegmentWriter(writer, self.policy.folder_name)
        try:
            segment.begin(self.paths[row], announced, item.modified)

            def take(chunk: Buffer) -> None:
                if self.stop:
                    raise _CutOff
                segment.write(chunk)

            digest = read_through(item, content, take)
            entry = segment.end(digest.crc32, digest.size)
            blob = segment.close()
        except BaseException:
            segment.abort()
            raise
        with self.lock:
            self.segments.append(Blob(name, blob.size, blob.etag))
            self.ledger.succeeded(row, digest, name, entry)
        self.progress.add(succeeded=1, bytes=digest.size)

    def _failed(self, row: int, failure: Failure, *, final: bool) -> None:
        with self.lock:
            self.ledger.failed(row, failure, now(), "failed" if final else None)
        if final:
            self.progress.add(failed=1)
            found = self.progress.found + self.progress.settled
            if why := too_many(self.progress.failed, found, self.policy.tolerated_failure_percentage):
                self.stop.set(why)

    def _commit_segment(self) -> None:
        if self.segment is not None:
            blob = self.segment.close()
            self.segments.append(Blob(layout.segment_name(self.attempt, self.part), blob.size, blob.etag))

    def _abandon(self, error: StoreError) -> None:
        """The store failed: what the unfinished segment held is not kept, and the whole job stops."""
        why = Failure(error.code, str(error))
        self.stop.set(why)
        if self.segment is not None:
            self.segment.abort()
        kept = 0
        for row in self.shared_rows:
            kept -= self.ledger.sizes[row] or 0
            self.ledger.failed(row, why, now())
        self.progress.add(succeeded=-len(self.shared_rows), failed=len(self.shared_rows), bytes=kept)

    def _close_rows(self) -> None:
        """What has no outcome by now was not attempted, or was cut off before its last try."""
        why = self.stop.why or Failure("unexpected_error", "The item was left without an outcome.")
        for row in self.ledger.undecided():
            if row in self.ledger.failures:
                self.ledger.outcomes[row] = "failed"
            else:
                self.ledger.failed(row, why, now(), "not_attempted")


class _CutOff(Exception):
    """The job stops while a large item is read; the item has no outcome yet."""


class _Again(TransientSourceError):
    """A try that failed for a passing reason."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message, code=failure.code, http_status=failure.http_status)
        self.failure = failure


def _is_small(item: Item) -> bool:
    return item.size is not None and item.size <= SMALL_ITEM


def _chain(head: list[Any], rest: Iterator[Any]) -> Iterator[Any]:
    while head:
        yield head.pop(0)
    yield from rest


def collect_shard(
    source: Source,
    folder: JobFolder,
    attempt: int,
    part: int,
    policy: ShardPolicy,
    stop: Stop | None = None,
    progress: Progress | None = None,
) -> Counts:
    """Collect the items of one inventory part and commit their outcomes as the ledger part of that number.

    Every item gets an outcome, whatever happens to it. A store that fails is the reason of the items it cost, and
    stops the job. Raises StoreError if not even the ledger part can be written: the shard is then not committed.
    """
    stop = Stop() if stop is None else stop  # one that is not set is false
    shard = _Shard(source, folder, attempt, part, policy, stop, progress or Progress())
    return ledger_counts(shard.run())
