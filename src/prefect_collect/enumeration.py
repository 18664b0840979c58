"""Enumerating a source: its items, frozen shard by shard in the inventory while the listing goes on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from prefect_collect import layout
from prefect_collect.control import Progress, Stop
from prefect_collect.errors import CollectError, SourceError
from prefect_collect.idsets import IdSet
from prefect_collect.items import Item
from prefect_collect.jobfolder import JobFolder, now
from prefect_collect.ledger import inventory_table
from prefect_collect.parts import part_bytes, read_batches
from prefect_collect.query import Query
from prefect_collect.reading import failure_of
from prefect_collect.sources import Source

SHARD_ITEMS: Final = 2_000
SHARD_BYTES: Final = 256 << 20


@dataclass(frozen=True, slots=True)
class Shard:
    """A slice of the inventory: its part number, items, and bytes as the listing announced them."""

    part: int
    items: int
    bytes: int


def enumerate_source(
    source: Source,
    query: Query,
    folder: JobFolder,
    attempt: int,
    *,
    redo: Iterable[Item] | None = None,
    held: IdSet | None = None,
    also: Iterable[Item] = (),
    stop: Stop | None = None,
    progress: Progress | None = None,
) -> Iterator[Shard]:
    """Freeze the items of an attempt into inventory parts, and give each shard as soon as it is full.

    A first attempt, or one whose predecessor's listing never came to its end, lists the source. It leaves out what is
    `held` already, and takes in `also` items that the listing no longer has. A retry works on the items to `redo` as
    the source says they are now.
    Raises SourceError with the code `enumeration_failed` if the listing breaks off; the shards given until then stand.
    """
    stop = Stop() if stop is None else stop
    progress = progress or Progress()
    items = query.select(source.items()) if redo is None else _relisted(source, redo)
    if held is not None:
        items = _missing(items, held, also)
    part = found = size = 0
    shard: list[Item] = []
    shard_bytes = 0

    def freeze() -> Shard:
        table = inventory_table(shard)
        folder.store.create(layout.inventory_key(folder.job_id, attempt, part), part_bytes(table))
        progress.add(found=len(shard), found_bytes=shard_bytes)
        return Shard(part, len(shard), shard_bytes)

    try:
        for item in items:
            shard.append(item)
            shard_bytes += item.size or 0
            if len(shard) >= SHARD_ITEMS or shard_bytes >= SHARD_BYTES:
                found, size = found + len(shard), size + shard_bytes
                yield freeze()
                part, shard, shard_bytes = part + 1, [], 0
                if stop and stop.why is not None and stop.why.code == "canceled":
                    return
    except CollectError as error:
        if not isinstance(error, SourceError):
            raise
        broken: Exception | None = error
    except Exception as error:
        broken = error
    else:
        broken = None
    if shard:
        found, size = found + len(shard), size + shard_bytes
        yield freeze()
    if broken is not None:
        why = failure_of(broken, source)
        raise SourceError(
            f"The source could not be listed to its end ({found} items were found): {why.message}",
            code=why.code if found == 0 else "enumeration_failed",
            http_status=why.http_status,
        ) from broken
    totals = {"items": found, "bytes": size, "parts": part + bool(shard), "ended_at": now().isoformat()}
    folder.end_inventory(attempt, totals)


def _missing(items: Iterable[Item], held: IdSet, also: Iterable[Item]) -> Iterator[Item]:
    """The items that are not held, then those of `also` that are not among them."""
    listed = IdSet()
    for batch in batched(items, SHARD_ITEMS):
        listed.add(item.id for item in batch)
        yield from _not_in(batch, held)
    for batch in batched(also, SHARD_ITEMS):
        yield from _not_in(batch, listed)


def batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """The items in lists of `size`; the last may be shorter."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def _not_in(batch: list[Item], known: IdSet) -> Iterator[Item]:
    for item, is_known in zip(batch, known.contains([item.id for item in batch]), strict=True):
        if not is_known:
            yield item


def _relisted(source: Source, items: Iterable[Item]) -> Iterator[Item]:
    """Each item as it is now; one that is gone, or cannot be looked up, stays in the account and fails when read."""
    for item in items:
        try:
            present = list(source.relist(item))
        except Exception as error:
            yield replace(item, failure=failure_of(error, source, item))
            continue
        yield from present or [item]


def held_ids(folder: JobFolder, attempt: int) -> IdSet:
    """The ids of every item held after that attempt."""
    held = IdSet()
    key = layout.manifest_key(folder.job_id, attempt)
    for batch in read_batches(folder.store, key, columns=["item_id"]):
        held.add(batch["item_id"].to_pylist())
    return held


def unsuccessful_items(folder: JobFolder, attempt: int) -> Iterator[Item]:
    """The items that an attempt left failed or not attempted, with no listing attributes; skipped ones stay skipped."""
    key = layout.report_key(folder.job_id, attempt, "errors.parquet")
    for batch in read_batches(folder.store, key, columns=["item_id", "path", "outcome"]):
        for id_, path, outcome in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            if id_ is not None and outcome != "skipped":
                yield Item(id_, path)
