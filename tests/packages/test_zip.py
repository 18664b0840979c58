"""Packages as ZIP files: their payload, tag files and item lists."""

from __future__ import annotations

import csv
import hashlib
import io
import subprocess
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prefect_collect.archive.segments import SegmentWriter
from prefect_collect.errors import CorruptSegment, PackageError, PackageExists
from prefect_collect.escaping import csv_text
from prefect_collect.job_folder import store_keys, table_columns
from prefect_collect.packages import Checked, PackagePlace, build_zip, verify
from prefect_collect.stores import Blob, CopyRange, DirectoryStore, Piece, Store
from tests.examples import QUICK
from tests.packages.zip_packages import JOB, ODD, WHEN, unzipped


def test_payload_and_tag_files(staging: Any, exports: DirectoryStore) -> None:
    """Items of several segments are read back under their names, however odd.

    The manifest encodes only LF, CR and %.
    """
    names = list(ODD)
    staging.stage({name: ODD[name] for name in names[:4]})
    staging.stage({name: ODD[name] for name in names[4:]})
    built = staging.zip(exports)
    files = unzipped(exports)
    assert {name.removeprefix("docs/data/"): data for name, data in files.items() if "/data/" in name} == ODD
    manifest = files["docs/manifest-sha256.txt"].decode()
    assert f"{hashlib.sha256(b'3').hexdigest()}  data/100%250A.txt\n" in manifest
    assert "data/new%0Aline.txt\n" in manifest
    assert "data/car%0Driage\n" in manifest
    assert manifest.count("\n") == len(ODD)
    assert files["docs/bagit.txt"] == b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
    info = files["docs/bag-info.txt"].decode()
    assert f"Payload-Oxum: {sum(map(len, ODD.values()))}.{len(ODD)}\n" in info
    assert "Bagging-Date: 2024-06-01\n" in info
    assert f"External-Identifier: {JOB}\n" in info
    assert built.items == len(ODD)
    assert built.fingerprint == hashlib.sha256(files["docs/tagmanifest-sha256.txt"]).hexdigest()
    assert verify(exports.locate("out.zip")).problems == []


def test_the_same_bytes_twice(staging: Any, exports: DirectoryStore) -> None:
    """The same collection gives the same package."""
    staging.stage(ODD)
    staging.lose("gone")
    first, second = staging.zip(exports, "1.zip", sha512=True), staging.zip(exports, "2.zip", sha512=True)
    assert exports.read("1.zip") == exports.read("2.zip")
    assert first.fingerprint == second.fingerprint


def test_the_item_lists_name_what_is_missing(staging: Any, exports: DirectoryStore) -> None:
    """There is one row for every item of the collection; the CSV runs no formula, the Parquet is exact."""
    staging.stage(ODD)
    staging.lose("=gone", "access_denied")
    staging.zip(exports)
    files = unzipped(exports)
    rows = pq.read_table(io.BytesIO(files["docs/items.parquet"])).to_pylist()
    assert len(rows) == len(ODD) + 1
    assert rows[0]["path"] == "data/plain.txt"
    assert rows[0]["sha256"] == hashlib.sha256(ODD["plain.txt"]).hexdigest()
    assert {row["outcome"] for row in rows[:-1]} == {"delivered"}
    assert (rows[-1]["outcome"], rows[-1]["error_code"], rows[-1]["path"]) == ("failed", "access_denied", None)
    cells = list(csv.DictReader(io.StringIO(files["docs/items.csv"].decode(), newline="")))
    assert len(cells) == len(rows)
    assert [cell["original_path"] for cell in cells][5] == "'=cmd|' /C calc'!A0"
    assert cells[1]["original_path"] == "new\nline.txt"
    assert cells[-1]["original_path"] == "'=gone"
    assert rows[-1]["original_path"] == "=gone"
    assert not any(value.startswith(("=", "+", "-", "@")) for cell in cells for value in cell.values())


