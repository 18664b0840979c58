"""Groups of a package's files for one thread or process, as plain values, which processes send to each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from prefect_collect.packages.contents.index import COLUMNS, Entry, FileIndex, entry_of

_SHARE_BYTES: Final = 8 << 20
_SHARE_FILES: Final = 256
_SHARE_NAMES: Final = 256 << 10
_NAME, _SIZE, _OFFSET = 1, 2, 7

Share = tuple[list[tuple[Any, ...]], dict[int, list[tuple[int, bytes]]], int | None]
"""The rows of the files, what each list has for them by their numbers, and the offset of the file after them."""


def shares_of(index: FileIndex, lists: Sequence[int]) -> Iterator[Share]:
    """Yield all files in order, in groups, with what these lists have for each."""
    group: list[tuple[Any, ...]] = []
    size = names = 0
    for row in index.query(f"SELECT {COLUMNS} FROM file ORDER BY number"):
        if size >= _SHARE_BYTES or len(group) >= _SHARE_FILES or names >= _SHARE_NAMES:
            yield group, _digests_of(index, group, lists), row[_OFFSET]
            group, size, names = [], 0, 0
        group.append(row)
        size += row[_SIZE]
        names += len(row[_NAME])
    if group:
        yield group, _digests_of(index, group, lists), None


def _digests_of(
    index: FileIndex, group: list[tuple[Any, ...]], lists: Sequence[int]
) -> dict[int, list[tuple[int, bytes]]]:
    query = "SELECT number, digest FROM listed WHERE list = ? AND number BETWEEN ? AND ?"
    return {of: list(index.query(query, of, group[0][0], group[-1][0])) for of in lists}


def size_of(share: Share) -> int:
    """Return the bytes of the files."""
    return sum(row[_SIZE] for row in share[0])


def read_share(share: Share) -> tuple[list[tuple[Entry, dict[int, bytes]]], int | None]:
    """Return the files of a group with what the lists have for each, and the offset of the file after them."""
    rows, lists, following = share
    files = {row[0]: (entry_of(row), dict[int, bytes]()) for row in rows}
    for of, digests in lists.items():
        for number, digest in digests:
            files[number][1][of] = digest
    return list(files.values()), following
