"""Comparing a package's own list of items with what is in it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import pyarrow as pa
from pyarrow import csv

from prefect_collect.bounded_parquet import BadParquet, BoundedParquet
from prefect_collect.escaping import csv_text
from prefect_collect.packages._bag import DELIVERED, ITEMS
from prefect_collect.packages._bag_files import BagFiles
from prefect_collect.packages._index import Entry
from prefect_collect.packages._manifests import Manifest
from prefect_collect.packages._verification import Damaged, Problems, shown

NAME: Final = "items.parquet"
TABLE: Final = "items.csv"
_LIST: Final = -1
"""The number under which the index notes which files the list of items has."""

_COLUMNS: Final = ["path", "item_id", "outcome", "size", "sha256"]
_MOST: Final = 10_000
"""Doubled ids that are named."""


def check_items_list(bag: BagFiles, payload: Sequence[Manifest], *, ours: bool) -> int:
    """Compare items.parquet with the payload and its manifest; gives how many items it lists as not delivered.

    In a bag of others it is a tag file like any, whose contents decide nothing (RFC 8493, section 2.2.4): what does not
    agree is a warning.
    """
    entry, problems = bag.entry(NAME), bag.findings.problems if ours else bag.findings.warnings
    manifest = next((m for m in payload if m.name == "manifest-sha256.txt"), None)
    if entry is None or manifest is None:
        if ours:
            problems.add(NAME, "it is missing, or manifest-sha256.txt is")
        return 0
    try:
        with _unpacked(bag, entry) as file:
            absent = _compare(bag, file, manifest, problems)
    except Damaged:
        return 0
    except BadParquet as error:
        if ours:
            problems.add(NAME, f"it cannot be read as the list of items: {error}")
        return 0
    for path in bag.unlisted([_LIST]):
        problems.add(path, f"{NAME} does not list it")
    return absent


@contextmanager
def _unpacked(bag: BagFiles, entry: Entry) -> Iterator[Any]:
    """A file of the bag as a temporary one. Raises Damaged."""
    with tempfile.TemporaryFile() as file:
        for chunk in bag.chunks(entry):
            file.write(chunk)
        file.seek(0)
        yield file


def _compare(bag: BagFiles, file: Any, manifest: Manifest, problems: Problems) -> int:
    """Compare the list row by row; gives how many of its items are not delivered."""
    index, absent = bag.index, 0
    for rows in _batches(file):
        index.mark(row[1] for row in rows)
        listed = [row for row in rows if row[2] == DELIVERED]
        absent += len(rows) - len(listed)
        found = index.find_all([f"{bag.base}{row[0]}" for row in listed if row[0]])
        numbers = [place[0] if row[0] and (place := found.get(f"{bag.base}{row[0]}")) else -1 for row in listed]
        digests = index.digests(manifest.number, [number for number in numbers if number >= 0])
        noted: list[tuple[int, bytes]] = []
        names: dict[int, str] = {}
        for (path, item_id, _, size, sha256), number in zip(listed, numbers, strict=True):
            if not path:
                problems.add(NAME, f"it lists the item {shown(item_id[:500])!r} as delivered, but without a path")
                continue
            if number < 0:
                problems.add(path, f"it is missing; {NAME} lists it")
                continue
            noted.append((number, b""))
            names[number] = path
            digest = _digest(sha256)
            if size != found[bag.base + path][1] or not digest or digest != digests.get(number):
                problems.add(path, f"{NAME} and {manifest.name} do not agree on it")
        for number, _, _ in index.list_digests(_LIST, noted):
            problems.add(names.get(number, ""), f"{NAME} lists it twice")
    _check_ids(bag, file, problems)
    return absent


def check_items_table(bag: BagFiles) -> None:
    """Compare items.csv, which people read, with items.parquet: the same items in the same order."""
    table, exact, problems = bag.entry(TABLE), bag.entry(NAME), bag.findings.problems
    if table is None or exact is None:
        problems.add(TABLE, "it is missing" if table is None else f"there is no {NAME} to compare it with")
        return
    with _unpacked(bag, table) as file, _unpacked(bag, exact) as other:
        cells, at = _cells(file), 0
        try:
            for rows in _batches(other):
                for path, item_id, _, _, _ in rows:
                    at += 1
                    found = next(cells, None)
                    if found is None or found[0] != (path or "") or item_id not in (found[1], csv_text(found[1])):
                        problems.add(TABLE, f"row {at:,} is not the item that {NAME} has there")
                        return
            if next(cells, None) is not None:
                problems.add(TABLE, f"it has more than the {at:,} items of {NAME}")
        except BadParquet:
            return  # told already
        except pa.ArrowException as error:
            problems.add(TABLE, f"it cannot be read as the list of items: {str(error).splitlines()[0][:200]}")


def _cells(file: Any) -> Iterator[tuple[str, str]]:
    """Path and id of each row, from blocks of 4 MiB. Raises ArrowException."""
    text = {name: pa.string() for name in ITEMS.names}
    convert = csv.ConvertOptions(column_types=text, include_columns=["path", "item_id"], strings_can_be_null=False)
    parse = csv.ParseOptions(newlines_in_values=True)
    reading = csv.ReadOptions(use_threads=False, block_size=4 << 20)
    for batch in csv.open_csv(file, read_options=reading, parse_options=parse, convert_options=convert):
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _check_ids(bag: BagFiles, file: Any, problems: Problems) -> None:
    """Name the ids that the list has more than once."""
    doubled = bag.index.twice(_MOST)
    if not doubled:
        return
    told: set[int] = set()
    for rows in _batches(file):
        for _, item_id, _, _, _ in rows:
            key = hash(item_id)
            if key in doubled and key not in told:
                told.add(key)
                problems.add(NAME, f"it lists the item {shown(item_id[:500])!r} more than once")


def _digest(text: str | None) -> bytes | None:
    try:
        return None if text is None else bytes.fromhex(text)
    except ValueError:
        return None


def _batches(file: Any) -> Iterator[list[tuple[Any, ...]]]:
    """The rows of the list, some at a time. Raises BadParquet."""
    for batch in BoundedParquet(file, ITEMS).batches(_COLUMNS, 4096):
        yield list(zip(*(batch.column(name).to_pylist() for name in _COLUMNS), strict=True))
