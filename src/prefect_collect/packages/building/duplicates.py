"""Finds the items of a manifest that have the same bytes, by SHA-256, and which of them a package delivers.

Of items with the same bytes one is the *original*: the first in the manifest's order, or, if a package is to hold
each once, the first that can be delivered, and always the one that an earlier attempt of the export delivered. An empty
item is no duplicate of another: its name and place are all that it states. Needs 17 bytes of memory for each item, and
about 100 for each that has the bytes of another.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from prefect_collect.job_folder.duplicate_counts import DuplicateCounts
from prefect_collect.job_folder.grown_array import GrownArray
from prefect_collect.job_folder.manifest_rules import Batches
from prefect_collect.packages.building.clashes import are_in
from prefect_collect.packages.building.duplicate_texts import ItemText, ItemTexts
from prefect_collect.packages.building.earlier_items import Earlier, EarlierItems, digest_prefixes
from prefect_collect.parameters import Deduplicate

Numbers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

_TEXTS: Final = ["item_id", "custodian", "original_path"]
_AHEAD: Final = 4096
_MOST_SHORT: Final = 1 << 31
"""Rows whose numbers need more than 4 bytes."""

_BLOCK: Final = 65_536
"""Rows that are compared at once, where all of them would need an array of their own."""
_BEFORE, _GOOD, _BAD = 0, 1, 2


class Duplicates:
    """Which rows of a manifest repeat the bytes of another row, or of an item of an earlier job.

    Attributes:
        original: Of each row, the row that is its original; its own number if it repeats none.
        withheld: Of each row, whether it is not delivered because its original is, or was by an earlier job.
    """

    def __init__(
        self, manifest: Batches, sizes: Numbers, original: npt.NDArray[Any], withheld: Flags, earlier: EarlierItems
    ) -> None:
        self.original, self.withheld = original, withheld
        self._earlier = earlier
        self._texts = ItemTexts()
        members = np.zeros(len(original), np.bool_)
        for rows in _blocks(len(original)):
            repeats = original[rows] != rows
            members[rows[repeats]] = members[original[rows][repeats]] = True
        self._sized = np.flatnonzero(members | earlier.rows)
        self._sizes = sizes[self._sized]
        start = 0
        for batch in manifest(_TEXTS):
            wanted = np.flatnonzero(members[start : start + batch.num_rows])
            if len(wanted):
                some = batch.take(pa.array(wanted))
                self._texts.add((wanted + start).tolist(), *(some[name].to_pylist() for name in _TEXTS))
            start += batch.num_rows
        self._order: Numbers | None = None
        self._marks: tuple[int, list[str | None]] = 0, []

    def counts(self, deduplicate: Deduplicate | None) -> DuplicateCounts:
        """Return how many there are, of an export that was asked to `deduplicate`."""
        rows = self._sized  # no other is marked or withheld
        earlier, withheld = self._names_earlier(rows), self.withheld[rows]
        marked = (self.original[rows] != rows) | earlier
        return DuplicateCounts(
            int(np.count_nonzero(marked)),
            int(self._sizes[marked].sum()),
            int(np.count_nonzero(earlier)),
            int(np.count_nonzero(withheld)),
            int(self._sizes[withheld].sum()),
            deduplicate,
        )

    def _names_earlier(self, rows: Numbers) -> Flags:
        """Return which of these rows have a mark that names an item of an earlier job."""
        is_first = self.original[rows] == rows
        given = self.withheld[rows] & self._earlier.delivered[rows]
        named: Flags = given | (is_first & self._earlier.rows[rows])
        return named

    def marks(self, start: int, count: int) -> list[str | None]:
        """Return what each of these rows repeats: an item's id, or ``job/id`` of an earlier job; None if nothing."""
        rows = np.arange(start, start + count)
        original = self.original[rows]
        earlier = self._names_earlier(rows)
        found: list[str | None] = [None] * count
        inside = np.flatnonzero((original != rows) & ~earlier)
        texts = self._texts.of(original[inside])
        for at, row in zip(inside.tolist(), original[inside].tolist(), strict=True):
            found[at] = texts[row].item_id
        outside = np.flatnonzero(earlier)
        if len(outside):
            said = self._earlier.said((outside + start).tolist())
            for at in outside.tolist():
                found[at] = said[start + at]
        return found

    def mark(self, row: int) -> str | None:
        """Return the same of one row; cheap for rows in their order."""
        start, found = self._marks
        if not start <= row < start + len(found):
            self._marks = start, found = row, self.marks(row, min(_AHEAD, len(self.original) - row))
        return found[row - start]

    def reason(self, row: int) -> str:
        """Return why a withheld row is not delivered, in words; cheap for rows in their order."""
        by = "was delivered by that job" if self._names_earlier(np.array([row]))[0] else "is delivered"
        return f"The item has the bytes of {self.mark(row)}, which {by}."

    def inside(self, start: int, count: int) -> dict[int, int]:
        """Return the originals of those of these rows whose mark names an item of the same manifest, by row."""
        rows = np.arange(start, start + count)
        chosen = rows[(self.original[rows] != rows) & ~self._names_earlier(rows)]
        return dict(zip(chosen.tolist(), self.original[chosen].tolist(), strict=True))

    def copies(self, start: int, count: int) -> dict[int, list[ItemText]]:
        """Return, for each of these rows that is delivered for others, its own texts and those of the others."""
        if self._order is None:
            inside = self.withheld & ~self._earlier.delivered
            rows = np.flatnonzero(inside)
            self._order = rows[np.argsort(self.original[rows], kind="stable")]
        originals = self.original[self._order]
        first, last = np.searchsorted(originals, [start, start + count])
        rows, of = self._order[first:last], originals[first:last]
        texts = self._texts.of(np.concatenate([rows, of]))
        found: dict[int, list[ItemText]] = {}
        for row, original in zip(rows.tolist(), of.tolist(), strict=True):
            found.setdefault(original, [texts[original]]).append(texts[row])
        return found

    def release(self, failed: Numbers, *, every: bool) -> Numbers:
        """Return rows to deliver, as their originals could not be written: one for each, or every one.

        The one becomes the original of all that had the one which could not be written, and of that.
        """
        waiting = np.flatnonzero(self.withheld & ~self._earlier.delivered & np.isin(self.original, failed))
        if not len(waiting):
            return waiting
        if every:
            chosen = waiting
        else:
            lost, first = np.unique(self.original[waiting], return_index=True)
            chosen = waiting[first]
            others = np.flatnonzero(np.isin(self.original, lost))
            self.original[others] = chosen[np.searchsorted(lost, self.original[others])]
        self.withheld[chosen] = False
        self._order, self._marks = None, (0, [])
        return chosen


