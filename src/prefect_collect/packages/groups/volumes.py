"""Which items of a manifest each bag of a group holds, and what the bag is called."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from prefect_collect.errors import PackageError
from prefect_collect.formats.bag_options import VOLUME_BYTES
from prefect_collect.job_folder.manifest_rules import Batches
from prefect_collect.packages.building.spec import PackageSpec
from prefect_collect.packages.groups.reserve import COLUMNS, bag_bytes, bytes_of, group_bytes, most_in

MOST: Final = 9_999
"""The most bags of a group."""


@dataclass(frozen=True, slots=True)
class Volume:
    """One bag of a group: its base folder, and the numbers of its first item and of the first item after it."""

    base: str
    start: int
    stop: int

    def of(self, batches: Batches) -> Batches:
        """Return the bag's part of a manifest."""

        def part(columns: list[str]) -> Iterator[pa.RecordBatch]:
            at = 0
            for batch in batches(columns):
                first, last = max(self.start - at, 0), min(self.stop - at, batch.num_rows)
                if first < last:
                    yield batch.slice(first, last - first)
                at += batch.num_rows
                if at >= self.stop:
                    return

        return part


def volumes_of(manifest: Batches, spec: PackageSpec) -> list[Volume]:
    """Return the bags in which the items of a manifest are, in its order, each a file of at most the asked size.

    An item that is larger with its headers and lists has a bag of its own. There is always one bag. Raise
    PackageError for too many.
    """
    most, empty = most_in(spec, spec.bag.volume_bytes or VOLUME_BYTES), bag_bytes(spec)
    starts, held, count = [0], empty, 0
    for batch in manifest(COLUMNS):
        sizes = bytes_of(batch, spec)
        group = group_bytes(batch)
        held += group
        for number, size in enumerate(sizes, count):
            if held + size > most and number > starts[-1]:
                starts.append(number)
                held = empty + group
            held += size
        count += len(sizes)
    if len(starts) > MOST:
        raise PackageError(f"The group would have {len(starts):,} bags, and has at most {MOST:,}; make them larger.")
    width = max(3, len(str(len(starts))))
    ends = [*starts[1:], count]
    return [
        Volume(f"{spec.base}-{number:0{width}d}", start, stop)
        for number, (start, stop) in enumerate(zip(starts, ends, strict=True), 1)
    ]


def longest_base(manifest: Batches, spec: PackageSpec) -> str:
    """Return the longest base folder of a group's bags, which is that of the last one. Raise PackageError."""
    return volumes_of(manifest, spec)[-1].base
