"""Which items of a manifest each bag of a group holds, and what the bag is called."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from prefect_collect.errors import PackageError
from prefect_collect.formats.bag_options import VOLUME_BYTES
from prefect_collect.job_folder.manifest_rules import Batches
from prefect_collect.packages.building.spec import PackageSpec

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


def volumes_of(manifest: Batches, base: str, most_bytes: int) -> list[Volume]:
    """Return the bags in which the items of a manifest are, in its order, at most so many bytes in each.

    An item that is larger has a bag of its own. There is always one bag. Raise PackageError for too many.
    """
    starts, held, count = [0], 0, 0
    for batch in manifest(["size"]):
        sizes: list[int] = _sizes(batch["size"])
        for number, size in enumerate(sizes, count):
            if held + size > most_bytes and number > starts[-1]:
                starts.append(number)
                held = 0
            held += size
        count += len(sizes)
    if len(starts) > MOST:
        raise PackageError(f"The group would have {len(starts):,} bags, and has at most {MOST:,}; make them larger.")
    width = max(3, len(str(len(starts))))
    ends = [*starts[1:], count]
    return [
        Volume(f"{base}-{number:0{width}d}", start, stop)
        for number, (start, stop) in enumerate(zip(starts, ends, strict=True), 1)
    ]


def longest_base(manifest: Batches, spec: PackageSpec) -> str:
    """Return the longest base folder of a group's bags, which is that of the last one. Raise PackageError."""
    return volumes_of(manifest, spec.base, spec.bag.volume_bytes or VOLUME_BYTES)[-1].base


def _sizes(column: pa.Array[Any]) -> list[int]:
    found: list[int] = np.asarray(pc.fill_null(column, 0)).tolist()
    return found
