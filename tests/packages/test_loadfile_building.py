"""Load file packages are made the same each time, in volumes of any number, and replace only what is theirs."""

from __future__ import annotations

import hashlib
import json
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from prefect_collect.errors import PackageError, PackageExists
from prefect_collect.job_folder import table_columns
from prefect_collect.packages import (
    Continued,
    FolderZip,
    Owner,
    fetch_package,
    number_key,
    verify,
)
from prefect_collect.stores import DirectoryStore
from tests.examples import QUICK
from tests.packages.load_file_packages import both, build, contents, exceptions, rows


def test_the_same_collection_gives_the_same_bytes(filled: Any, exports: DirectoryStore, tmp_path: Path) -> None:
    """ZIP file and folder hold the same files, each time the same bytes, whose hashes sha256sum accepts."""
    first, again = build(filled, exports), build(filled, DirectoryStore(tmp_path / "again"))
    folder = build(filled, exports, "loadfile-directory")
    assert first.fingerprint == again.fingerprint == folder.fingerprint
    data = Path(exports.locate("out.zip")).read_bytes()
    assert data == (tmp_path / "again" / "out.zip").read_bytes()
    assert contents(exports, "loadfile") == contents(exports, "loadfile-directory")
    for place in ("out", "out/VOL001"):
        where = exports.locate(place)
        done = subprocess.run(["sha256sum", "--quiet", "-c", "manifest-sha256.txt"], cwd=where, check=False)
        assert done.returncode == 0
    with zipfile.ZipFile(exports.locate("out.zip")) as archive:
        archive.extractall(tmp_path / "unpacked")
    assert verify(tmp_path / "unpacked" / "docs").fingerprint == first.fingerprint


def test_a_folder_can_be_downloaded_as_a_zip_file(filled: Any, exports: DirectoryStore, tmp_path: Path) -> None:
    """The ZIP file that the console makes of a folder is a valid package with its fingerprint; a copy is checked."""
    built = build(filled, exports, "loadfile-directory")
    (tmp_path / "made.zip").write_bytes(b"".join(FolderZip(exports, "out").chunks()))
    found = verify(tmp_path / "made.zip")
    assert (found.problems, found.fingerprint) == ([], built.fingerprint)
    home = fetch_package(exports, "out", tmp_path / "home", "out", built.fingerprint, "loadfile-directory")
    assert verify(home).valid
    with pytest.raises(PackageError, match="fingerprint differs"):
        fetch_package(exports, "out", tmp_path / "other", "out", "0" * 64, "loadfile-directory")


@both
def test_volumes_are_complete_in_themselves(filled: Any, exports: DirectoryStore, format: str) -> None:
    """A volume has at most that many items or bytes (or one item); each has its load file, natives and hashes."""
    built = build(filled, exports, format, volume_items=3)
    files = contents(exports, format)
    assert [len(rows(files[f"VOL{n:03d}/VOL{n:03d}.dat"])) for n in (1, 2, 3)] == [3, 3, 1]
    for volume in ("VOL001", "VOL002", "VOL003"):
        lines = files[f"{volume}/manifest-sha256.txt"].decode().splitlines()
        listed = {name: digest for digest, name in (line.split("  ") for line in lines)}
        mine = {name.removeprefix(f"{volume}/"): data for name, data in files.items() if name.startswith(volume)}
        del mine["manifest-sha256.txt"]
        assert listed == {name: hashlib.sha256(data).hexdigest() for name, data in mine.items()}
    assert verify(exports.locate(built.key)).problems == []


def test_volumes_by_size(filled: Any, exports: DirectoryStore) -> None:
    """An item that is larger than a volume has one of its own; the others are filled as far as they go, with texts."""
    build(filled, exports, volume_bytes=20)
    volumes = json.loads(contents(exports, "loadfile")["load-file.json"])["volumes"]
    assert [(volume["items"], volume["bytes"]) for volume in volumes] == [(1, 7), (1, 8), (1, 15), (1, 300_000), (3, 6)]
    held: dict[str, list[int]] = {}
    for name, data in contents(exports, "loadfile").items():
        if "/NATIVES/" in name or "/TEXT/" in name:
            held.setdefault(name[:6], []).append(len(data))
    assert [sum(sizes) for sizes in held.values()] == [14, 8, 15, 300_000, 6]
    assert verify(exports.locate("out.zip")).problems == []


