"""Portable names, judged by rules written again from Microsoft's page, not by the code that makes the names."""

from __future__ import annotations

import csv
import io
import subprocess
import unicodedata
import zipfile
from collections.abc import Callable, Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from prefect_collect.archive.item_paths import safe_path
from prefect_collect.escaping import csv_text
from prefect_collect.packages import find_clashes, verify
from prefect_collect.packages.building.names import Names, PortableNames
from prefect_collect.stores import CopyRange, DirectoryStore
from tests.examples import examples

BASE = "letters-0b1f2a54"
Manifest = Callable[[list[str]], Iterator[pa.RecordBatch]]

DEVICES = {"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"} | {
    device + digit for device in ("COM", "LPT") for digit in "123456789¹²³"
}


def manifest(paths: list[str], batch: int = 3) -> Manifest:
    """Return a manifest of these paths."""
    ids = [f"id {path} {paths[:row].count(path)}" for row, path in enumerate(paths)]
    table = pa.table({"path": pa.array(paths, pa.string()), "item_id": pa.array(ids, pa.string())})
    return lambda columns: iter(table.select(columns).to_batches(batch))


def portable(paths: list[str], base: str = BASE) -> list[str]:
    """Return the names in a package with portable names."""
    renamed = find_clashes(manifest(paths))
    names = Names(renamed, PortableNames(manifest(paths), renamed, base), applied=True)
    made = [names.path(row, path) for row, path in enumerate(paths)]
    assert [names.is_changed(row) for row in range(len(paths))] == [
        one != path for one, path in zip(made, paths, strict=True)
    ]
    return made


def trouble(part: str) -> str:
    """Return why Windows refuses a name of a file or folder; "" if it does not."""
    for character in part:
        if ord(character) < 32 or character in '<>:"/\\|?*':
            return f"has {character!r}"
    if not part or part[-1] in " .":
        return "ends so"
    if part.split(".")[0].rstrip(" ").upper() in DEVICES:
        return "is a device"
    return "is long" if len(part.encode("utf-16-le")) > 510 else ""


def key(path: str) -> str:
    """Return the common form of all paths that Windows or macOS may treat as the same."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold()).casefold()


def assert_portable(paths: list[str], base: str = BASE) -> None:
    """Assert that every path can be unpacked in the root of a drive, together with all others."""
    for path in paths:
        assert not [f"{part}: {trouble(part)}" for part in path.split("/") if trouble(part)]
        assert len(f"C:\\{base}/data/{path}\0".encode("utf-16-le")) <= 2 * 260, path
    assert len({key(path) for path in paths}) == len(paths), paths
    folders = {folder for path in paths for folder in accumulate(path.split("/")[:-1], lambda a, b: f"{a}/{b}")}
    assert not {key(folder) for folder in folders} & {key(path) for path in paths}
    assert len({key(folder) for folder in folders}) == len(folders), folders


PARTS = st.sampled_from(
    ["a", "A", "b", "aux", "AUX.txt", "con.tar.gz", "COM¹", "lpt9 .x", "nul", "CONIN$", "a.", "a ", "a. .", "...", ":",
     "é", "e\u0301", "É", "ß", "ss", "K", "\u212a", "a?b*c", "tab\t", "q\"|<>", "x" * 200, "é" * 120, "~", "a~", ".a",
     " a", "COM0", "common", "nullable", "auxiliary.txt", "i\u0307", "İ", "ﬁ", "FI", "ς", "Σ", "x:y"]
) | st.text(min_size=1, max_size=4)  # fmt: skip
PATHS = st.lists(st.lists(PARTS, min_size=1, max_size=4).map("/".join), max_size=12)


@settings(max_examples=examples(250), deadline=None)
@given(PATHS)
@example(["A/x", "a/X", "a", "A"])
@example(["aux/b", "AUX/b", "Aux", "aux.txt"])
def test_portable_names(originals: list[str]) -> None:
    """For any paths, the names are valid everywhere, unique, reproducible, and unchanged if they were portable."""
    paths = [safe_path(original, f"id {row}") for row, original in enumerate(originals)]
    made = portable(paths)
    assert_portable(made)
    assert portable(made) == made
    assert portable(paths) == made
    if len(set(paths)) == len(paths):
        assert portable(paths[::-1]) == made[::-1], "the order of the manifest changes nothing"


@settings(max_examples=examples(100), deadline=None)
@given(st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map("/".join), max_size=8, unique=True))
def test_what_is_portable_stays(paths: list[str]) -> None:
    """No name is changed without need."""
    if not find_clashes(manifest(paths)):
        assert portable(paths) == paths


def test_a_name_that_looks_as_another_s_new_one() -> None:
    """A user who knows how names are made cannot make two equal, by a file, a folder or a cut path."""
    long = "folder/" * 40 + "file.txt"
    first = portable(["con", "a/B", "a/b", long, "X/1", "x/2"])
    for new in first:
        assert_portable(portable(["con", "a/B", "a/b", long, "X/1", "x/2", new, f"{new}/below", new.upper()]))


def test_of_clashing_names_the_first_stays() -> None:
    """Folders come before files; otherwise the order of the paths decides."""
    made = portable(["b", "B", "c/x", "C", "d/1", "D/1"])
    assert made[1] == "B"
    assert made[0].startswith("b~")
    assert made[2] == "c/x"
    assert made[3].startswith("C~")
    assert made[5] == "D/1"
    assert made[4].startswith("d~")
    assert made[4].endswith("/1")


@pytest.mark.parametrize("depth", [1, 20, 60, 400])
def test_long_paths(depth: int) -> None:
    """A path that is too long with the package's folders loses its innermost folders, and keeps its extension."""
    paths = [f"{'folder é/' * depth}{name * 40}.tar.gz" for name in ("x", "y", "X")]
    made = portable(paths)
    assert_portable(made)
    assert all(path.endswith(".gz") for path in made)


