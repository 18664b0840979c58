"""A package's lists of items must agree with its payload and with each other."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prefect_collect.packages import verify
from prefect_collect.stores import DirectoryStore
from tests.packages.foreign_bags import manifest

ODD_IDS = ["=1+1", "'", "'=", "＝x", "a\nb", 'a"b,c', "\r\n", "\t", "ü", " x ", "NULL", "NA", "-", "\u202ex", "\x07"]


@pytest.fixture
def folder(staging: Any, exports: DirectoryStore) -> Path:
    """Return a package as a folder, whose items have every kind of id."""
    staging.stage({f"{number}.txt": b"%d" % number for number in range(len(ODD_IDS))})
    for row, item_id in zip(staging.rows, ODD_IDS, strict=True):
        row["item_id"] = item_id
    staging.lose("gone.txt")
    staging.directory(exports)
    return Path(exports.locate("out"))


def seal(folder: Path) -> None:
    """Write the tag manifest again, as a forger would."""
    names = sorted(line.split("  ")[1] for line in (folder / "tagmanifest-sha256.txt").read_text().splitlines())
    text = manifest({name: (folder / name).read_bytes() for name in names})
    (folder / "tagmanifest-sha256.txt").write_bytes(text)


def rewrite(folder: Path, change: Callable[[list[dict[str, Any]]], object]) -> None:
    """Change the rows of items.parquet."""
    table = pq.read_table(folder / "items.parquet")
    rows = table.to_pylist()
    change(rows)
    pq.write_table(pa.Table.from_pylist(rows, table.schema), folder / "items.parquet")
    seal(folder)


def what(folder: Path) -> str:
    """Return all problems."""
    return "\n".join(map(str, verify(folder).problems))


def test_lists_with_odd_ids_agree(folder: Path) -> None:
    """What the CSV neutralises, quotes or breaks into lines is still the item in the Parquet."""
    assert what(folder) == ""
    seal(folder)
    assert what(folder) == ""


def test_an_id_listed_twice_is_named(folder: Path) -> None:
    """Two rows of one item are a problem that names its id, although every path is listed once."""
    rewrite(folder, lambda rows: rows[3].update(item_id=rows[2]["item_id"]))
    assert 'items.parquet: it lists the item "\'=" more than once' in what(folder)


def test_a_path_listed_twice_is_named(folder: Path) -> None:
    """Two rows of one path, one of them of another item, are a problem."""
    rewrite(folder, lambda rows: rows.append(rows[0] | {"item_id": "other"}))
    assert "data/0.txt: items.parquet lists it twice" in what(folder)


@pytest.mark.parametrize("nulls", ["sha256", "size", "path"])
def test_a_delivered_item_without_hash_size_or_path(folder: Path, nulls: str) -> None:
    """A row without a value that it must have is a problem, not an error of the program."""
    rewrite(folder, lambda rows: rows[0].update({nulls: None}))
    assert "items.parquet" in what(folder)


def test_a_row_without_hash_for_a_tag_file_hides_no_payload(folder: Path) -> None:
    """Only a payload file with a digest in the manifest can be what a row of the list stands for."""
    size = (folder / "bagit.txt").stat().st_size
    rewrite(folder, lambda rows: rows[0].update(path="bagit.txt", size=size, sha256=""))
    assert "bagit.txt: items.parquet and manifest-sha256.txt do not agree on it" in what(folder)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda text: text.replace(b"data/1.txt", b"data/2.txt"), "items.csv: row 2 is not the item"),
        (lambda text: text + text.splitlines(keepends=True)[-1], "items.csv: it has more than the 16 items"),
        (lambda text: text[: text.rindex(b"\n", 0, -1) + 1], "items.csv: row 16 is not the item"),
        (lambda text: b"", "items.csv: it cannot be read as the list of items"),
        (lambda text: b"\xff" * 99, "items.csv: it cannot be read as the list of items"),
        (lambda text: text.replace(b'"source_etag"', b'"etag"'), "items.csv: it cannot be read as the list of items"),
        (lambda text: text + b'"' + b"x" * (9 << 20), "items.csv: it "),
    ],
)
def test_a_table_that_is_not_the_exact_list(folder: Path, change: Callable[[bytes], bytes], expected: str) -> None:
    """An items.csv without the items of items.parquet in their order is a problem that names the first difference."""
    file = folder / "items.csv"
    file.write_bytes(change(file.read_bytes()))
    seal(folder)
    assert expected in what(folder)
    assert hashlib.sha256((folder / "tagmanifest-sha256.txt").read_bytes()).hexdigest() == verify(folder).fingerprint


COLUMNS = [
    "original_path", "outcome", "size", "sha256", "source_modified", "source_etag", "collected_at", "error_code",
    "message", "custodian", "duplicate_of", "all_custodians", "all_paths",
]  # fmt: skip


def test_every_cell_of_the_table_is_compared(staging: Any, exports: DirectoryStore) -> None:
    """A cell of items.csv with another value than items.parquet has is named, in every column, with or without text."""
    staging.stage({"0.txt": b"0", "1.txt": b"1"})
    for row in staging.rows:
        row |= {"custodian": "@Ann", "source_etag": None}
    staging.lose("gone.txt")
    staging.directory(exports, custodians=True, deduplicate="global")
    folder = Path(exports.locate("out"))
    header, *good = csv.reader(io.StringIO((folder / "items.csv").read_text(), newline=""))
    assert {*header} == {*COLUMNS, "path", "item_id"}
    assert good[0][header.index("custodian")] == "'@Ann"
    for number, column in enumerate(COLUMNS):
        rows = [[*row] for row in good]
        rows[number % 3][header.index(column)] += "0"
        with open(folder / "items.csv", "w", newline="") as file:
            csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows([header, *rows])
        seal(folder)
        assert what(folder) == f"items.csv: row {number % 3 + 1} has another {column!r} than items.parquet states"