def test_the_csv_gives_back_what_was_there(staging: Any, exports: DirectoryStore) -> None:
    """`csv_text` undoes `csv_cell`, also if the text itself begins with an apostrophe."""
    paths = ["'quoted", "''twice", "'=cmd", "=cmd", "\ttab", "plain", "é"]
    staging.stage(dict.fromkeys(paths, b"x"))
    staging.lose("'lost")
    staging.zip(exports)
    files = unzipped(exports)
    cells = list(csv.DictReader(io.StringIO(files["docs/items.csv"].decode(), newline="")))
    assert [csv_text(cell["original_path"]) for cell in cells] == [*paths, "'lost"]


def test_an_empty_payload(staging: Any, exports: DirectoryStore) -> None:
    """A package of nothing is a valid bag with its payload folder."""
    staging.zip(exports)
    assert "docs/data/" in unzipped(exports)
    found = verify(exports.locate("out.zip"))
    assert (found.problems, found.items) == ([], 0)


def test_deflated_items(staging: Any, exports: DirectoryStore) -> None:
    """Items that were staged deflated are delivered so, and checked."""
    text = {f"{number}.txt": f"line {number}\n".encode() * 500 for number in range(5)}
    staging.stage(text, deflate=True)
    assert all(row["deflated"] for row in staging.rows)
    staging.zip(exports, sha512=True)
    assert unzipped(exports)["docs/data/3.txt"] == text["3.txt"]
    assert verify(exports.locate("out.zip")).problems == []


def test_clashing_paths_are_told_apart(staging: Any, exports: DirectoryStore) -> None:
    """Two items of one path, and a file where a folder is needed, are both delivered, under marked names."""
    staging.stage([("a", b"file"), ("a/b", b"in folder"), ("c.txt", b"first"), ("c.txt", b"second")])
    staging.zip(exports)
    payload = [name for name in unzipped(exports) if "/data/" in name]
    mark = {row["item_id"]: hashlib.sha256(row["item_id"].encode()).hexdigest()[:16] for row in staging.rows}
    assert payload == [
        f"docs/data/a~{mark['id-00000']}",
        "docs/data/a/b",
        "docs/data/c.txt",
        f"docs/data/c~{mark['id-00003']}.txt",
    ]
    assert verify(exports.locate("out.zip")).problems == []


def test_many_entries(staging: Any, exports: DirectoryStore) -> None:
    """More than 65,535 items: ZIP64's count is used. A quick run has a tenth of them."""
    count = 6_560 if QUICK else 65_600
    staging.stage({f"{number % 7}/{number}": b"x" for number in range(count)})
    table = pa.Table.from_pylist(staging.rows, table_columns.MANIFEST)  # made once: it takes 0.2 s
    staging.manifest = lambda columns: iter(table.select(columns).to_batches(1000))
    staging.zip(exports)
    assert subprocess.run(["unzip", "-tqq", exports.locate("out.zip")], check=False).returncode == 0
    assert len(zipfile.ZipFile(exports.locate("out.zip")).namelist()) == count + 6
    found = verify(exports.locate("out.zip"))
    assert (found.problems, found.items) == ([], count)


def test_a_package_is_not_overwritten(staging: Any, exports: DirectoryStore) -> None:
    """A file under the package's name is an error that names it."""
    staging.stage({"a": b"1"})
    staging.zip(exports)
    with pytest.raises(PackageExists, match=r"already exists.*\[.*out.zip\]"):
        staging.zip(exports)


SIZE = (1 << 32) + (1 << 24)
CRC32 = 1152334754
SHA256 = "6bf7475dd5f15324fe747e7c7708fdaf89b5eeff225d22c848783ac48c81c090"
"""Of SIZE zeros, computed once: zeros are not written or hashed here more often than needed."""


class Holes:
    """A blob writer on a new file that leaves holes where large blocks are written."""

    position = 0

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.file = open(path, "w+b")  # noqa: SIM115

    def write(self, data: bytes) -> None:
        """Skip large blocks."""
        if len(data) > 1 << 20:
            self.file.seek(len(data), 1)
        else:
            self.file.write(data)

    def patch(self, offset: int, data: bytes) -> None:
        """Replace bytes already written."""
        at = self.file.tell()
        self.file.seek(offset)
        self.file.write(data)
        self.file.seek(at)

    def commit(self) -> Blob:
        """Close the file."""
        self.file.close()
        return Blob("", self.position)