def find_duplicates(
    manifest: Batches,
    bad: Flags,
    deduplicate: Deduplicate | None = None,
    before: Flags | None = None,
    earlier: list[Earlier] | None = None,
) -> Duplicates:
    """Return which rows of the manifest repeat the bytes of others.

    Args:
        manifest: The manifest.
        bad: Of each row, whether it cannot be delivered.
        deduplicate: Which rows are withheld: "global": all but one with the same bytes; "custodian": all but one of
            each custodian; None: none.
        before: Of each row, whether an earlier attempt of the export delivered it.
        earlier: The items of earlier jobs that count as originals, too.
    """
    sizes, prefixes, usable = _read(manifest)
    found = EarlierItems(manifest, prefixes, usable, earlier or [], deduplicate)
    rows = _suspects(prefixes, usable)
    del prefixes, usable
    original = np.arange(len(sizes), dtype=np.int32 if len(sizes) < _MOST_SHORT else np.int64)
    withheld = np.zeros(len(sizes), np.bool_)
    kept = np.zeros(len(sizes), np.bool_) if before is None else before
    if deduplicate is not None:
        found.delivered &= ~kept
        withheld |= found.delivered & ~bad
    if len(rows):
        digests, custodians = _details(manifest, rows, per_custodian=deduplicate == "custodian")
        rank = np.zeros(len(rows), np.int8)
        if deduplicate is not None:
            rank = np.where(bad[rows] | withheld[rows], _BAD, np.where(kept[rows], _BEFORE, _GOOD)).astype(np.int8)
        original[rows] = leaders = _leaders(rows, rank, digests)
        if deduplicate == "custodian":
            ours = _leaders(rows, rank, [*digests, custodians])
            original[rows] = np.where(ours != rows, ours, leaders)
            leaders = ours
        if deduplicate is not None:
            withheld[rows] |= (rank != _BAD) & (leaders != rows)
    return Duplicates(manifest, sizes, original, withheld, found)


