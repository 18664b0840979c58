"""The MD5 and SHA-1 that load files state of their natives, for the pass that hashes the package's files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain, islice
from typing import Final

from prefect_collect.archive.problems import Damaged
from prefect_collect.escaping import csv_text
from prefect_collect.packages.bags.algorithms import ITEM_HASHES, find_algorithm, stated_digest
from prefect_collect.packages.bags.files import BagFiles
from prefect_collect.packages.bags.manifests import Manifest
from prefect_collect.packages.load_files.description import Description
from prefect_collect.packages.load_files.reading import read_csv, read_dat

_ROWS: Final = 1_000

TableRow = tuple[str, list[str]]
"""The name of a volume, and a row of its load file."""


def table_rows(
    files: BagFiles, described: Description, kind: str, report: Callable[[str, str], object]
) -> Iterator[TableRow]:
    """Yield every row of the load files of a kind, volume after volume; what is wrong with a file is reported."""
    header = [name for name, _ in described.columns]
    for volume in described.volumes:
        name = f"{volume['name']}/{volume['name']}.{kind}"
        entry = files.entry(name)
        if entry is None:
            continue
        read = read_dat if kind == "dat" else read_csv
        rows = read(files.chunks(entry), described.encoding)
        try:
            if next(rows, None) != header:
                raise Damaged("its header is not the columns of load-file.json")
            for row in rows:
                if len(row) != len(header):
                    raise Damaged("it has a row with more or fewer fields than its header")
                yield volume["name"], row
        except Damaged as error:
            report(name, str(error))


class NativeHashes:
    """The hashes in the columns of a package's load files.

    A collection computes MD5 or SHA-1 of all its items or of none, so a load file whose first row has neither is not
    read for them. `unread` names the kinds of load files of which that is so: no other row may have one.
    """

    def __init__(self, files: BagFiles, described: Description) -> None:
        self._files, self._described = files, described
        self._places = {name: at for name in ITEM_HASHES if (at := described.column(name)) is not None}
        self._lists = {
            name: Manifest(f"load file ({name.upper()})", False, find_algorithm(name), number)
            for number, name in enumerate(ITEM_HASHES, 1)
        }
        self.unread: set[str] = set()

    def lists(self) -> list[Manifest]:
        """Put the hashes into lists of the index, and return those that have any; report what is no hash."""
        used: set[str] = set()
        for kind in self._described.tables if self._places else ():
            # What is wrong with a load file is reported when its rows are compared.
            rows = table_rows(self._files, self._described, kind, lambda _, what: what)
            first = next(rows, None)
            if first is None or not any(first[1][at] for at in self._places.values()):
                self.unread.add(kind)
                continue
            rows = chain([first], rows)
            while batch := list(islice(rows, _ROWS)):
                used |= self._add(kind, batch)
        return [self._lists[name] for name in ITEM_HASHES if name in used]

    def _add(self, kind: str, rows: list[TableRow]) -> set[str]:
        """List the hashes of rows, and return of which algorithms there are any."""
        native, base = self._described.column("native_path") or 0, self._files.base
        undo = csv_text if kind == "csv" else str
        paths = [f"{base}{volume}/" + undo(row[native]).removeprefix(".\\").replace("\\", "/") for volume, row in rows]
        found = self._files.index.find_all([*dict.fromkeys(paths)])
        used: set[str] = set()
        for name, at in self._places.items():
            stated = []
            for path, (volume, row) in zip(paths, rows, strict=True):
                if path not in found or not row[at]:
                    continue
                digest = stated_digest(name, undo(row[at]))
                if digest is None:
                    self._problem(path, f"the {kind.upper()} of {volume} states what is no {name.upper()}")
                else:
                    stated.append((found[path][0], digest))
            used |= {name} if stated else set()
            of = {number: path for path, (number, _) in found.items()}
            for number, old, new in self._files.index.list_digests(self._lists[name].number, stated):
                if old != new:
                    self._problem(of[number], f"load files state different {name.upper()} of it")
        return used

    def _problem(self, path: str, what: str) -> None:
        self._files.findings.problems.add(path.removeprefix(self._files.base), what)
