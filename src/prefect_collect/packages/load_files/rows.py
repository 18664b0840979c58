"""Compares load files, exceptions and the exact list of items of a package with each other and with its files."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Set
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import Any, Final

from prefect_collect.archive.problems import Damaged, Problems, shown
from prefect_collect.escaping import csv_text
from prefect_collect.formats.facts import FAMILY_RANGE
from prefect_collect.packages.bags.algorithms import ITEM_HASHES
from prefect_collect.packages.bags.files import BagFiles
from prefect_collect.packages.bags.manifests import Manifest
from prefect_collect.packages.building.duplicate_columns import DUPLICATE_OF
from prefect_collect.packages.building.duplicates_check import DuplicatesCheck, ListedItem
from prefect_collect.packages.building.spec import DELIVERED
from prefect_collect.packages.contents.name_keys import unpack
from prefect_collect.packages.load_files.description import Description
from prefect_collect.packages.load_files.exceptions_check import ExceptionsCheck
from prefect_collect.packages.load_files.families_check import FamiliesCheck, ListedFamily
from prefect_collect.packages.load_files.item_columns import ITEMS_OPTIONAL, ITEMS_SCHEMA
from prefect_collect.packages.load_files.listed_facts import STATED, ListedFacts
from prefect_collect.packages.load_files.lists import ITEMS
from prefect_collect.packages.load_files.message_hash import is_edrm_mih
from prefect_collect.packages.load_files.native_hashes import table_rows
from prefect_collect.packages.load_files.reading import as_read
from prefect_collect.sources.metadata import CREATED
from prefect_collect.untrusted.bounded_parquet import BadParquet, BoundedParquet

_ROWS: Final = 4096
_COLUMNS: Final = [
    "control_number", "item_id", "outcome", "native_path", "text_path", "size", "sha256", "error_code", DUPLICATE_OF,
    "original_path", "custodian", "message", CREATED, "family", *FAMILY_RANGE,
]  # fmt: skip
_Item = tuple[Any, ...]


@dataclass(slots=True)
class LoadFileRows:
    """The comparison; `items` and `bytes` count what is delivered, `absent` what is not.

    `unread` names the kinds of load files whose MD5 and SHA-1 were not read, because the first row has none.
    """

    files: BagFiles
    described: Description
    manifest: Manifest
    unread: Set[str] = frozenset()
    items: int = 0
    bytes: int = 0
    absent: int = 0
    _volumes: dict[str, list[int]] = field(default_factory=dict)

    @property
    def _problems(self) -> Problems:
        return self.files.findings.problems

    def check(self) -> None:
        """Compare everything, and add what is wrong to the findings."""
        entry = self.files.entry(ITEMS)
        if entry is None:
            return  # reported as missing
        tables = {kind: _Table(self, kind) for kind in self.described.tables}
        listed = bytearray(self.files.index.count)
        self._volumes = {volume["name"]: [0, 0, 0] for volume in self.described.volumes}
        try:
            with ExitStack() as held:
                file = held.enter_context(tempfile.TemporaryFile())
                for chunk in self.files.chunks(entry):
                    file.write(chunk)
                has_custodians = "custodian" in BoundedParquet(file, ITEMS_SCHEMA, ITEMS_OPTIONAL).schema.names
                exceptions = ExceptionsCheck(self.files, numbered=True, has_custodians=has_custodians)
                repeats = DuplicatesCheck(self.files.index, ITEMS, self._problems, self.files.findings.warnings)
                families = held.enter_context(closing(FamiliesCheck(self.described, self._problems)))
                facts = held.enter_context(closing(ListedFacts(file, {fact for _, fact in self.described.columns})))
                for rows in _batches(file):
                    repeats.add(map(_as_listed, rows))
                    families.add(ListedFamily(row[0], *row[13:16]) for row in rows)
                    self._compare(rows, facts, tables, exceptions, listed)
                repeats.finish(_as_listed(row) for rows in _batches(file) for row in rows)
                families.finish()
        except Damaged:
            return  # reported when it was hashed
        except BadParquet as error:
            self._problems.add(ITEMS, f"it cannot be read as the list of items: {error}")
            return
        for table in tables.values():
            table.finish(self.items)
        exceptions.finish()
        self._report_unlisted(listed)
        if self.files.index.ids.repeated(1):
            self._problems.add(ITEMS, "an item or a control number stands in it more than once")
        for volume in self.described.volumes:
            if [volume["items"], volume["bytes"], volume["texts"]] != self._volumes[volume["name"]]:
                self._problems.add(volume["name"], "it does not hold what load-file.json states of it")

    def _compare(
        self, rows: list[_Item], facts: ListedFacts, tables: dict[str, _Table], exceptions: ExceptionsCheck,
        listed: bytearray,
    ) -> None:  # fmt: skip
        index, base = self.files.index, self.files.base
        index.ids.add([hash(row[1]) for row in rows] + [hash(("number", row[0])) for row in rows if row[0]])
        given = [row for row in rows if row[2] == DELIVERED]
        paths = [f"{base}{path}" for row in given for path in (row[3], row[4]) if path]
        found = index.find_all(paths)
        digests = index.digests(self.manifest.number, [number for number, _ in found.values()])
        stated = facts.of([(row[1], row[9], row[10], row[8], *row[12:16]) for row in given])
        for row in rows:
            if row[2] != DELIVERED:
                self._compare_exception(row, exceptions)
                continue
            control, native, text, size, sha256 = row[0], row[3], row[4], row[5], row[6]
            said = next(stated)
            self.items += 1
            self.bytes += size or 0
            about = self._volumes.get((native or "").partition("/")[0])
            if about is None:
                self._problems.add(ITEMS, f"it gives no place in a volume to {shown(str(control)[:200])}")
                continue
            about[0], about[1], about[2] = about[0] + 1, about[1] + (size or 0), about[2] + bool(text)
            for path in (native, text) if text else (native,):
                number, found_size = found.get(f"{base}{path}", (None, None))
                if number is None:
                    self._problems.add(str(path), f"it is missing; {ITEMS} lists it")
                elif listed[number]:
                    self._problems.add(str(path), f"{ITEMS} lists it twice")
                else:
                    listed[number] = 1
                    if found_size != size or digests.get(number, b"").hex() != sha256:
                        self._problems.add(str(path), f"{ITEMS} and the manifest do not agree on it")
            for table in tables.values():
                table.compare(control or "", native or "", text or "", size, sha256 or "", said)

    def _compare_exception(self, row: _Item, exceptions: ExceptionsCheck) -> None:
        self.absent += 1
        if row[3] or row[4]:
            self._problems.add(ITEMS, f"it gives a path to an item that is not delivered: {shown(row[1][:200])}")
        exceptions.compare(dict(zip(_COLUMNS, row, strict=True)))

    def _report_unlisted(self, listed: bytearray) -> None:
        """Report natives and texts that belong to no item."""
        cut = len(self.files.base)
        for number, packed in self.files.index.query("SELECT number, name FROM file ORDER BY number"):
            path = unpack(packed)[cut:]
            part = path.split("/")[1:2]
            if part in (["NATIVES"], ["TEXT"]) and not listed[number] and not path.endswith("/"):
                self._problems.add(path, f"{ITEMS} does not list it")


def _batches(file: Any) -> Iterator[list[_Item]]:
    """Yield the rows of the list, some at a time. Raise BadParquet."""
    for batch in BoundedParquet(file, ITEMS_SCHEMA, ITEMS_OPTIONAL).batches(_COLUMNS, _ROWS):
        yield list(zip(*(batch.column(name).to_pylist() for name in _COLUMNS), strict=True))


def _as_listed(row: _Item) -> ListedItem:
    return row[1], row[2], row[6], row[7], row[8]


class _Table:
    """The rows of the load files of one kind, volume after volume."""

    def __init__(self, rows: LoadFileRows, kind: str) -> None:
        self._rows, self._kind, self._described = rows, kind, rows.described
        self._read = table_rows(rows.files, rows.described, kind, rows.files.findings.problems.add)
        self._count = 0
        self._places = {
            fact: place
            for fact in ("control_number", "end_number", "native_path", "text_path", "size", "sha256")
            if (place := rows.described.column(fact)) is not None
        }
        self._stated = {fact: place for fact in STATED if (place := rows.described.column(fact)) is not None}
        places = rows.described.column("edrm_mih"), rows.described.column("message_id")
        self._hash = None if places[0] is None or places[1] is None else (places[0], places[1])
        self._unread = {
            name: at for name in ITEM_HASHES if kind in rows.unread and (at := rows.described.column(name)) is not None
        }
        self._stopped = False

    def compare(
        self, control: str, native: str, text: str, size: int | None, sha256: str, said: Mapping[str, str]
    ) -> None:
        """Compare the next row with an item, of which the list has `said` more."""
        if self._stopped:
            return
        self._count += 1
        volume, row = next(self._read, ("", []))
        expected = {
            "control_number": control,
            "end_number": control,
            "native_path": _seen(volume, native),
            "text_path": _seen(volume, text),
            "size": str(size),
            "sha256": sha256,
        }
        undo = csv_text if self._kind == "csv" else str
        where = f"{volume}/{volume}.{self._kind}" if volume else f"load file ({self._kind})"
        what = f"row {self._count:,} of the {self._kind.upper()}"
        if not row or any(undo(row[at]) != expected[fact] for fact, at in self._places.items()):
            self._stopped = True
            item = f"the item {shown(control[:99])} that {ITEMS} has there"
            self._rows.files.findings.problems.add(where, f"{what} is not {item}")
            return
        if self._hash is not None and not is_edrm_mih(*(undo(row[at]) for at in self._hash)):
            name = self._described.columns[self._hash[0]][0]
            self._rows.files.findings.problems.add(where, f"{what} has a {name!r} that is not of its Message-ID")
        for name, at in self._unread.items():
            if row[at]:
                self._rows.files.findings.problems.add(where, f"{what} has {name.upper()}, but the first row has none")
        for fact, at in self._stated.items():
            if fact in said and undo(row[at]) != as_read(said[fact], self._kind, self._described.encoding):
                name = self._described.columns[at][0]
                self._rows.files.findings.problems.add(where, f"{what} has another {name!r} than {ITEMS} states")

    def finish(self, items: int) -> None:
        """Report rows beyond the last item."""
        if not self._stopped and next(self._read, None) is not None:
            what = f"the {self._kind.upper()} has more than the {items:,} delivered items of {ITEMS}"
            self._rows.files.findings.problems.add(f"load file ({self._kind})", what)


def _seen(volume: str, path: str) -> str:
    """Return a path of the package as the load file of its volume names it."""
    if not path:
        return ""
    return ".\\" + path[len(volume) + 1 :].replace("/", "\\") if path.startswith(f"{volume}/") else path
