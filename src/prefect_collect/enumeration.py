"""Enumerating a source: its items, frozen shard by shard in the inventory while the listing goes on."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Final

import pyarrow as pa

from prefect_collect import layout
from prefect_collect.background import in_background
from prefect_collect.control import GRACE, Progress, Stop, stopped_by
from prefect_collect.errors import CollectError, SourceError
from prefect_collect.items import Item, Listed, ListingEnd
from prefect_collect.jobfolder import JobFolder, now
from prefect_collect.ledger import inventory_table
from prefect_collect.listing import require_end
from prefect_collect.parts import part_bytes
from prefect_collect.reading import failure_of
from prefect_collect.since import Since
from prefect_collect.sources import Source

SHARD_ITEMS: Final = 2_000
SHARD_BYTES: Final = 256 << 20

_AHEAD: Final = 1
_LOOK: Final = 0.2
"""Seconds between looks at whether the job was canceled."""

_UNFIT: Final = (pa.ArrowException, TypeError, ValueError, OverflowError, AttributeError)


@dataclass(frozen=True, slots=True)
class Shard:
    """A slice of the inventory: its part number, items, and bytes as the listing announced them."""

    part: int
    items: int
    bytes: int


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
    since: Since | None = None,
) -> Generator[Shard]:
    """Freeze the items of an attempt into inventory parts, and give each shard as soon as it is full.

    `items` is what the attempt works on and, last, the `ListingEnd`, whose proof the inventory's end keeps; `listed`
    says that this is all that the source has, and not only what an earlier attempt left. `resolved`, which may grow
    until the items end, are failed folders that their items replace.
    `since` is what earlier jobs hold: items of theirs that did not change are skipped.
    The listing runs in a thread of its own, one shard ahead. When the job is canceled it ends at the next item, and is
    left behind if none comes; what was listed until then is frozen. Raises SourceError with the code
    `enumeration_failed` if the listing breaks off or stops without a `ListingEnd`, or if the source gave items that
    cannot be recorded (an id that is no text); the shards given until then stand.
    """
    stop = Stop() if stop is None else stop
    listing = _Listing(folder, attempt, stop, progress or Progress(), since)
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
    if listing.unrecorded:
        raise SourceError(
            f"The source gave {len(listing.unrecorded)} items that cannot be recorded, the first of them "
            f"{listing.unrecorded[0]}",
            code="enumeration_failed",
        )
    if listing.end is not None:
        totals = {"items": listing.found, "bytes": listing.bytes, "parts": listing.part, "ended_at": now().isoformat()}
        proof = {"proof": listing.end.proof, "stated_items": listing.end.items}
        folder.end_inventory(attempt, totals | proof | {"listed": listed, "resolved": [*resolved]})


class _Listing:
    """A listing under way; `lock` guards everything but `shard`, which only the listing's thread appends to."""

    def __init__(self, folder: JobFolder, attempt: int, stop: Stop, progress: Progress, since: Since | None) -> None:
        self._since = since
        self._folder, self._attempt, self._stop, self._progress = folder, attempt, stop, progress
        self._lock = threading.Lock()
        self._ready: queue.Queue[Shard | None] = queue.Queue()
        self._ahead = threading.Semaphore(_AHEAD)
        self._sealed = False
        self.shard: list[Item] = []
        self.part = self.found = self.bytes = 0
        self.unrecorded: list[str] = []
        self.end: ListingEnd | None = None

    def run(self, items: Iterable[Listed]) -> Exception | None:
        """List, and freeze shard by shard; the error that the source's listing broke off with."""
        shard, shard_bytes, stop = self.shard, 0, self._stop
        broken: Exception | None = None
        end: ListingEnd | None = None
        try:
            for item in items:
                if isinstance(item, ListingEnd):
                    end = item
                    continue
                shard.append(item)
                shard_bytes += item.size or 0
                if len(shard) >= SHARD_ITEMS or shard_bytes >= SHARD_BYTES:
                    self._freeze()
                    shard, shard_bytes = self.shard, 0
                    self._wait_for_room()
                if stop.canceled or self._sealed:
                    break
            else:
                self.end = require_end(end, "listing")
        except CollectError as error:
            if not isinstance(error, SourceError):
                raise
            broken = error
        except Exception as error:
            broken = error
        self._freeze()
        return broken

    def ended(self) -> None:
        """Nothing more comes."""
        self._ready.put(None)

    def shards(self) -> Iterator[Shard]:
        """The shards, until the listing ends; or, after a cancel, until it should have."""
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
        """End it, wherever it is: freeze what was listed; a shard that is left to give is returned."""
        with self._lock:
            if self._sealed:
                return None
            self._sealed = True
            return self._frozen()

    def _freeze(self) -> None:
        with self._lock:
            if not self._sealed and (shard := self._frozen()) is not None:
                self._ready.put(shard)

    def _frozen(self) -> Shard | None:
        items, self.shard = self.shard, []
        if not items:
            return None
        size = sum(item.size or 0 for item in items)
        table = _recorded(items, self.unrecorded)
        if self._since is not None:
            table = self._since.judged(table)
        part = self.part
        self._folder.store.create(layout.inventory_key(self._folder.job_id, self._attempt, part), part_bytes(table))
        self.part += 1
        self.found += len(items)
        self.bytes += size
        self._progress.add(found=table.num_rows, found_bytes=size)
        return Shard(part, table.num_rows, size)

    def _wait_for_room(self) -> None:
        while not self._sealed and not self._stop.canceled and not self._ahead.acquire(timeout=_LOOK):
            pass


def _recorded(shard: list[Item], unrecorded: list[str]) -> pa.Table:
    """The shard's items as a table; those that no table takes are described in `unrecorded` instead."""
    try:
        return inventory_table(shard)
    except _UNFIT:
        good = []
        for item in shard:
            try:
                inventory_table([item])
            except _UNFIT as error:
                unrecorded.append(f"{item.id!a}: {error}")
            else:
                good.append(item)
        return inventory_table(good)
