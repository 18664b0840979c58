"""The items that a later attempt works on: those that have not succeeded, as the source has them now."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

from prefect_collect.codes import Failure
from prefect_collect.collecting.checked_read import SOURCE_ERRORS, failure_of
from prefect_collect.errors import SourceError
from prefect_collect.job_folder import store_keys
from prefect_collect.job_folder.checked_evidence import Vouched
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.job_folder.id_sets import IdSet
from prefect_collect.job_folder.ledger_rules import is_settled
from prefect_collect.job_folder.result import TaskResult
from prefect_collect.sources import Item, Listed, ListingEnd, Source
from prefect_collect.sources.item_checks import NO_ID
from prefect_collect.sources.listing import proven, relisted, without_end
from prefect_collect.sources.query import Query
from prefect_collect.threads.pool import Pool
from prefect_collect.threads.stop import current_stop

T = TypeVar("T")

_BATCH: Final = 2_000
_LOOKUPS: Final = 16
_ROOM: Final = 16 << 20
"""Bytes of the inventory's end mark, which is read within bounds, that ids of replaced items may take."""

_BESIDE: Final = 100
"""Bytes that an id counts beside its own, so that the mark has no more values than are read."""

_REPORTED: Final = [
    "item_id", "path", "outcome", "size", "first_failed_at", "error_code", "source_modified", "source_created",
    "custodian",
]  # fmt: skip


