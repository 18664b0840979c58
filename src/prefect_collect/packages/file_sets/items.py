"""Compares the exact list of items of a file set with its files and its exceptions."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, Final

from prefect_collect.archive.problems import Damaged, Problems, shown
from prefect_collect.packages.bags.files import BagFiles
from prefect_collect.packages.bags.manifests import Manifest
from prefect_collect.packages.building.duplicate_columns import DUPLICATE_OF
from prefect_collect.packages.building.duplicates_check import DuplicatesCheck
from prefect_collect.packages.building.duplicates_check import ListedItem as Repeated
from prefect_collect.packages.building.spec import DELIVERED
from prefect_collect.packages.contents.name_keys import unpack
from prefect_collect.packages.file_sets.item_hashes import item_hash_lists, stated_hashes
from prefect_collect.packages.file_sets.lists import HASHES, ITEMS, ITEMS_OPTIONAL, ITEMS_SCHEMA
from prefect_collect.packages.load_files.exceptions_check import ExceptionsCheck
from prefect_collect.untrusted.bounded_parquet import BadParquet, BoundedParquet

_ROWS: Final = 4096
_COLUMNS: Final = [
    "item_id", "outcome", "path", "offset", "length", "size", "sha256", "error_code", DUPLICATE_OF,
    "original_path", "custodian", "message", *HASHES,
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class ListedItem:
    """A delivered item, as items.parquet states it.

    `number` is its file's in the index; `hashes` are those of `HASHES`, None where none is stated.
    """

    item_id: str
    path: str
    offset: int | None
    length: int | None
    size: int
    sha256: str
    number: int
    original_path: str
    custodian: str
    hashes: tuple[bytes | None, ...]


class ItemsCheck:
    """The comparison; `items` and `bytes` count what is delivered, `absent` what is not.

    `has_custodians` says whether the list states custodians; lists of earlier versions do not.

    Args:
        files: The files of the package.
        payload: How the names of the files begin that items are in.
    """

    def __init__(self, files: BagFiles, payload: tuple[str, ...]) -> None:
        self.files, self._payload = files, payload
        self.items = self.bytes = self.absent = 0
        self.listed = bytearray(files.index.count)
        self.has_custodians = False
        self._list: IO[bytes] | None = None

    @property
    def problems(self) -> Problems:
        """What is wrong with the package."""
        return self.files.findings.problems

    def is_item(self, path: str, offset: int | None) -> bool:
        """Return whether the file of an item has just the item's bytes."""
        return offset is None

    def add(self, item: ListedItem) -> None:
        """Compare more of an item that is delivered."""

    def finish(self) -> None:
        """Compare what can be compared when all items are known."""

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Keep the list of items in a temporary file, for `hash_lists` and `run`, until the context is left."""
        entry = self.files.entry(ITEMS)
        with tempfile.TemporaryFile() as file:
            try:
                for chunk in () if entry is None else self.files.chunks(entry):
                    file.write(chunk)
                self._list = None if entry is None else file  # reported as missing
            except Damaged:
                pass  # reported when it is hashed
            yield
            self._list = None

    def hash_lists(self) -> list[Manifest]:
        """Return the lists of MD5 and SHA-1 of files that are items, if the list of items states these."""
        return [] if self._list is None else item_hash_lists(self.files, self._list, self.is_item)

    def run(self, manifest: Manifest) -> None:
        """Compare everything, and add what is wrong to the findings."""
        if self._list is None:
            return
        file = self._list
        try:
            schema = BoundedParquet(file, ITEMS_SCHEMA, ITEMS_OPTIONAL).schema
            self.has_custodians = "custodian" in schema.names
            exceptions = ExceptionsCheck(self.files, numbered=False, has_custodians=self.has_custodians)
            repeats = DuplicatesCheck(self.files.index, ITEMS, self.problems, self.files.findings.warnings)
            for rows in _batches(file):
                repeats.add(map(_as_listed, rows))
                self._compare(rows, manifest, exceptions)
            repeats.finish(_as_listed(row) for rows in _batches(file) for row in rows)
        except BadParquet as error:
            self.problems.add(ITEMS, f"it cannot be read as the list of items: {error}")
            return
        exceptions.finish()
        if self.files.index.ids.repeated(1):
            self.problems.add(ITEMS, "an item stands in it more than once")
        self.finish()
        cut = len(self.files.base)
        for number, packed in self.files.index.query("SELECT number, name FROM file ORDER BY number"):
            path = unpack(packed)[cut:]
            if path.startswith(self._payload) and not self.listed[number] and not path.endswith("/"):
                self.problems.add(path, f"{ITEMS} does not list it")

    def _compare(self, rows: Sequence[tuple[object, ...]], manifest: Manifest, exceptions: ExceptionsCheck) -> None:
        index, base = self.files.index, self.files.base
        index.ids.add([hash(row[0]) for row in rows])
        given = [row for row in rows if row[1] == DELIVERED]
        found = index.find_all([*{f"{base}{row[2]}" for row in given}])
        digests = index.digests(manifest.number, [number for number, _ in found.values()])
        for row in rows:
            if row[1] != DELIVERED:
                self._compare_exception(row, exceptions)
                continue
            number, file_size = found.get(f"{base}{row[2]}", (None, None))
            if number is None or not str(row[2]).startswith(self._payload):
                self.problems.add(str(row[2]), f"it is missing; {ITEMS} lists it")
                continue
            item = _listed(row, number)
            if item is None:
                self.problems.add(ITEMS, f"it does not state place, size and hashes of {shown(str(row[0])[:200])}")
                continue
            self.items += 1
            self.bytes += item.size
            if item.offset is None and self.listed[number]:
                self.problems.add(item.path, f"{ITEMS} lists it twice")
            self.listed[number] = 1
            if self.is_item(item.path, item.offset) and (
                file_size != item.size or digests.get(number, b"").hex() != item.sha256
            ):
                self.problems.add(item.path, f"{ITEMS} and the manifest do not agree on it")
            self.add(item)

    def _compare_exception(self, row: tuple[object, ...], exceptions: ExceptionsCheck) -> None:
        self.absent += 1
        if row[2]:
            self.problems.add(ITEMS, f"it gives a path to an item that is not delivered: {shown(str(row[0])[:200])}")
        exceptions.compare(dict(zip(_COLUMNS, row, strict=True)))


def _batches(file: Any) -> Iterator[list[tuple[Any, ...]]]:
    """Yield the rows of the list, some at a time. Raise BadParquet."""
    for batch in BoundedParquet(file, ITEMS_SCHEMA, ITEMS_OPTIONAL).batches(_COLUMNS, _ROWS):
        yield list(zip(*(batch.column(name).to_pylist() for name in _COLUMNS), strict=True))


def _as_listed(row: tuple[Any, ...]) -> Repeated:
    return row[0], row[1], row[6], row[7], row[8]


def _listed(row: tuple[object, ...], number: int) -> ListedItem | None:
    item_id, _, path, offset, length, size, sha256, _, _, original, custodian, _, *stated = row
    hashes = stated_hashes(stated)
    if hashes is None:
        return None
    more = str(original or ""), str(custodian or ""), hashes
    if not isinstance(item_id, str) or not isinstance(path, str) or not isinstance(sha256, str):
        return None
    if not isinstance(size, int) or size < 0:
        return None
    if offset is None and length is None:
        return ListedItem(item_id, path, None, None, size, sha256, number, *more)
    if isinstance(offset, int) and isinstance(length, int) and offset >= 0 and length >= 0:
        return ListedItem(item_id, path, offset, length, size, sha256, number, *more)
    return None
