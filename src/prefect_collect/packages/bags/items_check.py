"""Compares a package's own list of items with its contents."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from prefect_collect.archive.problems import Damaged, Problems, shown
from prefect_collect.packages.bags.copies_check import check_copies
from prefect_collect.packages.bags.files import BagFiles
from prefect_collect.packages.bags.manifests import Manifest
from prefect_collect.packages.bags.tag_files import ITEMS, ITEMS_OPTIONAL
from prefect_collect.packages.building.duplicate_columns import DUPLICATE_OF
from prefect_collect.packages.building.duplicates_check import DuplicatesCheck, ListedItem
from prefect_collect.packages.building.spec import DELIVERED
from prefect_collect.packages.contents.index import Entry
from prefect_collect.untrusted.bounded_parquet import BadParquet, BoundedParquet

NAME: Final = "items.parquet"
_COLUMNS: Final = ["path", "item_id", "outcome", "size", "sha256", "error_code", DUPLICATE_OF]

_MOST: Final = 10_000
"""The most ids that are named as repeated."""


def check_items_list(
    bag: BagFiles,
    payload: Sequence[Manifest],
    pause: Callable[[], None] = lambda: None,
    *,
    ours: bool,
    in_group: bool = False,
) -> int:
    """Compare items.parquet with the payload and its manifest; return how many items it lists as not delivered.

    `pause` is called again and again meanwhile.

    In a bag of another tool it is a tag file like any other, whose contents decide nothing (RFC 8493, section 2.2.4):
    what does not agree is a warning. A bag `in_group` need not say which item a duplicate repeats: the list over all
    bags does.
    """
    entry, problems = bag.entry(NAME), bag.findings.problems if ours else bag.findings.warnings
    manifest = next((m for m in payload if m.name == "manifest-sha256.txt"), None)
    if entry is None or manifest is None:
        if ours:
            problems.add(NAME, "it is missing, or manifest-sha256.txt is")
        return 0
    try:
        with unpacked(bag, entry) as file:
            absent = _compare(bag, file, manifest, problems, pause, in_group=in_group)
    except Damaged:
        return 0
    except BadParquet as error:
        if ours:
            problems.add(NAME, f"it cannot be read as the list of items: {error}")
        return 0
    return absent


@contextmanager
def unpacked(bag: BagFiles, entry: Entry) -> Iterator[Any]:
    """Yield a file of the bag as a temporary file. Raise Damaged."""
    with tempfile.TemporaryFile() as file:
        for chunk in bag.chunks(entry):
            file.write(chunk)
        file.seek(0)
        yield file


def _compare(
    bag: BagFiles, file: Any, manifest: Manifest, problems: Problems, pause: Callable[[], None], *, in_group: bool
) -> int:
    """Compare the list row by row; return how many of its items are not delivered."""
    index, absent, covered = bag.index, 0, 0
    repeats = DuplicatesCheck(index, NAME, problems, bag.findings.warnings, in_group=in_group)
    listed = bytearray(index.count)
    for rows in _batches(file):
        pause()
        index.ids.add([hash(row[1]) for row in rows])
        repeats.add(map(_as_listed, rows))
        given = [row for row in rows if row[2] == DELIVERED]
        absent += len(rows) - len(given)
        found = index.find_all([f"{bag.base}{row[0]}" for row in given if row[0]])
        digests = index.digests(manifest.number, [number for number, _ in found.values()])
        for path, item_id, _, size, sha256, _, _ in given:
            if not path:
                problems.add(NAME, f"it lists the item {shown(item_id[:500])!r} as delivered, but without a path")
                continue
            place = found.get(f"{bag.base}{path}")
            if place is None:
                problems.add(path, f"it is missing; {NAME} lists it")
                continue
            number, found_size = place
            if listed[number]:
                problems.add(path, f"{NAME} lists it twice")
            elif path.startswith("data/") and not path.endswith("/"):
                covered += 1
            listed[number] = 1
            digest = _digest(sha256)
            if size != found_size or not digest or digest != digests.get(number):
                problems.add(path, f"{NAME} and {manifest.name} do not agree on it")
    for path in bag.payload_beside(listed) if covered != bag.payload()[1] else ():
        problems.add(path, f"{NAME} does not list it")
    _check_ids(bag, file, problems)
    repeats.finish(_as_listed(row) for rows in _batches(file) for row in rows)
    check_copies(file, NAME, problems, pause)
    return absent


def check_list_over_all(files: BagFiles, file: Any) -> None:
    """Check duplicates, their copies and ids of the list over all bags of a group. Raise BadParquet."""
    problems = files.findings.problems
    repeats = DuplicatesCheck(files.index, NAME, problems, files.findings.warnings)
    for rows in _batches(file):
        files.index.ids.add([hash(row[1]) for row in rows])
        repeats.add(map(_as_listed, rows))
    _check_ids(files, file, problems)
    repeats.finish(_as_listed(row) for rows in _batches(file) for row in rows)
    check_copies(file, NAME, problems)


def _as_listed(row: tuple[Any, ...]) -> ListedItem:
    return row[1], row[2], row[4], row[5], row[6]


def _check_ids(bag: BagFiles, file: Any, problems: Problems) -> None:
    """Report the ids that the list has more than once."""
    doubled = bag.index.ids.repeated(_MOST)
    if not doubled:
        return
    named: set[int] = set()
    for rows in _batches(file):
        for _, item_id, *_ in rows:
            key = hash(item_id)
            if key in doubled and key not in named:
                named.add(key)
                problems.add(NAME, f"it lists the item {shown(item_id[:500])!r} more than once")


def _digest(text: str | None) -> bytes | None:
    try:
        return None if text is None else bytes.fromhex(text)
    except ValueError:
        return None


def _batches(file: Any) -> Iterator[list[tuple[Any, ...]]]:
    """Yield the rows of the list, some at a time. Raise BadParquet."""
    for batch in BoundedParquet(file, ITEMS, ITEMS_OPTIONAL).batches(_COLUMNS, 4096):
        yield list(zip(*(batch.column(name).to_pylist() for name in _COLUMNS), strict=True))
