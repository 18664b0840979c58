"""Sets of item ids that take 16 to 34 bytes an id, so that a job of a hundred million items fits in memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Any, Final

import numpy as np
import numpy.typing as npt


def digests(ids: Iterable[str]) -> npt.NDArray[np.uint64]:
    """Return the ids' 128-bit BLAKE2b digests, as rows of two numbers."""
    raw = b"".join(blake2b(i.encode("utf-8", "surrogatepass"), digest_size=16).digest() for i in ids)
    return np.frombuffer(raw, dtype="<u8").reshape(-1, 2)


class IdSet:
    """A set of ids, kept as 128-bit digests: two different ids have the same one with probability n² / 2^129."""

    def __init__(self) -> None:
        self._pending: list[npt.NDArray[np.uint64]] = []
        self._sorted: npt.NDArray[np.uint64] = np.empty((0, 2), dtype="<u8")

    def add(self, ids: Iterable[str]) -> None:
        """Add ids to the set; cheapest in batches of thousands."""
        self._pending.append(digests(ids))

    def _merge(self) -> None:
        if self._pending:
            joined = np.concatenate([self._sorted, *self._pending])
            self._sorted = joined[np.argsort(joined[:, 0])]
            self._pending = []

    def contains(self, ids: list[str]) -> npt.NDArray[np.bool_]:
        """Return, for each id, whether it is in the set."""
        return self._has(digests(ids))

    def missing_from(self, other: IdSet) -> int:
        """Return how many ids of the set, each counted as often as it was added, another one does not have."""
        self._merge()
        return int(np.count_nonzero(~other._has(self._sorted)))

    def _has(self, wanted: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
        self._merge()
        found = np.zeros(len(wanted), dtype=bool)
        at = np.searchsorted(self._sorted[:, 0], wanted[:, 0])
        # Digests with the same first half are neighbours: step along them, in practice once.
        while True:
            inside = at < len(self._sorted)
            inside[inside] = self._sorted[at[inside], 0] == wanted[inside, 0]
            inside &= ~found
            if not inside.any():
                return found
            found[inside] = self._sorted[at[inside], 1] == wanted[inside, 1]
            at[inside] += 1

    def __bool__(self) -> bool:
        return bool(self._pending) or bool(len(self._sorted))


_WIDTH: Final = 16
"""Slots in a bucket: the first hashes of a bucket fill two cache lines."""

_FULL: Final = 0.75
"""Share of the slots that are filled before the table grows by half."""

_MOVED_AT_ONCE: Final = 1 << 16


class UniqueIds:
    """Finds ids that occur a second time in a stream of batches of thousands.

    An id is kept as two 64-bit hashes of this process (Python's, keyed SipHash), in a table of buckets: 23 to 34 bytes
    an id, and as much again for the moment in which the table grows; about 0.5 µs an id. Two different ids count as one
    with probability n² / 2^129 (10^-22 for a hundred million), so a caller that leaves out the second one must report
    it.
    """

    def __init__(self) -> None:
        self._count = 0
        self._make(256)

    def __len__(self) -> int:
        return self._count

    def add(self, ids: Sequence[str]) -> list[int]:
        """Add ids to the set; return the indexes of those that were in it, or occur earlier in `ids`."""
        doubled: list[int] = []
        if len(set(ids)) < len(ids):
            first: dict[str, int] = {}
            doubled = [place for place, id_ in enumerate(ids) if first.setdefault(id_, place) != place]
        high, low = _hashes(ids)
        rows = np.arange(len(ids))
        if doubled:
            rows = np.delete(rows, doubled)
        self._grow(len(rows))
        known = self._insert(high[rows], low[rows])
        self._count += len(rows) - len(known)
        return sorted([*doubled, *rows[known].tolist()])

    def _make(self, buckets: int) -> None:
        self._high, self._low = np.zeros(buckets * _WIDTH, "<u8"), np.zeros(buckets * _WIDTH, "<u8")
        self._filled = np.zeros(buckets, np.uint8)

    def _grow(self, more: int) -> None:
        wanted = self._count + more
        buckets = len(self._filled)
        if wanted <= buckets * _WIDTH * _FULL:
            return
        while wanted > buckets * _WIDTH * _FULL:
            buckets += buckets // 2
        high, low = self._high, self._low
        self._make(buckets)
        for start in range(0, len(high), _MOVED_AT_ONCE):
            some = high[start : start + _MOVED_AT_ONCE]
            used = np.flatnonzero(some)
            self._insert(some[used], low[start : start + _MOVED_AT_ONCE][used])

    def _insert(self, high: npt.NDArray[np.uint64], low: npt.NDArray[np.uint64]) -> npt.NDArray[np.intp]:
        """Add hashes, each of which occurs once, to the table; return the indexes of those that were in it."""
        buckets = len(self._filled)
        table = self._high.reshape(-1, _WIDTH)
        home = (high % np.uint64(buckets)).astype(np.intp)
        rows = np.argsort(home, kind="stable")
        at = home[rows]
        known: list[Any] = [np.empty(0, np.intp)]
        while len(rows):
            wanted = high[rows]
            alike = table[at] == wanted[:, None]
            if alike.any():
                which, place = np.nonzero(alike)
                which = which[self._low[at[which] * _WIDTH + place] == low[rows[which]]]
                known.append(rows[which])
                rows, at, wanted = np.delete(rows, which), np.delete(at, which), np.delete(wanted, which)
            # Hashes that want the same bucket are neighbours: the first gets its first free slot, the next the next.
            count = np.arange(len(at))
            begins = np.ones(len(at), bool)
            np.not_equal(at[1:], at[:-1], out=begins[1:])
            place = self._filled[at] + (count - np.maximum.accumulate(count * begins))
            fits = place < _WIDTH
            slot = at[fits] * _WIDTH + place[fits]
            self._high[slot], self._low[slot] = wanted[fits], low[rows[fits]]
            self._filled[at[fits]] = place[fits] + 1
            rows, at = rows[~fits], (at[~fits] + 1) % buckets
        return np.concatenate(known)


def _hashes(ids: Sequence[str]) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """Return two hashes of each id; the first is never 0, which marks a free slot."""
    high = np.fromiter(map(hash, ids), np.int64, len(ids)).view(np.uint64)
    low = np.fromiter(map(hash, [id_ + "\0" for id_ in ids]), np.int64, len(ids)).view(np.uint64)
    high[high == 0] = 1
    return high, low