@both
def test_an_item_that_cannot_be_delivered_keeps_its_number(
    filled: Any, exports: DirectoryStore, format: str, damage: Callable[[str, int, bytes], None]
) -> None:
    """It is in the exceptions under its number; after the segment is repaired, all others have theirs as before."""
    row = filled.rows[1]
    place = row["segment"], row["offset"]
    damage(*place, b"X")
    built = build(filled, exports, format)
    files = contents(exports, format)
    before = [one["Control Number"] for one in rows(files["VOL001/VOL001.dat"])]
    lost = exceptions(files["EXCEPTIONS.csv"])
    assert "DOC00000002" not in before
    assert [(one["Control Number"], one["Exception Code"]) for one in lost] == [
        ("DOC00000002", "segment_corrupt"), ("", "not_found"), ("", "access_denied"),
    ]  # fmt: skip
    checked = verify(exports.locate(built.key))
    assert (checked.problems, checked.items, checked.not_delivered) == ([], 6, 3)
    damage(*place, b"%")
    again = build(filled, exports, format, owner=Owner("export", frozenset({built.fingerprint})), replace=True)
    after = [one["Control Number"] for one in rows(contents(exports, format)["VOL001/VOL001.dat"])]
    assert sorted({*before, "DOC00000002"}) == after
    assert (again.items, verify(exports.locate(again.key)).problems) == (7, [])


@both
def test_only_an_own_package_is_replaced(filled: Any, exports: DirectoryStore, format: str) -> None:
    """An identical package is kept, one of another job is not touched, and nothing is written beside other files."""
    built = build(filled, exports, format)
    kept = build(filled, exports, format, owner=Owner("export"), replace=True)
    assert kept.fingerprint == built.fingerprint
    before = contents(exports, format)
    with pytest.raises(PackageExists):
        build(filled, exports, format, owner=Owner("export"), replace=True, prefix="OTHER")
    with pytest.raises(PackageExists):
        build(filled, exports, format)
    assert contents(exports, format) == before


def test_an_interrupted_folder_is_completed(filled: Any, exports: DirectoryStore) -> None:
    """What a killed attempt left, marked as this job's, is replaced; with a file of others in it, it is refused."""
    marker = "out/.prefect-collect-export/unfinished.txt"
    exports.create(marker, b"x")
    exports.create("out/VOL001/NATIVES/0001/DOC00000001.txt", b"half")
    exports.create("out/VOL001/VOL001.dat", b"half")
    built = build(filled, exports, "loadfile-directory", owner=Owner("export"), replace=True)
    assert verify(exports.locate("out")).problems == []
    assert built.items == 7
    exports.create(marker, b"x")
    exports.create("out/VOL001/mine.txt", b"mine")
    with pytest.raises(PackageExists, match=r"mine\.txt"):
        build(filled, exports, "loadfile-directory", owner=Owner("export"), replace=True)


def test_numbers_go_on_after_those_of_an_earlier_export(filled: Any, exports: DirectoryStore) -> None:
    """Items with the same bytes keep their numbers, others get new ones after the last; too few digits are refused."""
    known = {
        number_key(row["item_id"], row["sha256"]): number
        for row, number in zip(filled.rows[:3], (7, 3, 5), strict=True)
    }
    build(filled, exports, continued=Continued(known, 9_998), width=5)
    found = rows(contents(exports, "loadfile")["VOL001/VOL001.dat"])
    numbers = ["DOC00007", "DOC00003", "DOC00005", "DOC09999", "DOC10000", "DOC10001", "DOC10002"]
    assert [row["Control Number"] for row in found] == numbers
    assert verify(exports.locate("out.zip")).problems == []
    with pytest.raises(PackageError, match=r"reach 10,002, which has more digits .*\[width=4\]"):
        build(filled, exports, continued=Continued(known, 9_998), width=4)


@pytest.mark.skipif(QUICK, reason="it takes long because of its size")
def test_more_than_65536_files(staging: Any, exports: DirectoryStore) -> None:
    """Folders hold at most 1,000 natives, and a ZIP64 file with more than 65,535 entries is valid."""
    count = 65_600
    staging.stage([(f"{n:05d}.bin", b"") for n in range(count)])
    table = pa.Table.from_pylist(staging.rows, table_columns.MANIFEST)
    staging.manifest = lambda columns: iter(table.select(columns).to_batches(8192))
    build(staging, exports)
    with zipfile.ZipFile(exports.locate("out.zip")) as archive:
        names = archive.namelist()
    natives = [name for name in names if "/NATIVES/" in name]
    assert len(natives) == count
    folders = [name.rpartition("/")[0] for name in natives]
    assert max(folders.count(folder) for folder in sorted(set(folders))[:2]) == 1_000
    assert natives[1_000] == "docs/VOL001/NATIVES/0002/DOC00001001.bin"
    found = verify(exports.locate("out.zip"))
    assert (found.problems, found.items) == ([], count)
