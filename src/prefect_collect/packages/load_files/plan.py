"""Where each item of a load file goes: its control number, its volume and its folder.

All of it follows from the manifest alone, so that a retry of the export places every item as before, also those that
could not be delivered the first time: an item keeps its number whether it is delivered or not. A family whose items
follow one another in the manifest is in one volume, alone if it is larger than one.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from prefect_collect.errors import PackageError
from prefect_collect.formats.load_file import LoadFile
from prefect_collect.job_folder.manifest_rules import Batches
from prefect_collect.packages.building.continued import Continued, number_key
from prefect_collect.packages.load_files.families import NONE, Families, FamilyRanges, find_families, ranges_of
from prefect_collect.packages.load_files.texts import is_named_as_text

FOLDER_ITEMS: Final = 1_000
"""The most natives, and texts, in a folder."""

_MOST_VOLUMES: Final = 9_999
_SAFE_EXTENSION: Final = re.compile(r"[^/]\.([A-Za-z0-9]{1,10})\Z")


class Place(NamedTuple):
    """The place of an item: its control number, its volume's name, and its paths in the package."""

    control: str
    volume: str
    native: str
    text: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The places of a manifest's rows.

    Attributes:
        prefix: What control numbers begin with.
        width: The digits of control numbers.
        items: The number of rows.
        starts: The first row of each volume.
        numbers: The number of each row; None if they are 1, 2, 3, ….
        families: The families with their first and last numbers; None if no item states one.
    """

    prefix: str
    width: int
    items: int
    starts: tuple[int, ...]
    numbers: npt.NDArray[np.int64] | None = None
    families: FamilyRanges | None = None

    def number(self, row: int) -> int:
        """Return the number of a row."""
        return row + 1 if self.numbers is None else int(self.numbers[row])

    def control(self, row: int) -> str:
        """Return the control number of a row."""
        return self._written(self.number(row))

    def family(self, row: int) -> tuple[str, str]:
        """Return the first and last control number of a row's family; "" if it has none, or it is scattered."""
        first, last = (0, 0) if self.families is None else self.families.of(row)
        return (self._written(first), self._written(last)) if first else ("", "")

    def _written(self, number: int) -> str:
        return f"{self.prefix}{number:0{self.width}d}"

    def places(self, rows: Iterable[tuple[int, str]]) -> Iterator[Place]:
        """Yield the places of the items of rows, each given with the path that its item was staged under."""
        # Formatting takes most of the time, so what neighbours share is made once for each folder.
        first = end = 0
        volume = natives = texts = ""
        prefix, width = self.prefix, self.width
        for row, path in rows:
            if not first <= row < end:
                at = bisect_right(self.starts, row) - 1
                folder = (row - self.starts[at]) // FOLDER_ITEMS
                first = self.starts[at] + folder * FOLDER_ITEMS
                end = min([first + FOLDER_ITEMS, *self.starts[at + 1 : at + 2]])
                volume = volume_name(at)
                natives, texts = (f"{volume}/{kind}/{folder + 1:04d}/" for kind in ("NATIVES", "TEXT"))
            control = f"{prefix}{self.number(row):0{width}d}"
            found = _SAFE_EXTENSION.search(path)
            yield Place(
                control, volume, f"{natives}{control}.{found[1]}" if found else natives + control,
                f"{texts}{control}.txt",
            )  # fmt: skip


def volume_name(at: int) -> str:
    """Return the name of a volume, by its place from 0."""
    return f"VOL{at + 1:03d}"


def plan_of(manifest: Batches, options: LoadFile, continued: Continued | None = None) -> Plan:
    """Return the places of all rows. Raise PackageError if the numbers have not enough digits for them."""
    families = find_families(manifest)
    volumes, items, last = _Volumes(options, families), 0, 0 if continued is None else continued.last
    numbers: list[npt.NDArray[np.int64]] = []
    for batch in manifest(["size", "item_id", "sha256", "path"]):
        if options.volume_items or options.volume_bytes:
            volumes.add(items, batch["size"].to_pylist(), batch["path"].to_pylist())
        if continued is not None:
            given = [*_numbered(batch["item_id"].to_pylist(), batch["sha256"].to_pylist(), continued, last)]
            last = max(last, *given) if given else last
            numbers.append(np.array(given, np.int64))
        items += batch.num_rows
    highest = items if continued is None else last
    if len(str(highest)) > options.width:
        raise PackageError(
            f"The items' numbers reach {highest:,}, which has more digits than they may have; export with a larger "
            f"width. [width={options.width}]"
        )
    starts = volumes.starts
    if len(starts) > _MOST_VOLUMES:
        raise PackageError(
            f"The items would fill {len(starts):,} volumes, and {_MOST_VOLUMES:,} are the most; export with larger "
            f"volumes. [volume_items={options.volume_items}, volume_bytes={options.volume_bytes}]"
        )
    known = None if continued is None else np.concatenate([np.empty(0, np.int64), *numbers])
    return Plan(options.prefix, options.width, items, tuple(starts), known, _ranges(families, items, known, continued))


def _ranges(
    families: Families | None, items: int, numbers: npt.NDArray[np.int64] | None, continued: Continued | None
) -> FamilyRanges | None:
    if families is None:
        return None
    if numbers is None or continued is None:
        return ranges_of(families, np.arange(1, items + 1), {})
    return ranges_of(families, numbers, continued.families)


class _Volumes:
    """The first rows of volumes, found row by row."""

    def __init__(self, options: LoadFile, families: Families | None) -> None:
        self._most_items, self._most_bytes = options.volume_items, options.volume_bytes
        self._of = None if families is None else families.of
        self.starts = [0]
        self._size = 0
        self._family = (0, 0)
        """Where the family of the last row begins: its row, and the bytes of the volume before it."""

    def add(self, first: int, sizes: list[int | None], paths: list[str]) -> None:
        """Add a batch of rows, the first of which is given."""
        for row, (stated, path) in enumerate(zip(sizes, paths, strict=True), first):
            # A row without a size is damaged, and its item an exception. What is named as a text is there twice, if
            # its bytes are one: they are not looked at here, so that a retry after a repair places all as before.
            length = (stated or 0) * (2 if is_named_as_text(path) else 1)
            if not self._follows(row):
                self._family = row, self._size
            start, before = self._family
            if start > self.starts[-1] and self._is_full(row, length):
                self.starts.append(start)
                self._size -= before
                self._family = start, 0
            self._size += length

    def _follows(self, row: int) -> bool:
        """Return whether a row is of the family of the row before it."""
        return self._of is not None and row > 0 and self._of[row] != NONE and self._of[row] == self._of[row - 1]

    def _is_full(self, row: int, length: int) -> bool:
        if self._most_items and row - self.starts[-1] >= self._most_items:
            return True
        return self._most_bytes is not None and self._size + length > self._most_bytes


def _numbered(ids: list[str], digests: list[bytes], continued: Continued, last: int) -> Iterator[int]:
    for item_id, sha256 in zip(ids, digests, strict=True):
        known = continued.numbers.get(number_key(item_id, sha256 or b""))
        if known is None:
            last += 1
        yield last if known is None else known
