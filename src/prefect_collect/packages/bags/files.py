"""A bag in a container: its folder, its declaration, and its files by their paths."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from prefect_collect.archive.problems import Damaged, shown
from prefect_collect.packages.bags.text import ASSUMED, Declaration
from prefect_collect.packages.contents.containers import Container
from prefect_collect.packages.contents.index import Entry, FileIndex
from prefect_collect.packages.contents.name_keys import bounds, composed, unpack
from prefect_collect.packages.problems import Findings, Tally

_OUTSIDE: Final = {"macos": "macOS's archiver put these files beside the bag; they are no part of it"}
_SYSTEM: Final = {"system": "these files of the payload are ones that systems make by themselves, and later change"}
_ALIKE: Final = {
    "case": "files have names that differ only in upper and lower case, so that some systems keep only one of them",
    "form": "files have names that look the same and differ only in their Unicode form",
}
_SYSTEM_FILES: Final = ("%/.DS_Store", "%/Thumbs.db", "%/desktop.ini", "%/._%")


@dataclass(slots=True)
class BagFiles:
    """The files of one bag.

    Attributes:
        container: The ZIP file, folder or store that holds the bag.
        index: All files of the container.
        findings: Where problems and warnings are added.
        base: The bag's folder in the container: "", or ending in "/".
        declared: What bagit.txt declares.
    """

    container: Container
    index: FileIndex
    findings: Findings
    base: str = ""
    declared: Declaration = ASSUMED
    _payload: tuple[int, int] | None = None

    def find_base(self, wanted: str = "bagit.txt") -> bool:
        """Set `base` to the folder of the highest file of that name; return whether there is one."""
        top = min(self.index.named(wanted), key=lambda name: (name.count("/"), name), default=None)
        self.base = "" if top is None else top.removesuffix(wanted)
        return top is not None

    def declaration_hint(self) -> str:
        """Return a hint at a file that may be the missing bagit.txt; "" if there is none."""
        rows = self.index.query(
            "SELECT name FROM file WHERE lower(CAST(substr(name, -9) AS TEXT)) = 'bagit.txt' ORDER BY length(name)"
            " LIMIT 100"
        )
        for name in (unpack(row[0]) for row in rows):
            if name.endswith("\\bagit.txt"):
                return f'; {shown(name[-200:])} exists, with "\\" where ZIP files have "/": pack the bag again'
            if name.rpartition("/")[2].lower() == "bagit.txt":
                return f"; {shown(name[-200:])} exists, which differs in upper and lower case"
        return ""

    def entry(self, path: str) -> Entry | None:
        """Return the file of that path in the bag; None if there is none."""
        return self.index.find(self.base + path)

    def chunks(self, entry: Entry) -> Iterator[bytes | memoryview]:
        """Yield the bytes of one file. Raise Damaged."""
        return self.container.reader([entry], None).chunks(entry)

    def sha256(self, path: str) -> str:
        """Return the SHA-256 (hex) of a file; "" if there is none, or it cannot be read."""
        entry, state = self.entry(path), hashlib.sha256()
        try:
            for chunk in self.chunks(entry) if entry is not None else ():
                state.update(chunk)
        except Damaged:
            return ""
        return "" if entry is None else state.hexdigest()

    def start(self, path: str, size: int) -> bytes:
        """Return the first `size` bytes of a tag file; empty if there is none. Raise Damaged."""
        entry, data = self.entry(path), b""
        if entry is None:
            return data
        for chunk in self.chunks(entry):
            data += bytes(chunk[:size])
            if len(data) >= size:
                break
        return data[:size]

    def tag_names(self) -> Iterator[str]:
        """Yield the names of the files directly in the bag's folder."""
        low, high = bounds(self.base)
        rows = self.index.query(
            "SELECT DISTINCT name FROM file WHERE name >= ? AND name < ? AND"
            " instr(substr(name, ?), CAST('/' AS BLOB)) = 0 ORDER BY name",
            low, high, len(low) + 1,
        )  # fmt: skip
        return (unpack(row[0])[len(self.base) :] for row in rows)

    def payload(self) -> tuple[int, int]:
        """Return the bytes and the number of the payload files; entries with the same name count as one.

        Call `check_names` first.
        """
        if self._payload is None:
            self._payload = self._sum_payload()
        return self._payload

    def _sum_payload(self) -> tuple[int, int]:
        # Two sums, because the sizes that a package states may add up to more than 64 bits.
        above, below, count = next(self._of_payload("sum(size >> 20), sum(size & 1048575), count(*)"))
        return ((above or 0) << 20) + (below or 0), count

    def check_names(self) -> None:
        """Find files outside of the bag's folder, equal names, and names that differ only in case or Unicode form."""
        if self.index.has_alike:
            self._check_doubled()
        self._check_outside()
        if self.index.has_alike:
            self._check_alike()

    def _check_doubled(self) -> None:
        self.index.change(
            "INSERT INTO double SELECT file.number FROM file JOIN (SELECT name, min(number) AS least FROM file GROUP BY"
            " name HAVING count(*) > 1) AS twice ON file.name = twice.name AND file.number > twice.least"
        )
        rows = self.index.query("SELECT DISTINCT name FROM file WHERE number IN (SELECT number FROM double)")
        for name in (unpack(row[0]) for row in rows):
            if not name.endswith("/"):
                self.findings.problems.add(name, "two entries have this name")

    def _check_outside(self) -> None:
        tally = Tally()
        low, high = bounds(self.base)
        for (packed,) in self.index.query("SELECT name FROM file WHERE NOT (name >= ? AND name < ?)", low, high):
            name = unpack(packed)
            if name.startswith("__MACOSX/"):
                tally.add("macos", name)
            elif not self.base.startswith(name) or not name.endswith("/"):
                self.findings.problems.add(name, "it is outside of the bag's folder")
        tally.report("package", self.findings.tolerated, _OUTSIDE)

    def _check_alike(self) -> None:
        tally, cut = Tally(), len(self.base)
        self.index.change("CREATE TABLE alike AS SELECT fold FROM file GROUP BY fold HAVING count(*) > 1")
        groups = self.index.query(
            "SELECT min(name), max(name) FROM file WHERE fold IN (SELECT fold FROM alike) GROUP BY fold"
        )
        for one, other in (map(unpack, row) for row in groups):
            if one != other:
                same = composed(one) == composed(other)
                tally.add("form" if same else "case", f"{one[cut:][:90]} and {other[cut:][:90]}")
        tally.report("package", self.findings.warnings, _ALIKE)

    def guessed(self) -> int:
        """Return how many entries of a ZIP file have a name that is not UTF-8, and no field with it in UTF-8."""
        rows = self.index.query("SELECT name, raw FROM file WHERE raw IS NOT NULL")
        return sum(unpack(name).encode("cp437", "replace") == raw for name, raw in rows)

    def check_system_files(self) -> None:
        """Warn of payload files that operating systems create."""
        tally = Tally()
        low, high = bounds(f"{self.base}data/")
        where = " OR ".join("CAST(name AS TEXT) LIKE ?" for _ in _SYSTEM_FILES)
        rows = self.index.query(
            f"SELECT name FROM file WHERE name >= ? AND name < ? AND ({where})", low, high, *_SYSTEM_FILES
        )
        for (name,) in rows:
            tally.add("system", unpack(name)[len(self.base) :])
        tally.report("package", self.findings.warnings, _SYSTEM)

    def unlisted(self, numbers: Sequence[int]) -> Iterator[str]:
        """Yield the paths of payload files that are in none of these lists, which hold payload files only."""
        if len(numbers) == 1 and self.index.lengths.get(numbers[0]) == self.payload()[1]:
            return iter(())
        return (name[len(self.base) :] for name in self.index.unlisted(f"{self.base}data/", numbers))

    def payload_beside(self, listed: bytearray) -> Iterator[str]:
        """Yield the paths of payload files whose numbers are not marked in `listed`.

        Of equal names the first counts.
        """
        rows = self._of_payload("number, name", "ORDER BY number")
        return (unpack(name)[len(self.base) :] for number, name in rows if not listed[number])

    def _of_payload(self, columns: str, order: str = "") -> Iterator[tuple[Any, ...]]:
        """Query the payload files; of those with the same name the first counts. Call `check_names` first."""
        return self.index.query(
            f"SELECT {columns} FROM file WHERE name >= ? AND name < ? AND substr(name, -1) <> CAST('/' AS BLOB)"
            f" AND number NOT IN (SELECT number FROM double) {order}",
            *bounds(f"{self.base}data/"),
        )

    def has_payload_folder(self) -> bool:
        """Return whether the bag has a folder ``data``, or a file in it."""
        return not self.container.has_folders or self.index.has_below(f"{self.base}data/")
