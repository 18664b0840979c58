"""Reads the CSV lists of a package, and compares their cells with what is exact."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prefect_collect.archive.problems import Damaged
from prefect_collect.packages.bags.files import BagFiles
from prefect_collect.packages.load_files.reading import read_csv


def read_table(files: BagFiles, name: str, columns: Sequence[str]) -> Iterator[list[str]]:
    """Yield the rows of a CSV list of the package; what is wrong with it is added to the findings."""
    entry = files.entry(name)
    if entry is None:
        return
    rows = read_csv(files.chunks(entry), "utf-8")
    try:
        if next(rows, None) != [*columns]:
            raise Damaged("its columns are not those that it should have")
        for row in rows:
            if len(row) != len(columns):
                raise Damaged("it has a row with more or fewer fields")
            yield row
    except Damaged as error:
        files.findings.problems.add(name, str(error))


def comparable(text: str) -> str:
    """Return a text in which every character that a list cannot show is the same one, as a list replaces some."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
