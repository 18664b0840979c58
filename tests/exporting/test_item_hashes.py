"""MD5 and SHA-1 that mail, datasets and OCFL objects state of their items are compared with the bytes."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prefect_collect.blocks import SqlSource
from prefect_collect.formats.dataset import Dataset
from prefect_collect.formats.mail_set import MailSet
from prefect_collect.packages import verify
from prefect_collect.stores import DirectoryStore
from tests.support.memory_source import MemorySource, Thing
from tests.support.run_attempts import attempt, export, new_job

HASHES = ("md5", "sha1")
MESSAGE = b"From: a@example.com\nSubject: %d\n\nHello\nFrom me\n"


def _messages(path: Path) -> Any:
    return MemorySource({f"INBOX/{n}.eml": Thing("good", MESSAGE % n) for n in range(4)})


def _tables(path: Path) -> Any:
    with sqlite3.connect(path / "shop.db") as database:
        database.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, total REAL)")
        database.executemany("INSERT INTO orders VALUES (?, ?)", [(n, n / 4) for n in range(30)])
    database.close()
    return SqlSource(url=f"sqlite:///{path}/shop.db", rows=10)


_FILE = "its bytes are not those that items.parquet ({0}) lists"
_MESSAGE = "message {1}, unquoted, has another {0} than items.parquet states"
MADE = [
    (_messages, "mail-directory", {"mail": {"messages": "mbox"}}, _MESSAGE),
    (_messages, "mail-directory", {"mail": {"messages": "eml"}}, _FILE),
    (_tables, "dataset-directory", {}, _FILE),
    (_tables, "dataset-directory", {"dataset": {"rows": "csv"}}, _FILE),
    (_messages, "ocfl", {}, "items.parquet ({0}) and the inventory do not agree on its hash"),
]


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return the packages of `MADE`, of which each test changes a copy."""
    return [_made(tmp_path_factory.mktemp("made"), *one[:3]) for one in MADE]


def _made(tmp_path: Path, source: Any, format: str, how: dict[str, Any]) -> Path:
    """Collect with both hashes, export, and return the package, which is valid."""
    given = source(tmp_path)
    folder = new_job(DirectoryStore(tmp_path / "staging"), given, options={"hashes": [*HASHES]})
    attempt(folder, given, hashes=HASHES)
    parsed: dict[str, Any] = {name: (MailSet if name == "mail" else Dataset).of(value) for name, value in how.items()}
    _, result = export(folder, DirectoryStore(tmp_path / "out"), format, **parsed)
    assert result.package is not None
    found = verify(result.package)
    assert (found.problems, found.warnings) == ([], [])
    return Path(result.package)


def _forge(package: Path, change: Any) -> None:
    """Change the rows of items.parquet, and then every hash that depends on it."""
    [path] = [path for path in package.rglob("items.parquet") if path.parent.name != "items"]
    before, schema = path.read_bytes(), pq.read_schema(path)
    rows = pq.read_table(path).to_pylist()
    change(rows)
    pq.write_table(pa.Table.from_pylist(rows, schema), path)
    hashes = {_hex(before): _hex(path.read_bytes())}
    for name in ("manifest-sha256.txt", "inventory.json", "inventory.json.sha256"):
        for file in package.rglob(name):
            data = file.read_bytes()
            for old, new in dict(hashes).items():
                file.write_bytes(file.read_bytes().replace(old, new))
            hashes[_hex(data)] = _hex(file.read_bytes())


def _hex(data: bytes) -> bytes:
    return hashlib.sha256(data).hexdigest().encode()


@pytest.mark.parametrize("number", range(len(MADE)))
def test_a_forged_hash_is_found(tmp_path: Path, packages: list[Path], number: int) -> None:
    """In a package whose SHA-256 are all right, an MD5 and a SHA-1 of other bytes are problems of the items' files.

    A CSV file of a dataset is made of its item, whose hashes cannot be compared; those of the schema can.
    """
    how, what = MADE[number][2:]
    package = shutil.copytree(packages[number], tmp_path / "package")

    def change(rows: list[dict[str, Any]]) -> None:
        rows = [row for row in rows if not (how.get("dataset") and row["path"].endswith(".csv"))]
        rows[1 % len(rows)]["md5"], rows[-1]["sha1"] = "0" * 32, "f" * 40

    _forge(package, change)
    # The chain of custody document, which is not forged here, has the hash of the list.
    found = [one.what for one in verify(package).problems if not one.path.startswith("chain-of-custody")]
    assert sorted(found) == sorted(what.format(name, row) for row, name in ((2, "MD5"), (4, "SHA1")))


@pytest.mark.parametrize("number", range(3))
def test_a_hash_that_is_none_is_found(tmp_path: Path, packages: list[Path], number: int) -> None:
    """What is no hash of its kind is a problem of the list, and one that is not stated is not compared."""
    package = shutil.copytree(packages[number], tmp_path / "package")

    def change(rows: list[dict[str, Any]]) -> None:
        rows[0]["md5"], rows[1]["md5"], rows[1]["sha1"] = "0" * 31, None, None

    _forge(package, change)
    found = {(problem.path, problem.what.split(" hash")[0]) for problem in verify(package).problems}
    assert ("items.parquet", "it does not state place, size and") in found
    assert not [what for _, what in found if "bytes are not" in what or "unquoted" in what]
