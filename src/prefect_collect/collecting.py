"""Collecting one shard: its items into segments, their outcomes into the ledger. Knows nothing of Prefect."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from operator import length_hint
from typing import Any, Final

import pyarrow as pa

from prefect_collect import layout
from prefect_collect.background import Pool, in_background
from prefect_collect.control import TRANSIENT, Progress, RetryPolicy, Stop, finished, stopped_by, too_many
from prefect_collect.errors import JobCanceled, KeyExists, StoreError, StoreTooLarge
from prefect_collect.items import Content, Failure, Item
from prefect_collect.jobfolder import JobFolder, now
from prefect_collect.ledger import ShardLedger, ledger_bytes, ledger_counts, read_inventory, read_ledger, table_items
from prefect_collect.reading import Digest, failure_of, read_through, read_whole
from prefect_collect.results import Counts
from prefect_collect.room import Room
from prefect_collect.segments import Entry, SegmentWriter
from prefect_collect.since import unchanged_message
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
    """How a shard is collected.

    `run` names this run of a shard that may run more than once, at the same time even: no two write the same segment.
    """

    folder_name: str
    concurrency: int = 32
    compress: bool = False
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    tolerated_failure_percentage: float = 100.0
    run: str = ""


class _Shard:
    """The work on one shard; `lock` guards the shared segment, the ledger, and what follows.

    After `seal` nothing changes any more, whatever threads are still in a call of the source that does not end.
    """

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
        self.sealed = False
        self.one_each = False
        self.room = 0
        self.alone: set[_Alone] = set()
        self.given: Iterator[int] = iter(())
        self.small: list[int] = []
        self.unread: dict[int, int] = {}
        self.held = _held(inventory)

    def run(self) -> pa.Table:
        """Collect, commit, and return the ledger part. Raises StoreError if not even the ledger can be written."""
        try:
            with stopped_by(self.stop):
                work = in_background(self._collect, name="shard")
            if finished(work, self.stop):
                work.result()
            self._seal()
            self._commit_segment()
        except StoreError as error:
            self._seal()
            self._abandon(error)
        except BaseException:
            self._seal()
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

    def _seal(self) -> None:
        """Let nothing change any more: threads that are left behind find out when their source gives them something."""
        with self.lock:
            if self.sealed:
                return
            self.sealed = True
            room, self.room = self.room, 0
            taken = self.small[: len(self.small) - length_hint(self.given)]
            waiting = {*self.unread.values()}
            for row in taken:  # It was being read: the source took it and gave nothing back.
                if row in waiting and self.ledger.outcomes[row] is None:
                    self.ledger.tries[row] += 1
        if room:
            _ROOM.give(room)
        for alone in list(self.alone):
            alone.abort()

    def _collect(self) -> None:
        todo = self.ledger.undecided()
        decided = len(self.items) - len(todo)
        if decided:
            failed = self.ledger.outcomes.count("failed")
            self.progress.add(failed=failed, skipped=decided - failed)
        small = [row for row in todo if _is_small(self.items[row])]
        try:
            if small:
                self._read_small(small)
            is_done = False
            while not is_done:
                rest = self.ledger.undecided()
                if rest and not self.stop:
                    with Pool(min(_STREAMS if len(rest) < 64 else self.policy.concurrency, len(rest)), "item") as pool:
                        for done in [pool.submit(self._read_one, row) for row in rest]:
                            done.result()
                is_done = self._committed()
        except _CutOff:
            return

    def _read_small(self, rows: list[int]) -> None:
        """One try at each, many at a time; what fails for a passing reason is left for `_read_one`."""
        self.small, self.given = rows, iter(rows)
        self.unread = unread = {id(self.items[row]): row for row in rows}

        def wanted() -> Iterator[Item]:
            for row in self.given:
                yield self.items[row]
                if self.stop or self.exhausted >= _GIVE_UP_AFTER:
                    return

        if self.stop:
            return
        for item, got in self.source.read_many(wanted(), self.policy.concurrency):
            row = unread.pop(id(item))
            self.ledger.tries[row] += 1
            try:
                if isinstance(got, Exception):
                    raise got
                data, digest = read_whole(item, got)
            except StoreError:
                raise
            except Exception as error:
                failure = failure_of(error, self.source, item)
                if failure.code in TRANSIENT and self.stop.canceled:
                    continue
                self._failed(row, failure, final=failure.code not in TRANSIENT)
                self.exhausted = self.exhausted + 1 if failure.code in TRANSIENT else 0
                continue
            self.exhausted = 0
            self._stage(row, data, digest)
        self.exhausted = 0

    def _read_one(self, row: int) -> None:
        """Try an item until it is staged, fails for good, or has used up its tries."""
        item = self.items[row]
        retry = self.policy.retry
        # When item after item has used up its tries, the source is down: the rest get one try each.
        tries = retry.tries - self.ledger.tries[row] if self.exhausted < _GIVE_UP_AFTER else 1
        for left in range(max(1, tries) - 1, -1, -1):
            if self.stop:
                return
            failure = self._try(row, item)
            if failure is None:
                return
            if left:
                self._failed(row, failure, final=False)
                self.stop.wait(retry.pause(max(1, tries) - left))
            else:
                self._failed(row, failure, final=True)
                self.exhausted += 1

    def _try(self, row: int, item: Item) -> Failure | None:
        """Why it should be tried again; None if it has an outcome, or was cut off."""
        self.ledger.tries[row] += 1
        try:
            with self.source.open(item) as content:
                self._take(row, item, content)
        except StoreError:
            raise
        except (_CutOff, JobCanceled):
            return None
        except Exception as error:
            failure = failure_of(error, self.source, item)
            if failure.code in TRANSIENT:
                return None if self.stop.canceled else failure
            self._failed(row, failure, final=True)
        else:
            self.exhausted = 0
        return None

    def _take(self, row: int, item: Item, content: Content) -> None:
        """Stage an opened item: in the shared segment if it turns out to fit, else in one of its own."""
        announced = content.size if content.size is not None else item.size
        if announced is None:
            if self._took_small(row, item, content):
                return
        elif announced < LARGE_ITEM:
            with self._in_room(announced):
                self._stage(row, *read_whole(item, content, self.stop))
            return
        self._stage_alone(row, item, content, announced)

    def _took_small(self, row: int, item: Item, content: Content) -> bool:
        """Stage an item of unknown size, if it is not larger than `UNKNOWN_ITEM`; else `content` is whole again."""
        with self._in_room(UNKNOWN_ITEM):
            chunks = iter(content.chunks)
            head: list[Any] = []
            held = 0
            while held <= UNKNOWN_ITEM and (chunk := next(chunks, None)) is not None:
                self.stop.require_going()
                head.append(chunk)
                held += len(chunk)
            if held > UNKNOWN_ITEM:
                content.chunks = _chain(head, chunks)
                return False
            content.chunks = head
            self._stage(row, *read_whole(item, content))
            return True

    @contextmanager
    def _in_room(self, size: int) -> Iterator[None]:
        """Room in memory for an item; sealing the shard gives it back for threads that are left behind."""
        _ROOM.take(size)
        with self.lock:
            if is_late := self.sealed:
                _ROOM.give(size)
            else:
                self.room += size
        if is_late:
            raise _CutOff
        try:
            yield
        finally:
            with self.lock:
                is_late = self.sealed
                if not is_late:
                    self.room -= size
            if not is_late:
                _ROOM.give(size)

    def _stage(self, row: int, data: Buffer, digest: Digest) -> None:
        item = self.items[row]
        with self.lock:
            if self.sealed:
                raise _CutOff
            if self.held and self._is_unchanged(row, digest):
                return
            name = layout.segment_name(self.attempt, self.part, run=self.policy.run)
            is_shared = not self.one_each
            if is_shared:
                try:
                    if self.segment is None:
                        self.segment = self._new_segment(name)
                    entry = self.segment.append(
                        self.paths[row], data, digest.crc32, item.modified, deflate=self.policy.compress
                    )
                except StoreTooLarge:
                    self._split()
                    is_shared = False
                else:
                    self.shared_rows.append(row)
                    self.ledger.succeeded(row, digest, name, entry)
        if is_shared:
            self.progress.add(succeeded=1, bytes=digest.size)
        else:
            self._stage_alone(row, item, Content((memoryview(data),)), digest.size)

    def _new_segment(self, name: str) -> SegmentWriter:
        writer = self.folder.store.writer(layout.segment_key(self.folder.job_id, name))
        return SegmentWriter(writer, self.policy.folder_name)

    def _split(self) -> None:
        """The shared segment is too large for the store: each of its items is read again, into one of its own."""
        if self.segment is not None:
            self.segment.abort()
        rows, self.shared_rows, self.segment, self.one_each = self.shared_rows, [], None, True
        self.progress.add(succeeded=-len(rows), bytes=-sum(self.ledger.sizes[row] or 0 for row in rows))
        for row in rows:
            self.ledger.undo(row)

    def _stage_alone(self, row: int, item: Item, content: Content, announced: int | None) -> None:
        """Stream an item into a segment of its own; one that is too large for the store fails."""
        name = layout.segment_name(self.attempt, self.part, row, self.policy.run)
        # A failed earlier try of this row left nothing: a segment appears only when it is closed.
        alone = _Alone(self._new_segment(name), self.stop)
        with self.lock:
            self.alone.add(alone)
        try:
            alone.segment.begin(self.paths[row], announced, item.modified)
            digest = read_through(item, content, alone.take)
            if self.held:
                with self.lock:
                    if self._is_unchanged(row, digest):
                        alone.abort()
                        return
            entry, blob = alone.close(digest)
        except StoreTooLarge as error:
            alone.abort()
            self._failed(row, Failure(error.code, f"{error} [{item.id}]"), final=True)
            return
        except BaseException:
            alone.abort()
            raise
        finally:
            with self.lock:
                self.alone.discard(alone)
        with self.lock:
            if self.sealed:
                raise _CutOff
            self.segments.append(Blob(name, blob.size, blob.etag))
            self.ledger.succeeded(row, digest, name, entry)
        self.progress.add(succeeded=1, bytes=digest.size)

    def _is_unchanged(self, row: int, digest: Digest) -> bool:
        """Whether an earlier job holds this very content; the item is then skipped."""
        if self.sealed:
            raise _CutOff
        job, sha256 = self.held.get(row, ("", b""))
        if sha256 != digest.sha256:
            return False
        message = unchanged_message(job, self.items[row].path, read=True)
        self.ledger.failed(row, Failure("unchanged", message), now(), "skipped")
        self.progress.add(skipped=1)
        return True

    def _failed(self, row: int, failure: Failure, *, final: bool) -> None:
        with self.lock:
            if self.sealed:
                return
            self.ledger.failed(row, failure, now(), "failed" if final else None)
        if final:
            self.progress.add(failed=1)
            found = self.progress.found + self.progress.settled
            if why := too_many(self.progress.failed, found, self.policy.tolerated_failure_percentage):
                self.stop.set(why)

    def _committed(self) -> bool:
        """Commit the shared segment; whether that was done, or it was split because it is too large."""
        with self.lock:
            if self.sealed:
                raise _CutOff
            try:
                self._commit_segment()
            except StoreTooLarge:
                self._split()
                return False
            return True

    def _commit_segment(self) -> None:
        if self.segment is not None:
            blob = self.segment.close()
            self.segments.append(
                Blob(layout.segment_name(self.attempt, self.part, run=self.policy.run), blob.size, blob.etag)
            )
            self.segment, self.shared_rows = None, []

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
    """The job stops while an item is read; the item has no outcome yet."""


class _Alone:
    """A segment of one large item, which may be aborted while another thread waits for the item's next bytes."""

    def __init__(self, segment: SegmentWriter, stop: Stop) -> None:
        self.segment, self._stop = segment, stop
        self._lock = threading.Lock()
        self._aborted = False

    def take(self, chunk: Buffer) -> None:
        """Write the item's next bytes. Raises _CutOff if the job stops."""
        if self._stop:
            raise _CutOff
        with self._lock:
            if self._aborted:
                raise _CutOff
            self.segment.write(chunk)

    def close(self, digest: Digest) -> tuple[Entry, Blob]:
        """Make the segment appear. Raises _CutOff if it was aborted."""
        with self._lock:
            if self._aborted:
                raise _CutOff
            return self.segment.end(digest.crc32, digest.size), self.segment.close()

    def abort(self) -> None:
        """Leave nothing behind; does nothing after `close`."""
        with self._lock:
            self._aborted = True
            self.segment.abort()


def _held(inventory: pa.Table) -> dict[int, tuple[str, bytes]]:
    """By row, the earlier job that holds the item, and its SHA-256 there."""
    if inventory["held_by"].null_count == inventory.num_rows:
        return {}
    rows = zip(inventory["held_by"].to_pylist(), inventory["held_sha256"].to_pylist(), strict=True)
    return {row: (job, sha256) for row, (job, sha256) in enumerate(rows) if job is not None}


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
    A shard that an earlier run has committed (only where `policy.run` says that there may be one) is left as it is.
    """
    if policy.run and (committed := read_ledger(folder, attempt, part)) is not None:
        return ledger_counts(committed)
    stop = Stop() if stop is None else stop  # one that is not set is false
    shard = _Shard(source, folder, attempt, part, policy, stop, progress or Progress())
    return ledger_counts(shard.run())
