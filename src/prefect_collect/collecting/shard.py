"""Collects one shard: its items into segments, their outcomes into the ledger. Does not use Prefect."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from operator import length_hint
from typing import Any, Final

import pyarrow as pa

from prefect_collect.codes import CODES, Failure
from prefect_collect.collecting.checked_read import (
    SOURCE_ERRORS,
    announced_size,
    failure_of,
    read_whole,
    require_as_listed,
)
from prefect_collect.collecting.policy import ShardPolicy
from prefect_collect.collecting.staging import LARGE_ITEM, CutOff, Staging
from prefect_collect.errors import JobCanceled, StoreError
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.job_folder.ledger import read_ledger
from prefect_collect.job_folder.ledger_counts import ledger_counts
from prefect_collect.job_folder.result import Counts
from prefect_collect.sources import SMALL_ITEM, Content, Item, Source
from prefect_collect.sources.content_checks import whole
from prefect_collect.threads.pool import Pool, in_background
from prefect_collect.threads.progress import Progress
from prefect_collect.threads.stop import Stop, finished, stopped_by
from prefect_collect.threads.turns import in_turns
from prefect_collect.threads.window import FIRST

UNKNOWN_ITEM: Final = 2 << 20
"""Bytes of memory reserved for an item of unknown size; a larger one gets its own segment."""

_STREAMS: Final = 4
_GIVE_UP_AFTER: Final = 20


class ShardReader:
    """The work on one shard: reads its items, tries again those with a temporary error, and stages them."""

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
        self.source = source
        self.policy, self.stop, self.progress = policy.collection, stop, progress
        self.staging = Staging(folder, attempt, part, policy, stop, progress)
        self.items = self.staging.items
        self.exhausted = 0
        self.given: Iterator[int] = iter(())
        self.small: list[int] = []
        self.unread: dict[int, int] = {}
        self.by_id: dict[str, int] | None = None

    def run(self) -> pa.Table:
        """Collect, commit, and return the ledger part. Raise StoreError if the ledger cannot be written."""
        try:
            with stopped_by(self.stop):
                work = in_background(self._collect, name="shard")
            if finished(work, self.stop):
                work.result()
            self._seal()
            self.staging.commit_segment()
        except StoreError as error:
            self._seal()
            self.staging.abandon(error)
        except BaseException:
            self._seal()
            self.staging.abort()
            raise
        return self.staging.end()

    def _seal(self) -> None:
        """Close the staging for changes: a thread that was abandoned gets CutOff when it stages an item.

        A small item that the source was still reading counts as tried.
        """
        self.staging.seal(self._unanswered())

    def _unanswered(self) -> Iterator[int]:
        """Yield the rows of the small items that the source has taken but not yet answered."""
        taken = self.small[: len(self.small) - length_hint(self.given)]
        waiting = {*self.unread.values()}
        yield from (row for row in taken if row in waiting)

    def _collect(self) -> None:
        todo = self.staging.undecided()
        decided = len(self.items) - len(todo)
        if decided:
            failed, skipped = self.staging.count("failed"), self.staging.count("skipped")
            self.progress.add(failed=failed, skipped=skipped, elsewhere=decided - failed - skipped)
        small = [row for row in todo if _is_small(self.items[row])]
        try:
            if small:
                self._read_small(small)
            is_done = False
            while not is_done:
                rest = self.staging.undecided()
                if rest and not self.stop:
                    with Pool(
                        min(_STREAMS if len(rest) < 64 else min(self.policy.concurrency, FIRST), len(rest)), "item"
                    ) as pool:
                        for done in [pool.submit(self._read_one, row) for row in rest]:
                            done.result()
                is_done = self.staging.committed()
        except CutOff:
            return

    def _read_small(self, rows: list[int]) -> None:
        """Try each item once, many at a time; items with a temporary error are left for `_read_one`."""
        self.small, self.given = rows, iter(rows)
        self.unread = {id(self.items[row]): row for row in rows}

        def wanted() -> Iterator[Item]:
            for row in self.given:
                yield self.items[row]
                if self.stop or self.exhausted >= _GIVE_UP_AFTER:
                    return

        if self.stop:
            return
        try:
            with closing(in_turns(self.source.read_many(wanted(), self.policy.concurrency))) as answers:
                for item, got in answers:
                    row = self._row_of(item)
                    if row is not None:
                        self._take_small(row, item, got)
        except (StoreError, CutOff):
            raise
        except SOURCE_ERRORS:
            pass  # `read_many` itself failed: the items it did not yield are read one by one.
        self.exhausted = 0

    def _row_of(self, item: Item) -> int | None:
        """Return the row of an item that `read_many` yielded; None if it was yielded before, or not asked for."""
        row = self.unread.pop(id(item), None)
        if row is None and isinstance(item, Item):  # a copy of one
            if self.by_id is None:
                self.by_id = {self.items[row].id: row for row in self.small}
            row = self.by_id.get(item.id, -1)
            return self.unread.pop(id(self.items[row]), None) if row >= 0 else None
        return row

    def _take_small(self, row: int, item: Item, got: Content | BaseException) -> None:
        self.staging.tried(row)
        try:
            if isinstance(got, BaseException):
                raise got
            data, digest = read_whole(item, got, hashes=self.policy.hashes)
        except StoreError:
            raise
        except SOURCE_ERRORS as error:
            failure = failure_of(error, self.source, item)
            if CODES[failure.code].tried_again and self.stop.canceled:
                return
            self.staging.failed(row, failure, final=not CODES[failure.code].tried_again)
            self.exhausted = self.exhausted + 1 if CODES[failure.code].tried_again else 0
            return
        self.exhausted = 0
        self.staging.stage(row, data, digest)

    def _read_one(self, row: int) -> None:
        """Try an item until it is staged, has an error that is not temporary, or has used up its tries."""
        item = self.items[row]
        retry = self.policy.retry
        # If many items in a row have used up their tries, the source is down: the rest get one try each.
        tries = retry.tries - self.staging.tries_of(row) if self.exhausted < _GIVE_UP_AFTER else 1
        for left in range(max(1, tries) - 1, -1, -1):
            if self.stop:
                return
            failure = self._try(row, item)
            if failure is None:
                return
            if left:
                self.staging.failed(row, failure, final=False)
                self.stop.wait(retry.pause(max(1, tries) - left))
            else:
                self.staging.failed(row, failure, final=True)
                self.exhausted += 1

    def _try(self, row: int, item: Item) -> Failure | None:
        """Try once; return why the item should be tried again, None if it has an outcome or was cut off."""
        self.staging.tried(row)
        try:
            with self.source.open(item) as content:
                self._take(row, item, content)
        except StoreError:
            raise
        except (CutOff, JobCanceled):
            return None
        except SOURCE_ERRORS as error:
            failure = failure_of(error, self.source, item)
            if CODES[failure.code].tried_again:
                return None if self.stop.canceled else failure
            self.staging.failed(row, failure, final=True)
        else:
            self.exhausted = 0
        return None

    def _take(self, row: int, item: Item, content: Content) -> None:
        """Stage an opened item: in the shared segment if it fits, else in its own."""
        require_as_listed(item, content)
        announced = announced_size(item, content)
        if announced is None:
            if self._took_small(row, item, content):
                return
        elif announced < LARGE_ITEM:
            with self.staging.reserved(announced):
                self.staging.stage(row, *read_whole(item, content, self.stop, hashes=self.policy.hashes))
            return
        self.staging.stage_alone(row, item, content, announced)

    def _took_small(self, row: int, item: Item, content: Content) -> bool:
        """Stage an item of unknown size if it has at most `UNKNOWN_ITEM` bytes; return whether it did.

        If not, `content` yields all bytes, including those that were read.
        """
        with self.staging.reserved(UNKNOWN_ITEM):
            chunks = iter(content.chunks)
            head: list[Any] = []
            held = 0
            for chunk in chunks:
                self.stop.require_going()
                head.append(piece := whole(chunk))
                held += len(piece)
                if held > UNKNOWN_ITEM:
                    break
            if held > UNKNOWN_ITEM:
                content.chunks = _chain(head, chunks)
                return False
            content.chunks = head
            self.staging.stage(row, *read_whole(item, content, hashes=self.policy.hashes))
            return True


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

    Every item gets an outcome. If the store fails, the items that could not be staged get its error, and the job stops.
    A shard that an earlier run committed is left as it is, which is looked up only if `policy.run` is set. Raise
    StoreError if the ledger part cannot be written: the shard is then not committed.
    """
    if policy.run and (committed := read_ledger(folder, attempt, part)) is not None:
        return ledger_counts(committed)
    stop = Stop() if stop is None else stop  # not `stop or Stop()`: a stop that is not set is false
    shard = ShardReader(source, folder, attempt, part, policy, stop, progress or Progress())
    return ledger_counts(shard.run())


__all__ = ["LARGE_ITEM", "UNKNOWN_ITEM", "collect_shard"]