@dataclass
class RetryItems:
    """The items that the attempt before (`previous`) left to do, by the job's checked files (`evidence`).

    Held items are never among them. `retried` counts the items of the error report that are retried; `resolved`
    collects the ids of failed folders that could be listed now, whose items replace them in the account, and of items
    in whose place the source has a new one of their path (the corrected line of a list). Both are complete when all
    items have been yielded; `unlisted` then counts the held items that a new listing does not have. Once the
    `current_stop` is set, no item is looked up any more.
    """

    source: Source
    query: Query
    folder: JobFolder
    evidence: Vouched
    previous: TaskResult
    retried: int = 0
    resolved: list[str] = field(default_factory=list)
    unlisted: int = 0
    _folders: list[Item] = field(default_factory=list, repr=False)
    _accounted: list[IdSet] = field(default_factory=list, repr=False)
    _taken: set[str] = field(default_factory=set, repr=False)
    _room: int = field(default=_ROOM, repr=False)

    def has_unnamed(self) -> bool:
        """Return whether the source gave items without a usable id: only listing it again can find those."""
        unnamed = "invalid_item" in self.previous.codes
        return unnamed and any(item.id.startswith(NO_ID) for item in self._unsuccessful())

    def again(self, only: IdSet | None = None) -> Iterator[Listed]:
        """Yield what failed or was not attempted (of that, what is in `only`), as it is now.

        Skipped items stay skipped, and items that are elsewhere stay not attempted.
        """
        seen = IdSet()
        folders = self._folders
        for batch in _batched(self._unsuccessful()):
            chosen = batch if only is None else [item for item, is_in in _known(batch, only) if is_in]
            self.retried += len(chosen)
            seen.add(item.id for item in batch)
            folders += [item for item in chosen if _is_folder(item) and not item.id.startswith(NO_ID)]
            yield from (replace(item, failure=_unnamed(item)) for item in chosen if item.id.startswith(NO_ID))
            files = [item for item in chosen if not (_is_folder(item) or item.id.startswith(NO_ID))]
            # An item that was never tried is retried as it is when it is read: looking it up would cost a request each.
            yield from (replace(item, is_current=False) for item in files if item.failed_since is None)
            yield from self._as_they_are([item for item in files if item.failed_since is not None])
        if folders:
            yield from self._contents(folders, [seen, self._held()])
        yield ListingEnd(f"the error report of attempt {self.previous.attempt} was read to its end")

    def listed_anew(self) -> Iterator[Listed]:
        """Yield what the source lists and no attempt holds, then unaccounted items that the listing no longer has."""
        held, listed, is_whole = self._held(), IdSet(), True
        reported, missed = self._reported_ids()
        replaced: set[str] = set()
        ends: list[ListingEnd] = []
        for batch in _batched(without_end(self.query.select(proven(self.source, self.query)), ends)):
            listed.add(item.id for item in batch)
            is_whole = is_whole and not any(item.failure is not None and _is_folder(item) for item in batch)
            fresh = [item for item, is_held in _known(batch, held) if not is_held]
            if missed:
                new = [item.path for item, is_reported in _known(fresh, reported) if not is_reported]
                replaced.update(path for path, is_missed in zip(new, missed.contains(new), strict=True) if is_missed)
            yield from fresh
        folders: list[Item] = []
        for batch in _batched(self._unsuccessful()):
            for item, is_listed in _known(batch, listed):
                if is_listed:
                    continue
                if item.id.startswith(NO_ID):
                    self.resolved.append(item.id)  # it was listed again: under a usable id, or a new made-up one
                elif _is_folder(item):
                    folders.append(item)
                elif item.path in replaced and self.query.limit is None and self._leaves(item):
                    replaced.remove(item.path)
                else:
                    yield replace(item, is_current=False)
        for batch in _batched(item for item, outcome, code in self._reported() if code == "empty_folder"):
            # The folder now has items, or no longer exists: there is nothing left to account for.
            self.resolved += [item.id for item, is_listed in _known(batch, listed) if not is_listed]
        yield from self._contents(folders, [listed, held])
        # With a limit, the listing does not go on for what comes after; nor does it into a folder that failed.
        if self.query.limit is None and is_whole:
            self.unlisted = held.missing_from(listed)
        yield from ends

    def _unsuccessful(self) -> Iterator[Item]:
        """Yield the items that the attempt before left failed or not attempted, without those that are elsewhere.

        Of their listing the facts are known that the error report states, but not what proves that an item is still
        the one that was listed: its ETag and its version.
        """
        return (item for item, outcome, code in self._reported() if not is_settled(outcome, code))

    def _reported(self) -> Iterator[tuple[Item, str, str | None]]:
        """Yield the items of the error report of the attempt before, with outcome and code."""
        key = store_keys.report_key(self.folder.job_id, self.previous.attempt, "errors.parquet")
        for batch in self.evidence.batches(key, columns=_REPORTED):
            columns = (batch[name].to_pylist() for name in _REPORTED)
            for id_, path, outcome, size, since, code, modified, created, whose in zip(*columns, strict=True):
                if id_ is not None:
                    item = Item(id_, path, size, modified, created=created, custodian=whose, failed_since=since)
                    yield item, outcome, code

    def _reported_ids(self) -> tuple[IdSet, IdSet]:
        """Return the ids of all items of the error report, and the paths of its files that are to be collected."""
        ids, paths = IdSet(), IdSet()
        for batch in _batched(self._reported()):
            ids.add(item.id for item, _, _ in batch)
            missed = (item for item, outcome, code in batch if not is_settled(outcome, code))
            paths.add(item.path for item in missed if not (_is_folder(item) or item.id.startswith(NO_ID)))
        return ids, paths

    def _held(self) -> IdSet:
        held = IdSet()
        key = store_keys.manifest_key(self.folder.job_id, self.previous.attempt)
        for batch in self.evidence.batches(key, columns=["item_id"]):
            held.add(batch["item_id"].to_pylist())
        return held

    def _as_they_are(self, items: list[Item]) -> Iterator[Item]:
        """Yield the items as they are now, looked up a few at a time, because each may cost a request."""
        with Pool(_LOOKUPS, "lookup") as pool:
            for some in _batched(items, 4 * _LOOKUPS):
                if current_stop():
                    yield from some
                    continue
                for item, present in [(item, pool.submit(self._now, item)) for item in some]:
                    for now in present.result():
                        yield now if now.id == item.id or self._replaces(now, item) else replace(item, is_current=False)

    def _replaces(self, now: Item, item: Item) -> bool:
        """Return whether an item of the same path takes the place of one in the account; it must be a new one."""
        self._accounted = self._accounted or [self._held(), self._reported_ids()[0]]
        [(_, is_known)] = _known([now], *self._accounted)
        if is_known or now.id in self._taken or not self.query.matches(now) or not self._leaves(item):
            return False
        self._taken.add(now.id)
        return True

    def _leaves(self, item: Item) -> bool:
        """Take a replaced item out of the account; return whether there is room for its id."""
        self._room -= len(json.dumps(item.id)) + _BESIDE
        if self._room >= 0:
            self.resolved.append(item.id)
        return self._room >= 0

    def _now(self, item: Item) -> list[Item]:
        """Return the item as it is now. If it no longer exists or the look-up fails, it stays in the account and fails.

        Return nothing if it has become a folder: that is listed later.
        """
        stop = current_stop()
        if stop:
            return [item]
        try:
            found = []
            unknown = replace(item, size=None, modified=None, created=None, custodian=None)
            for present in relisted(self.source, unknown):
                if present.expands is not None:
                    self._folders.append(item)
                    return []
                if present.id == item.id:
                    found.append(_with_facts(present, item))
                elif present.path == item.path and present.failure is None:
                    found.append(present)
                else:
                    what = present.failure.message if present.failure else f"it returned another item: {present.id}"
                    raise SourceError(f"The source was asked for the item, but: {what}", code="invalid_item")
        except SOURCE_ERRORS as error:
            if stop.canceled:
                return [item]
            return [replace(item, failure=self._failed(error, item))]
        stop.met(None)
        return found or [replace(item, is_current=False)]

    def _failed(self, error: BaseException, item: Item) -> Failure:
        failure = failure_of(error, self.source, item)
        current_stop().met(failure)
        return failure

    def _contents(self, folders: list[Item], known: list[IdSet]) -> Iterator[Item]:
        limit = self.query.limit
        free = None if limit is None else max(0, limit - self.previous.counts.found)
        for folder in folders:
            came = is_open = False
            if current_stop():
                yield folder
                continue
            try:
                for batch in _batched(relisted(self.source, folder)):
                    for item, is_known in _known(batch, *known):
                        came = True
                        if item.id == folder.id:
                            yield item
                            continue
                        if item.expands is None:
                            item = replace(item, expands=folder.id)
                        if not is_open:
                            is_open = True
                            free = None if free is None else free + 1
                        if not is_known and free != 0 and self.query.matches(item):
                            free = None if free is None else free - 1
                            yield item
            except SOURCE_ERRORS as error:
                if current_stop().canceled:
                    yield folder
                    return
                yield replace(folder, failure=self._failed(error, folder))
                continue
            if is_open:
                self.resolved.append(folder.id)
            elif not came:
                yield folder


