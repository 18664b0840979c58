"""Enumerating a source: its items, frozen shard by shard in the inventory while the listing goes on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from prefect_collect import layout
from prefect_collect.control import Progress, Stop
from prefect_collect.errors import CollectError, SourceError
from prefect_collect.items import Item
from prefect_collect.jobfolder import JobFolder, now
from prefect_collect.ledger import inventory_table
from prefect_collect.parts import part_bytes
from prefect_collect.reading import failure_of
from prefect_collect.sources import Source

SHARD_ITEMS: Final = 2_000
SHARD_BYTES: Final = 256 << 20

_UNFIT: Final = (pa.ArrowException, TypeError, ValueError, OverflowError, AttributeError)


@dataclass(frozen=True, slots=True)
class Shard:
    """A slice of the inventory: its part number, items, and bytes as the listing announced them."""

    part: int
    items: int
    bytes: int


def enumerate_source(
    source: Source,
    items: Iterable[Item],
    folder: JobFolder,
    attempt: int,
    *,
    listed: bool = True,
    resolved: Sequence[str] = (),
    stop: Stop | None = None,
    progress: Progress | None = None,
) -> Iterator[Shard]:
    """Freeze the items of an attempt into inventory parts, and give each shard as soon as it is full.

    `items` is what the attempt works on; `listed` says that this is all that the source has, and not only what an
    earlier attempt left. `resolved`, which may grow until the items end, are failed folders that their items replace.
    Raises SourceError with the code `enumeration_failed` if the listing breaks off, or if the source gave items that
    cannot be recorded (an id that is no text); the shards given until then stand.
    """
    stop = Stop() if stop is None else stop
    progress = progress or Progress()
    part = found = size = 0
    shard: list[Item] = []
    shard_bytes = 0
    unrecorded: list[str] = []

    def freeze() -> Shard:
        table = _recorded(shard, unrecorded)
        folder.store.create(layout.inventory_key(folder.job_id, attempt, part), part_bytes(table))
        progress.add(found=table.num_rows, found_bytes=shard_bytes)
        return Shard(part, table.num_rows, shard_bytes)

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
    if unrecorded:
        raise SourceError(
            f"The source gave {len(unrecorded)} items that cannot be recorded, the first of them {unrecorded[0]}",
            code="enumeration_failed",
        )
    totals = {"items": found, "bytes": size, "parts": part + bool(shard), "ended_at": now().isoformat()}
    folder.end_inventory(attempt, totals | {"listed": listed, "resolved": [*resolved]})


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
