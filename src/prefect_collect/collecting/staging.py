"""Stages the items of one shard in segments, and records their outcomes in its ledger part, until it is sealed."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

import pyarrow as pa

from prefect_collect.archive.segments import Entry, SegmentWriter
from prefect_collect.codes import Failure
from prefect_collect.collecting.checked_read import modified_of, read_through
from prefect_collect.collecting.incremental import unchanged_message
from prefect_collect.collecting.policy import ShardPolicy
from prefect_collect.collecting.shard_ledger import ShardLedger
from prefect_collect.errors import KeyExists, StoreError, StoreTooLarge
from prefect_collect.job_folder import store_keys
from prefect_collect.job_folder.folder import JobFolder, now
from prefect_collect.job_folder.ledger import held_before, ledger_bytes, read_inventory, read_ledger, table_items
from prefect_collect.sources import Content, Item
from prefect_collect.sources.digests import Digest
from prefect_collect.stores import Blob, Buffer, DirectoryStore
from prefect_collect.threads.beside import Beside
from prefect_collect.threads.byte_budget import ByteBudget
from prefect_collect.threads.progress import Progress
from prefect_collect.threads.stop import Stop

LARGE_ITEM: Final = 64 << 20
"""Bytes from which an item gets a segment of its own."""

READ_AHEAD: Final = ByteBudget(LARGE_ITEM)
"""Shared by all shards of the process, so that memory does not grow with the items that are read at once."""


class Staging:
    """The staged items and outcomes of one shard; several threads call its methods.

    After `seal` nothing changes any more: a call from a thread that was abandoned in a hanging source raises CutOff.
    Errors are those of the store.
    """

    def __init__(
        self, folder: JobFolder, attempt: int, part: int, policy: ShardPolicy, stop: Stop, progress: Progress
    ) -> None:
        self.folder, self.attempt, self.part = folder, attempt, part
        self.policy, self.stop, self.progress = policy, stop, progress
        inventory = read_inventory(folder, attempt, part)
        self.items = table_items(inventory)
        self._rows = ShardLedger(inventory)
        self._paths: list[str] = inventory["path"].to_pylist()
        self._held = held_before(inventory)
        self._lock = threading.Lock()
        self._segment: SegmentWriter | None = None
        self._shared_name = store_keys.segment_name(attempt, part, run=policy.run)
        self._shared_rows: list[int] = []
        self._segments: list[Blob] = []
        self._alone: set[_Alone] = set()
        self._sealed = False
        self._one_each = False
        self._reserved = 0

    def undecided(self) -> list[int]:
        """Return the rows without an outcome."""
        return self._rows.undecided()

    def count(self, outcome: str) -> int:
        """Return how many rows have that outcome."""
        return self._rows.count(outcome)

    def tries_of(self, row: int) -> int:
        """Return how often the item was tried."""
        return self._rows.tries_of(row)

    def tried(self, row: int) -> None:
        """Count a try at the item."""
        with self._lock:
            if not self._sealed:
                self._rows.tried(row)

    def seal(self, reading: Iterable[int]) -> None:
        """Prevent any further change. Rows that the source is still `reading` count as tried."""
        with self._lock:
            if self._sealed:
                return
            self._sealed = True
            for row in reading:
                if self._rows.is_undecided(row):
                    self._rows.tried(row)
            reserved, self._reserved = self._reserved, 0
        if reserved:
            READ_AHEAD.release(reserved)
        for alone in list(self._alone):
            alone.abort()

    @contextmanager
    def reserved(self, size: int) -> Iterator[None]:
        """Reserve memory for an item; sealing the shard releases the memory of abandoned threads."""
        READ_AHEAD.acquire(size)
        with self._lock:
            if is_late := self._sealed:
                READ_AHEAD.release(size)
            else:
                self._reserved += size
        if is_late:
            raise CutOff
        try:
            yield
        finally:
            with self._lock:
                is_late = self._sealed
                if not is_late:
                    self._reserved -= size
            if not is_late:
                READ_AHEAD.release(size)

    def stage(self, row: int, data: Buffer, digest: Digest) -> None:
        """Stage an item that was read whole in the shared segment, or alone if that is too large for the store."""
        item = self.items[row]
        at = modified_of(item, digest.modified)
        with self._lock:
            if self._sealed:
                raise CutOff
            if self._held and self._is_unchanged(row, digest):
                return
            is_shared = not self._one_each
            if is_shared:
                try:
                    if self._segment is None:
                        self._segment = self._new_segment(self._shared_name)
                    entry = self._segment.append(
                        self._paths[row], data, digest.crc32, at, deflate=self.policy.collection.compress
                    )
                except StoreTooLarge:
                    self._split()
                    is_shared = False
                else:
                    self._shared_rows.append(row)
                    self._rows.succeeded(row, digest, self._shared_name, entry)
        if is_shared:
            self.stop.met(None)
            self.progress.add(succeeded=1, bytes=digest.size)
        else:
            self.stage_alone(row, item, digest.as_content(data), digest.size)

    def _new_segment(self, name: str) -> SegmentWriter:
        writer = self.folder.store.writer(store_keys.segment_key(self.folder.job_id, name))
        return SegmentWriter(writer, self.policy.folder_name)

    def _split(self) -> None:
        """Give up the shared segment, which is too large for the store: each of its items is read again, alone."""
        if self._segment is not None:
            self._segment.abort()
        rows, self._shared_rows, self._segment, self._one_each = self._shared_rows, [], None, True
        self.progress.add(succeeded=-len(rows), bytes=-self._rows.bytes_of(rows))
        for row in rows:
            self._rows.undo(row)

    def stage_alone(self, row: int, item: Item, content: Content, announced: int | None) -> None:
        """Stream an item into its own segment; an item that is too large for the store fails."""
        name = store_keys.segment_name(self.attempt, self.part, row, self.policy.run)
        # A failed earlier try of this row left nothing, because a segment appears only when it is closed.
        alone = _Alone(self._new_segment(name), self.stop)
        with self._lock:
            self._alone.add(alone)
        # Hash while what came before is written; writers to object stores send in threads of their own.
        beside = Beside(alone.take, is_work=isinstance(self.folder.store, DirectoryStore))
        try:
            alone.segment.begin(self._paths[row], announced, modified_of(item, content.modified))
            digest = read_through(item, content, beside.put, hashes=self.policy.collection.hashes)
            beside.finish()
            if self._held:
                with self._lock:
                    if self._is_unchanged(row, digest):
                        return
            entry, blob = alone.close(digest)
        except StoreTooLarge as error:
            self.failed(row, Failure(error.code, f"{error} [{item.id}]"), final=True)
            return
        finally:
            beside.drop()
            alone.abort()
            with self._lock:
                self._alone.discard(alone)
        with self._lock:
            if self._sealed:
                raise CutOff
            self._segments.append(Blob(name, blob.size, blob.etag))
            self._rows.succeeded(row, digest, name, entry)
        self.stop.met(None)
        self.progress.add(succeeded=1, bytes=digest.size)

    def _is_unchanged(self, row: int, digest: Digest) -> bool:
        """Return whether an earlier job holds exactly this content; if so, the item is skipped."""
        if self._sealed:
            raise CutOff
        job, sha256 = self._held.get(row, ("", b""))
        if sha256 != digest.sha256:
            return False
        message = unchanged_message(job, self.items[row].path, read=True)
        self._rows.failed(row, Failure("unchanged", message), now(), "skipped")
        self.stop.met(None)
        self.progress.add(skipped=1)
        return True

    def failed(self, row: int, failure: Failure, *, final: bool) -> None:
        """Record that a try at an item failed; if `final`, that is its outcome, which may stop the whole job."""
        with self._lock:
            if self._sealed:
                return
            self._rows.failed(row, failure, now(), "failed" if final else None)
        if final:
            self.stop.met(failure)
            self.progress.add(failed=1)
            if why := self.policy.collection.too_many(self.progress.failed, self.progress.could_succeed):
                self.stop.set(why)

    def committed(self) -> bool:
        """Commit the shared segment; return False if it was split instead, because it is too large."""
        with self._lock:
            if self._sealed:
                raise CutOff
            try:
                self.commit_segment()
            except StoreTooLarge:
                self._split()
                return False
            return True

    def end(self) -> pa.Table:
        """Commit the segments, and every item's outcome as the ledger part; return that part."""
        why = self.stop.why or Failure("unexpected_error", "The item was left without an outcome.")
        self._rows.close(why, now())
        table = self._rows.table()
        data = ledger_bytes(table, self._segments)
        try:
            self.folder.store.create(store_keys.ledger_key(self.folder.job_id, self.attempt, self.part), data)
        except KeyExists:
            committed = read_ledger(self.folder, self.attempt, self.part)
            return committed if committed is not None else table
        return table

    def abort(self) -> None:
        """Discard the shared segment."""
        if self._segment is not None:
            self._segment.abort()

    def commit_segment(self) -> None:
        """Commit the shared segment, if there is one."""
        if self._segment is not None:
            blob = self._segment.close()
            self._segments.append(Blob(self._shared_name, blob.size, blob.etag))
            self._segment, self._shared_rows = None, []

    def abandon(self, error: StoreError) -> None:
        """Stop the job because the store failed; the items of the unfinished segment fail."""
        why = Failure(error.code, str(error))
        self.stop.set(why)
        if self._segment is not None:
            self._segment.abort()
        kept = -self._rows.bytes_of(self._shared_rows)
        for row in self._shared_rows:
            self._rows.failed(row, why, now())
        self.progress.add(succeeded=-len(self._shared_rows), failed=len(self._shared_rows), bytes=kept)


class CutOff(Exception):
    """Raised when the job stops while an item is read; the item has no outcome yet."""


class _Alone:
    """A segment of one large item, which may be aborted while another thread waits for the item's next bytes."""

    def __init__(self, segment: SegmentWriter, stop: Stop) -> None:
        self.segment, self._stop = segment, stop
        self._lock = threading.Lock()
        self._aborted = False

    def take(self, chunk: Buffer) -> None:
        """Write the item's next bytes. Raise CutOff if the job stops."""
        if self._stop:
            raise CutOff
        with self._lock:
            if self._aborted:
                raise CutOff
            self.segment.write(chunk)

    def close(self, digest: Digest) -> tuple[Entry, Blob]:
        """Commit the segment. Raise CutOff if it was aborted."""
        with self._lock:
            if self._aborted:
                raise CutOff
            return self.segment.end(digest.crc32, digest.size), self.segment.close()

    def abort(self) -> None:
        """Discard the segment; does nothing after `close`."""
        with self._lock:
            self._aborted = True
            self.segment.abort()
