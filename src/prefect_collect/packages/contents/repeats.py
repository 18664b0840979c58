"""Finds hashes that occur more than once, or are not among others, in memory that does not grow with them."""

from __future__ import annotations

import sqlite3
from array import array
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_SORTED_AT_ONCE: Final = 2 << 20
"""How many hashes are sorted in memory at once."""

_FEW: Final = 100_000
"""Up to how many hashes Python's own set is used: it takes less time than the import of numpy."""


class Repeats:
    """Hashes (signed, 64 bits) stored in a table of a database, packed in their order."""

    def __init__(self, database: sqlite3.Connection, table: str) -> None:
        self._database, self._table, self._count = database, table, 0
        database.execute(f"CREATE TABLE {table}(hashes BLOB)")

    def add(self, hashes: list[int]) -> None:
        """Store some; cheapest in batches of hundreds."""
        if hashes:
            self._count += len(hashes)
            self._database.execute(f"INSERT INTO {self._table} VALUES (?)", (array("q", hashes).tobytes(),))

    def repeated(self, most: int) -> set[int]:
        """Return at most `most` of those that occur more than once; each pass looks at one share of them."""
        found: set[int] = set()
        if self._count <= _FEW and self._all_differ():
            return found
        import numpy as np

        shares = 1 + self._count // _SORTED_AT_ONCE
        for share in range(shares):
            ordered = self._share(share, shares)
            ordered.sort()
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
        import numpy as np

        shares = 1 + max(self._count, known._count) // _SORTED_AT_ONCE
        for share in range(shares):
            lacking = np.setdiff1d(self._share(share, shares), known._share(share, shares))
            found.update(lacking[: most - len(found)].view(np.int64).tolist())
            if len(found) >= most:
                break
        return found

    def _all_differ(self) -> bool:
        different: set[int] = set()
        for (packed,) in self._database.execute(f"SELECT hashes FROM {self._table}"):
            different.update(array("q", packed))
        return len(different) == self._count

    def _share(self, share: int, shares: int) -> npt.NDArray[np.uint64]:
        import numpy as np

        from prefect_collect.job_folder.grown_array import GrownArray

        found = GrownArray(np.uint64)
        for (packed,) in self._database.execute(f"SELECT hashes FROM {self._table}"):
            hashes = np.frombuffer(packed, np.uint64)
            found.add(hashes if shares == 1 else hashes[hashes % np.uint64(shares) == share])
        return found.array()
