"""Enumerates a source: freezes its items in the inventory, shard by shard, while the listing continues."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from time import monotonic
from typing import Any, Final

from prefect_collect.collecting.checked_read import SOURCE_ERRORS, failure_of
from prefect_collect.collecting.custodians import Custodians
from prefect_collect.collecting.incremental import Incremental
from prefect_collect.errors import CollectError, SourceError
from prefect_collect.job_folder import store_keys
from prefect_collect.job_folder.folder import JobFolder, now
from prefect_collect.job_folder.id_sets import UniqueIds
from prefect_collect.job_folder.ledger import inventory_table
from prefect_collect.job_folder.parquet import part_bytes
from prefect_collect.sources import Item, Listed, ListingEnd, Source
from prefect_collect.sources.listing import require_end
from prefect_collect.threads.pool import in_background
from prefect_collect.threads.progress import Progress
from prefect_collect.threads.stop import GRACE, Stop, stopped_by

SHARD_ITEMS: Final = 2_000
SHARD_BYTES: Final = 256 << 20
SHARD_TEXT: Final = 4 << 20
"""Characters of ids and paths: a shard's files are held in memory, and read within bounds."""

_AHEAD: Final = 1
_LOOK: Final = 0.2
"""Seconds between two checks whether the job was canceled."""

_NAMED: Final = 5
"""How many ids a warning names."""

_SHOWN: Final = 200
"""Characters of an id that a warning shows."""


@dataclass(frozen=True, slots=True)
class Shard:
    """A part of the inventory: its number, its items, and their bytes as the listing announced them."""

    part: int
    items: int
    bytes: int


@dataclass
class Doubled:
    """The items left out because the inventory already has their id: how many, and the first ids."""

    items: int = 0
    ids: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, totals: dict[str, Any]) -> Doubled:
        """Return the items left out that the inventory's end mark records."""
        said = totals.get("doubled")
        items, ids = (said.get("items"), said.get("ids")) if isinstance(said, dict) else (0, [])
        if not isinstance(items, int) or not isinstance(ids, list):
            return cls()
        return cls(items, [str(id_) for id_ in ids[:_NAMED]])

    def leave_out(self, ids: Sequence[str]) -> None:
        """Count these items as left out."""
        self.items += len(ids)
        self.ids += ids[: _NAMED - len(self.ids)]

    def warnings(self) -> list[str]:
        """Return the warning about them for the result, if there are any."""
        if not self.items:
            return []
        named = ", ".join(id_ if len(id_) <= _SHOWN else f"{id_[:_SHOWN]}…" for id_ in self.ids)
        more = f" and {self.items - len(self.ids):,} more" if self.items > len(self.ids) else ""
        return [
            f"The source listed {self.items:,} items under ids that it had listed before. Only the first entry of an "
            f"id counts, so no item was collected twice. [{named}{more}]"
        ]


def enumerate_source(
    source: Source,
    items: Iterable[Listed],
    folder: JobFolder,
    attempt: int,
    *,
    listed: bool = True,
    resolved: Sequence[str] = (),
    stop: Stop | None = None,
    progress: Progress | None = None,
    since: Incremental | None = None,
    doubled: Doubled | None = None,
    said: list[str] | None = None,
    custodians: Custodians | None = None,
) -> Generator[Shard]:
    """Freeze the items of an attempt into inventory parts, and yield each shard as soon as it is full.

    The listing runs in its own thread, one shard ahead. When the job is canceled it ends at the next item; if no item
    comes, its thread is abandoned. What was listed until then is frozen.

    Args:
        items: The items to work on and, last, the `ListingEnd`, whose proof the inventory's end mark keeps.
        listed: Whether the items are all that the source has, and not only what an earlier attempt left.
        resolved: The failed folders that these items replace; it may grow until the items end.
        since: What earlier jobs hold: items of theirs that did not change are skipped.
        doubled: Counts the items that are left out because the inventory already has their id.
        said: Gets what the source says at the listing's end, for the result.
        custodians: Tells the custodian of each item.

    Raises:
        SourceError: `enumeration_failed`, the listing broke off, or ended without a `ListingEnd`; the shards yielded
            until then remain valid.
        AttemptSuperseded: Another process has closed the attempt; nothing was written after that.
    """
    stop = Stop() if stop is None else stop
    doubled = Doubled() if doubled is None else doubled
    listing = _Listing(folder, attempt, stop, progress or Progress(), since, doubled, custodians)
    with stopped_by(stop):
        work = in_background(listing.run, items, name="listing")
    work.add_done_callback(lambda _: listing.ended())
    try:
        yield from listing.shards()
        broken = work.result() if work.done() else None
    finally:
        left = listing.seal()
    if left is not None:
        yield left
    if broken is not None:
        why = failure_of(broken, source)
        raise SourceError(
            f"The source could not be listed to its end ({listing.found} items were found): {why.message}",
            code=why.code if listing.found == 0 else "enumeration_failed",
            http_status=why.http_status,
        ) from broken
    if listing.end is not None:
        totals = {"items": listing.found, "bytes": listing.bytes, "parts": listing.part, "ended_at": now().isoformat()}
        proof = {"proof": listing.end.proof, "stated_items": listing.end.items}
        twice = {"doubled": asdict(doubled)} if doubled.items else {}
        warnings = [*listing.end.warnings]
        if said is not None:
            said += warnings
        more = {"warnings": warnings} if warnings else {}
        folder.require_open(attempt)
        folder.end_inventory(attempt, totals | proof | twice | more | {"listed": listed, "resolved": [*resolved]})