def _blocks(count: int) -> Iterator[Numbers]:
    """Yield the numbers of all rows, some at a time."""
    for start in range(0, count, _BLOCK):
        yield np.arange(start, min(count, start + _BLOCK))


def _read(manifest: Batches) -> tuple[Numbers, npt.NDArray[np.uint64], Flags]:
    """Return sizes, the first 8 bytes of hashes, and which rows can be a duplicate, of all rows."""
    sizes, prefixes, usable = GrownArray(np.int64), GrownArray(np.uint64), GrownArray(np.bool_)
    for batch in manifest(["size", "sha256"]):
        size = pc.fill_null(batch["size"], 0).to_numpy(zero_copy_only=False)
        sizes.add(size)
        prefixes.add(digest_prefixes(batch["sha256"]))
        usable.add((size > 0) & batch["sha256"].is_valid().to_numpy(zero_copy_only=False))
    return sizes.array(), prefixes.array(), usable.array()


def _suspects(prefixes: npt.NDArray[np.uint64], usable: Flags) -> Numbers:
    """Return the rows of which another one has a hash that begins alike."""
    ordered = prefixes[usable]
    ordered.sort()
    twice = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    if not len(twice):
        return np.empty(0, np.int64)
    return np.flatnonzero(usable & are_in(twice, prefixes))


def _details(manifest: Batches, rows: Numbers, *, per_custodian: bool) -> tuple[list[Any], Numbers]:
    """Return the hashes of these rows, as four columns, and numbers for their custodians (0 if that is not known)."""
    digests, custodians = np.empty((4, len(rows)), np.uint64), np.zeros(len(rows), np.int64)
    known: dict[str | None, int] = {None: 0}
    at = 0
    for some in _taken(manifest, rows, ["sha256", *(["custodian"] if per_custodian else [])]):
        part = slice(at, at + some.num_rows)
        digests[:, part] = np.frombuffer(b"".join(some["sha256"].to_pylist()), np.uint64).reshape(-1, 4).T
        if per_custodian:
            custodians[part] = [known.setdefault(name, len(known)) for name in some["custodian"].to_pylist()]
        at = part.stop
    return [*digests], custodians


def _taken(manifest: Batches, rows: Numbers, columns: list[str]) -> Iterator[pa.RecordBatch]:
    start = 0
    for batch in manifest(columns):
        first, last = np.searchsorted(rows, [start, start + batch.num_rows])
        if last > first:
            yield batch.take(pa.array(rows[first:last] - start))
        start += batch.num_rows


def _leaders(rows: Numbers, rank: npt.NDArray[np.int8], keys: list[Any]) -> Numbers:
    """Return, for each row, the one of those with the same keys that has the lowest rank, and is the first of these."""
    order = np.lexsort((rows, rank, *keys))
    is_new = np.ones(len(rows), np.bool_)
    is_new[1:] = np.logical_or.reduce([key[order][1:] != key[order][:-1] for key in keys])
    leaders = np.empty(len(rows), np.int64)
    leaders[order] = rows[order][np.flatnonzero(is_new)][np.cumsum(is_new) - 1]
    return leaders