def test_why_a_name_is_not_portable() -> None:
    """Each reason is given in words; a portable name has none."""
    paths = ["a:b", "aux/x", "end.", "é", "e\u0301", "Case", "case", "d/" * 130 + "x", "fine.txt"]
    names = PortableNames(manifest(paths), {}, BASE)
    why = {path: names.reasons(row, path) for row, path in enumerate(paths) if names.changed[row]}
    assert why == {
        "a:b": ["a character that Windows does not take"],
        "aux/x": ["a name of a device of Windows"],
        "end.": ["a dot or space at the end"],
        "é": ["a name that differs from another only in case or Unicode form"],
        "case": ["a name that differs from another only in case or Unicode form"],
        "d/" * 130 + "x": ["a path of more than 256 characters with the package's folders"],
    }


UNPORTABLE = {
    "good.txt": b"good" * 30,
    "Dir/a.txt": b"1",
    "dir/A.txt": b"2",
    "dir/a.txt": b"22",
    "aux/con.tar.gz": b"3",
    "time 12:30?.eml": b"4",
    "=ends with a dot.": b"5",
    "é.txt": b"6",
    "e\u0301.txt": b"7",
    "/".join(["deep"] * 60) + "/end.txt": b"8",
    "also good/x": b"9" * 200_000,
}


@pytest.mark.parametrize("deflate", [False, True])
def test_a_package_with_portable_names(staging: Any, exports: DirectoryStore, deflate: bool) -> None:
    """As a ZIP file and as a folder: portable names, a valid package, the same bytes, the original names listed."""
    names = list(UNPORTABLE)
    staging.stage({name: UNPORTABLE[name] for name in names[:5]}, deflate=deflate)
    staging.stage({name: UNPORTABLE[name] for name in names[5:]}, deflate=deflate)
    built = staging.zip(exports, portable=True)
    assert built.items == len(names)
    staging.zip(exports, "again.zip", portable=True)
    assert exports.read("out.zip") == exports.read("again.zip")
    path = exports.locate("out.zip")
    assert subprocess.run(["unzip", "-tqq", path], check=False).returncode == 0
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        files = {name.removeprefix("docs/"): archive.read(name) for name in archive.namelist()}
    payload = {name.removeprefix("data/"): data for name, data in files.items() if name.startswith("data/")}
    assert_portable([*payload], staging.base)
    listed = list(csv.DictReader(io.StringIO(files["items.csv"].decode(), newline="")))
    originals = {csv_text(row["original_path"]): row["path"] for row in listed}
    assert {name: files[path] for name, path in originals.items()} == UNPORTABLE
    assert {originals[name] for name in ("good.txt", "also good/x")} == {"data/good.txt", "data/also good/x"}
    manifest_lines = files["manifest-sha256.txt"].decode().splitlines()
    assert sorted(line.partition("  ")[2] for line in manifest_lines) == sorted(originals.values())
    staging.directory(exports, portable=True)
    for key in ("out.zip", "out"):
        checked = verify(exports.locate(key))
        assert (checked.valid, checked.items, checked.fingerprint) == (True, len(names), built.fingerprint)


def test_only_what_is_renamed_gets_a_new_header(staging: Any, exports: DirectoryStore) -> None:
    """Items that keep their names are copied with their headers, in one range if they are neighbours."""
    segment = staging.stage({"a": b"1" * 50, "b": b"2" * 50, "cc:d": b"3" * 50, "e": b"4" * 50})
    copied: list[tuple[int, int]] = []

    class Noted(DirectoryStore):
        def compose(self, key: str, pieces: Any, source: Any = None, **how: Any) -> Any:
            pieces = list(pieces)
            copied.extend((one.start, one.end) for one in pieces if isinstance(one, CopyRange))
            return super().compose(key, pieces, source, **how)

    staging.zip(Noted(exports.locate("")), portable=True)
    starts = {row["path"]: row["entry_offset"] for row in staging.rows}
    inside = next(row["offset"] for row in staging.rows if row["path"] == "cc:d")
    assert {row["segment"] for row in staging.rows} == {segment}
    assert copied == [(0, starts["cc:d"]), (inside, staging.rows[3]["offset"] + 50)]


def test_without_portable_names_nothing_is_renamed(staging: Any, exports: DirectoryStore) -> None:
    """Names are only checked."""
    staging.stage(UNPORTABLE)
    staging.zip(exports)
    with zipfile.ZipFile(exports.locate("out.zip")) as archive:
        assert {f"docs/data/{name}" for name in UNPORTABLE} <= {*archive.namelist()}
    assert staging.check().names.unportable == 7


def test_a_package_whose_item_list_names_a_file_that_is_not_there(staging: Any, exports: DirectoryStore) -> None:
    """`verify` looks for the packaged path of every item, not for its original path."""
    staging.stage(UNPORTABLE)
    staging.directory(exports, portable=True)
    root = Path(exports.locate("out"))
    [gone] = root.glob("data/time 12_30_~*.eml")
    gone.rename(root / "data" / "time 12:30?.eml")
    said = {problem.path for problem in verify(str(root)).problems}
    assert {f"data/{gone.name}", "data/time 12:30?.eml"} <= said
