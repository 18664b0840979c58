"""Finds hashes that occur more than once, or are not among others, in memory that does not grow with them."""

from __future__ import annotations

import sqlite3
from typing import Final

import numpy as np
import numpy.typing as npt

_SORTED_AT_ONCE: Final = 2 << 20
"""How many hashes are sorted in memory at once."""


class Repeats:
    """Hashes (signed, 64 bits) stored in a table of a database, packed in their order."""

    def __init__(self, database: sqlite3.Connection, table: str) -> None:
        self._database, self._table, self._count = database, table, 0
        database.execute(f"CREATE TABLE {table}(hashes BLOB)")

    def add(self, hashes: list[int]) -> None:
        """Store some; cheapest in batches of hundreds."""
        if hashes:
            self._count += len(hashes)
            packed = np.array(hashes, np.int64).tobytes()
            self._database.execute(f"INSERT INTO {self._table} VALUES (?)", (packed,))

    def repeated(self, most: int) -> set[int]:
        """Return at most `most` of those that occur more than once; each pass looks at one share of them."""
        found: set[int] = set()
        shares = 1 + self._count // _SORTED_AT_ONCE
        for share in range(shares):
            ordered = np.sort(self._share(share, shares))
            twice = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
            found.update(twice[: most - len(found)].view(np.int64).tolist())
            if len(found) >= most:
                break
        return found

    def beyond(self, known: Repeats, most: int) -> set[int]:
        """Return at most `most` of those that are not among the `known` ones; each pass looks at one share of both."""
        found: set[int] = set()
        if not self._count:
            return found
        shares = 1 + max(self._count, known._count) // _SORTED_AT_ONCE
        for share in range(shares):
            lacking = np.setdiff1d(self._share(share, shares), known._share(share, shares))
            found.update(lacking[: most - len(found)].view(np.int64).tolist())
            if len(found) >= most:
                break
        return found

    def _share(self, share: int, shares: int) -> npt.NDArray[np.uint64]:
        some = [np.empty(0, np.uint64)]
        for (packed,) in self._database.execute(f"SELECT hashes FROM {self._table}"):
            hashes = np.frombuffer(packed, np.uint64)
            some.append(hashes if shares == 1 else hashes[hashes % np.uint64(shares) == share])
        return np.concatenate(some)