class Sparse(DirectoryStore):
    """A directory that composes holes from large ranges."""

    def compose(self, key: str, pieces: Iterable[Piece], source: Store, *, replace: bool = False) -> Blob:
        """Copy small pieces, skip large ones."""
        writer = Holes(Path(self.locate(key)))
        for piece in pieces:
            if isinstance(piece, CopyRange):
                edge = 1000 if piece.size > 1 << 20 else piece.size
                writer.write(source.read(piece.key, piece.start, piece.start + edge))
                if edge < piece.size:
                    writer.file.seek(piece.size - edge, 1)
            else:
                writer.write(piece)
        return writer.commit()


def test_more_than_4_gib(staging: Any, tmp_path: Path) -> None:
    """A sparse item of over 4 GiB with another behind it: sizes and offsets need ZIP64.

    A quick run does not read the 4 GiB to verify them.
    """
    name = store_keys.segment_name(1, 0, 0)
    writer = SegmentWriter(Holes(Path(staging.store.locate(f"{JOB}/{name}"))), "docs")  # type: ignore[arg-type]
    writer.begin("zeros", SIZE, WHEN)
    block = bytes(1 << 24)
    for _ in range(SIZE // len(block)):
        writer.write(block)
    staging.hold(name, "zeros", b"", writer.end(CRC32, SIZE))
    writer.close()
    staging.rows[0] |= {"size": SIZE, "source_size": SIZE, "sha256": bytes.fromhex(SHA256), "crc32": CRC32}
    staging.stage({"behind": b"it" * 200})
    exports, checked = Sparse(tmp_path / "sparse"), Checked(2, _reason_of=np.zeros(2, np.int32))
    build_zip(staging.input(checked), PackagePlace(exports, "out.zip"))
    with zipfile.ZipFile(exports.locate("out.zip")) as archive:
        assert archive.getinfo("docs/data/zeros").file_size == SIZE
        assert archive.getinfo("docs/data/behind").header_offset > 1 << 32
        assert archive.read("docs/data/behind") == b"it" * 200
    if not QUICK:
        found = verify(exports.locate("out.zip"))
        assert (found.problems, found.bytes) == ([], SIZE + 400)


def test_the_manifest_has_every_column(staging: Any) -> None:
    """The tests stage the columns that a collection stages."""
    staging.stage({"a": b""})
    assert next(staging.manifest(table_columns.MANIFEST.names)).schema.names == table_columns.MANIFEST.names


def test_no_room_for_temporary_files(
    staging: Any, exports: DirectoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the package's lists cannot be written, the error names the folder, and no package appears."""
    staging.stage({"a": b"1"})
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(PackageError, match=r"temporary files \(No such file.*\[folder=.*missing\]"):
        staging.zip(exports)
    assert list(exports.list()) == []


def test_lists_that_fail_leave_no_package(staging: Any, exports: DirectoryStore) -> None:
    """If a list cannot be written while the items are copied, nothing of the package is left."""
    staging.stage(ODD)
    with pytest.raises(PackageError, match="lacks the md5"):
        staging.zip(exports, hashes=("md5",))
    assert not [path for path in exports.root.rglob("*") if path.is_file()]


def test_items_that_cannot_be_copied_fail_the_package(staging: Any, exports: DirectoryStore) -> None:
    """A segment that is lost between the check and the copy fails the export, though its lists were written."""
    name = staging.stage(ODD)
    given = staging.input(staging.check())
    staging.store.remove([store_keys.segment_key(JOB, name)])
    with pytest.raises(CorruptSegment):
        build_zip(given, PackagePlace(exports, "out.zip"))
    assert not [path for path in exports.root.rglob("*") if path.is_file()]