class _Listing:
    """A running listing; `lock` guards everything but `shard`, which only the listing's thread appends to."""

    def __init__(
        self,
        folder: JobFolder,
        attempt: int,
        stop: Stop,
        progress: Progress,
        since: Incremental | None,
        doubled: Doubled,
        custodians: Custodians | None,
    ) -> None:
        self._since, self._doubled, self._custodians = since, doubled, custodians or Custodians()
        self._ids = UniqueIds()
        self._folder, self._attempt, self._stop, self._progress = folder, attempt, stop, progress
        self._lock = threading.Lock()
        self._ready: queue.Queue[Shard | None] = queue.Queue()
        self._ahead = threading.Semaphore(_AHEAD)
        self._sealed = False
        self.shard: list[Item] = []
        self.part = self.found = self.bytes = 0
        self.end: ListingEnd | None = None

    def run(self, items: Iterable[Listed]) -> BaseException | None:
        """List, and freeze shard by shard; return the error with which the source's listing broke off."""
        shard, shard_bytes, text, stop = self.shard, 0, 0, self._stop
        broken: BaseException | None = None
        end: ListingEnd | None = None
        try:
            for item in items:
                if isinstance(item, ListingEnd):
                    end = item
                    continue
                shard.append(item)
                shard_bytes += item.size or 0
                text += len(item.id) + len(item.path) + (len(item.expands) if item.expands else 0)
                if len(shard) >= SHARD_ITEMS or shard_bytes >= SHARD_BYTES or text >= SHARD_TEXT:
                    is_given = self._freeze()
                    shard, shard_bytes, text = self.shard, 0, 0
                    if is_given:
                        self._wait_until_submitted()
                if stop.canceled or self._sealed:
                    break
            else:
                self.end = require_end(end, "listing")
        except CollectError as error:
            if not isinstance(error, SourceError):
                raise
            broken = error
        except SOURCE_ERRORS as error:
            broken = error
        self._freeze()
        return broken

    def ended(self) -> None:
        """Mark the listing as ended: no shard follows."""
        self._ready.put(None)

    def shards(self) -> Iterator[Shard]:
        """Yield the shards until the listing ends or, after a cancel, until its time to end is over."""
        deadline: float | None = None
        while deadline is None or monotonic() < deadline:
            with suppress(queue.Empty):
                shard = self._ready.get(timeout=_LOOK)
                if shard is None:
                    return
                self._ahead.release()
                yield shard
            if deadline is None and self._stop.canceled:
                deadline = monotonic() + GRACE

    def seal(self) -> Shard | None:
        """End the listing at once: freeze what was listed, and return the last shard if there is one."""
        with self._lock:
            if self._sealed:
                return None
            self._sealed = True
            return self._frozen()

    def _freeze(self) -> bool:
        """Freeze what was listed as a shard; return whether there is one, and not only ids that were listed before."""
        with self._lock:
            if self._sealed or (shard := self._frozen()) is None:
                return False
            self._ready.put(shard)
            return True

    def _frozen(self) -> Shard | None:
        # A copy: where the listing is sealed, its thread still appends to the list.
        items, self.shard = self._unique([*self.shard]), []
        if not items:
            return None
        size = sum(item.size or 0 for item in items)
        table = inventory_table(items, [self._custodians.of(item.path, item.custodian) for item in items])
        if self._since is not None:
            table = self._since.with_unchanged_skipped(table)
        part = self.part
        self._folder.require_open(self._attempt)  # a process that was taken for lost may come back
        self._folder.store.create(store_keys.inventory_key(self._folder.job_id, self._attempt, part), part_bytes(table))
        self.part += 1
        self.found += len(items)
        self.bytes += size
        elsewhere = sum(item.outcome == "not_attempted" for item in items)
        self._progress.add(found=table.num_rows, found_bytes=size, found_elsewhere=elsewhere)
        return Shard(part, table.num_rows, size)

    def _unique(self, items: list[Item]) -> list[Item]:
        """Return the items whose id the inventory does not have yet."""
        doubled = self._ids.add([item.id for item in items])
        if not doubled:
            return items
        self._doubled.leave_out([items[row].id for row in doubled])
        gone = frozenset(doubled)
        return [item for row, item in enumerate(items) if row not in gone]

    def _wait_until_submitted(self) -> None:
        while not self._sealed and not self._stop.canceled and not self._ahead.acquire(timeout=_LOOK):
            pass
