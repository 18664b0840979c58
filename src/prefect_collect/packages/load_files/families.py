"""Families: which items of a manifest the source states to belong together, such as a message and its attachments.

Only the source's own word counts (`stated_family`). Items of a family are numbered one after the other, where the
family first appears in the manifest: the parent first if the source says which item it is, then the others in their
order.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from prefect_collect.job_folder.grown_array import GrownArray
from prefect_collect.job_folder.manifest_rules import Batches
from prefect_collect.packages.load_files.stated import StatedFamily, stated_family

NONE: Final = -1
"""What stands for the family of an item of which none is stated."""

_KEY_SIZE: Final = 16
_HINT: Final = r"(?i)f[\W_]*a[\W_]*m[\W_]*i[\W_]*l[\W_]*y"
"""What is in the metadata of each item that states a family, so that no other metadata is parsed."""


@dataclass(frozen=True, slots=True)
class Families:
    """The families of a manifest.

    Attributes:
        of: The number of each row's family, `NONE` if it has none.
        keys: The `family_key` of each family, one after the other.
    """

    of: npt.NDArray[np.int32]
    keys: bytes

    def __len__(self) -> int:
        """Return the number of families."""
        return len(self.keys) // _KEY_SIZE

    def key_of(self, row: int) -> bytes | None:
        """Return the `family_key` of a row's family; None if it has none."""
        family = int(self.of[row])
        return None if family == NONE else self.key(family)

    def key(self, family: int) -> bytes:
        """Return the `family_key` of a family."""
        return self.keys[family * _KEY_SIZE : (family + 1) * _KEY_SIZE]


@dataclass(frozen=True, slots=True)
class FamilyRanges:
    """The first and the last number of each family; both are 0 if other numbers are between, or one is missing.

    Attributes:
        families: The families.
        first: The first number of each family.
        last: The last number of each family.
    """

    families: Families
    first: npt.NDArray[np.int64]
    last: npt.NDArray[np.int64]

    @property
    def scattered(self) -> int:
        """The number of families whose items are not numbered one after the other."""
        return int(np.count_nonzero(self.first == 0))

    def of(self, row: int) -> tuple[int, int]:
        """Return the first and last number of a row's family; zeros if it has none, or it is scattered."""
        family = int(self.families.of[row])
        return (0, 0) if family == NONE else (int(self.first[family]), int(self.last[family]))


def family_key(name: str) -> bytes:
    """Return what stands for a family of that name, however long the name is."""
    return hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=_KEY_SIZE).digest()


def find_families(manifest: Batches) -> Families | None:
    """Return the families of a manifest; None if no item states one."""
    found = _read(manifest)
    return None if found is None else found.families


def ranges_of(
    families: Families, numbers: npt.NDArray[np.int64], before: Mapping[bytes, tuple[int, int]]
) -> FamilyRanges:
    """Return the ranges of families whose items have these numbers.

    `before` has, by `family_key`, the first and the last number that earlier exports gave to items of a family, which
    is scattered, too, if the item of one of them is not here.
    """
    count = len(families)
    rows = np.flatnonzero(families.of != NONE)
    of, given = families.of[rows], numbers[rows]
    first, last = np.full(count, np.iinfo(np.int64).max), np.zeros(count, np.int64)
    np.minimum.at(first, of, given)
    np.maximum.at(last, of, given)
    is_whole = last - first + 1 == np.bincount(of, minlength=count)
    if before:
        known = np.array([before.get(families.key(at), (low, low)) for at, low in enumerate(first)])
        is_whole &= (known[:, 0] >= first) & (known[:, 1] <= last)
    return FamilyRanges(families, np.where(is_whole, first, 0), np.where(is_whole, last, 0))


def family_order(manifest: Batches) -> npt.NDArray[np.int64] | None:
    """Return the rows of a manifest in the order in which they are numbered; None if that is their own order."""
    found = _read(manifest)
    if found is None:
        return None
    of = found.families.of
    rows, members = np.arange(len(of)), np.flatnonzero(of != NONE)
    begins = np.full(len(found.families), len(of))
    np.minimum.at(begins, of[members], members)
    begin = rows.copy()
    begin[members] = begins[of[members]]
    is_child = (found.parents != 0) & (found.parents != found.items) & np.isin(found.parents, found.items)
    order = np.lexsort((rows, is_child, begin))
    return None if np.array_equal(order, rows) else order


class _Found(NamedTuple):
    """The families, and by row what stands for the item and for its parent, each with the family; 0: none is named."""

    families: Families
    items: npt.NDArray[np.int64]
    parents: npt.NDArray[np.int64]


def _read(manifest: Batches) -> _Found | None:
    keys: dict[bytes, int] = {}
    of, items, parents, start = GrownArray(np.int32), GrownArray(np.int64), GrownArray(np.int64), 0
    for rows, stated in _stated(manifest):
        if stated and not keys:
            of.add(np.full(start, NONE))
            items.add(np.zeros(start))
            parents.add(np.zeros(start))
        if stated or keys:
            found, own, others = np.full(rows, NONE, np.int32), np.zeros(rows, np.int64), np.zeros(rows, np.int64)
            for row, family in stated.items():
                found[row] = keys.setdefault(family_key(family.name), len(keys))
                own[row] = hash((family.name, family.item)) if family.item else 0
                others[row] = hash((family.name, family.parent)) if family.parent else 0
            of.add(found)
            items.add(own)
            parents.add(others)
        start += rows
    return _Found(Families(of.array(), b"".join(keys)), items.array(), parents.array()) if keys else None


def _stated(manifest: Batches) -> Iterator[tuple[int, dict[int, StatedFamily]]]:
    """Yield, of each batch of a manifest, the number of its rows, and by row the families that are stated."""
    for batch in manifest(["metadata"]):
        column = batch["metadata"]
        if column.null_count == batch.num_rows:
            yield batch.num_rows, {}
            continue
        hinted = np.flatnonzero(pc.match_substring_regex(column, _HINT).fill_null(False).to_numpy(zero_copy_only=False))
        found: dict[int, StatedFamily] = {}
        for row in hinted.tolist():
            try:
                said = json.loads(column[row].as_py())
            except (ValueError, RecursionError):
                continue  # reported where the item is listed
            if isinstance(said, dict) and (family := stated_family(said)) is not None:
                found[row] = family
        yield batch.num_rows, found
