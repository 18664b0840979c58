"""The MD5 and SHA-1 that the list of items states beside the SHA-256, for the pass that hashes the package's files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from prefect_collect.archive.problems import shown
from prefect_collect.packages.bags.algorithms import find_algorithm, stated_digest
from prefect_collect.packages.bags.files import BagFiles
from prefect_collect.packages.bags.manifests import Manifest
from prefect_collect.packages.building.spec import DELIVERED
from prefect_collect.packages.file_sets.lists import HASHES, ITEMS, ITEMS_OPTIONAL, ITEMS_SCHEMA
from prefect_collect.untrusted.bounded_parquet import BadParquet, BoundedParquet

_COLUMNS: Final = ["item_id", "outcome", "path", "offset", *HASHES]
_ROWS: Final = 4096


def stated_hashes(values: Sequence[object]) -> tuple[bytes | None, ...] | None:
    """Return the hashes of `HASHES` that a row states, None for those that it does not; None if one is no such hash."""
    found: list[bytes | None] = []
    for name, value in zip(HASHES, values, strict=True):
        digest = None if value is None else stated_digest(name, str(value))
        if value is not None and digest is None:
            return None
        found.append(digest)
    return tuple(found)


def item_hash_lists(files: BagFiles, items: Any, is_item: Callable[[str, int | None], bool]) -> list[Manifest]:
    """Put the hashes of files that are items into lists of the index, and return those that have any.

    `items` is the open list of items, `is_item` says whether a file at a path has just an item's bytes. A list that
    cannot be read has none: it is reported when items are compared.
    """
    lists = {name: Manifest(f"{ITEMS} ({name.upper()})", False, find_algorithm(name), number)
             for number, name in enumerate(HASHES, 1)}  # fmt: skip
    used: set[str] = set()
    try:
        for rows in _stating(items):
            of = {row[2]: row for row in rows if is_item(row[2], row[3])}
            found = files.index.find_all([f"{files.base}{path}" for path in of])
            digests: dict[str, list[tuple[int, bytes]]] = {name: [] for name in HASHES}
            for path, row in of.items():
                hashes = stated_hashes(row[4:])
                number = found.get(f"{files.base}{path}", (None, 0))[0]
                if hashes is None:
                    files.findings.problems.add(ITEMS, f"it states a wrong hash of {shown(str(row[0])[:200])}")
                elif number is not None:
                    for name, digest in zip(HASHES, hashes, strict=True):
                        digests[name] += [] if digest is None else [(number, digest)]
            for name, listed in digests.items():
                if listed:
                    used.add(name)
                    files.index.list_digests(lists[name].number, listed)
    except BadParquet:
        return []
    return [lists[name] for name in HASHES if name in used]


def _stating(items: Any) -> Iterator[list[tuple[Any, ...]]]:
    """Yield the rows of delivered items that state a hash, some at a time. Raise BadParquet."""
    file = BoundedParquet(items, ITEMS_SCHEMA, ITEMS_OPTIONAL)
    if {*HASHES}.isdisjoint(file.schema.names):
        return
    for batch in file.batches(_COLUMNS, _ROWS):
        rows = zip(*(batch.column(name).to_pylist() for name in _COLUMNS), strict=True)
        yield [row for row in rows if row[1] == DELIVERED and isinstance(row[2], str) and any(row[4:])]