def _with_facts(present: Item, before: Item) -> Item:
    """Return an item as it is now, with what only its earlier listing stated: a look-up may state less than that."""
    created, custodian = present.created or before.created, present.custodian or before.custodian
    return replace(present, created=created, custodian=custodian, failed_since=before.failed_since)


def _unnamed(item: Item) -> Failure:
    what = "The data source gives the item no usable id, so only a new listing of the source can find it"
    return Failure("invalid_item", f"{what}: retry the job without a report. [{item.id}]")


def _is_folder(item: Item) -> bool:
    """Return whether the item stands for a folder that could not be listed."""
    return item.path.endswith("/")


def _batched(items: Iterable[T], size: int = _BATCH) -> Iterator[list[T]]:
    """Yield the items in lists; if an error ends them, the items before it are yielded, and then it is raised."""
    batch: list[T] = []
    try:
        for item in items:
            batch.append(item)
            if len(batch) == size:
                full, batch = batch, []
                yield full
    except SOURCE_ERRORS:
        if batch:
            yield batch
        raise
    if batch:
        yield batch


def _known(batch: list[Item], *sets: IdSet) -> Iterator[tuple[Item, bool]]:
    ids = [item.id for item in batch]
    found = [ids_of.contains(ids) for ids_of in sets]
    for row, item in enumerate(batch):
        yield item, any(is_in[row] for is_in in found)
