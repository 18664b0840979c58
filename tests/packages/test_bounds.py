"""Verifying any package ends with a verdict, in bounded memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from prefect_collect.errors import PackageError
from prefect_collect.packages import Verification, verify
from tests.examples import QUICK
from tests.packages.foreign_bags import as_folder, bag, manifest
from tests.packages.hostile_bags import MAKERS

ROOT: Final = Path(__file__).parents[2]
MOST_MIB: Final = 512
STOPPED: Final = {
    "bomb": "data/0000: manifest-sha256.txt does not list it",
    "dictionary": "it cannot be read as the list of items",
    "line": "line 1 has more than 262,144 characters; reading stopped there",
    "lzma": "need too much memory",
    "manifests": "the bag has more than 64 manifests",
    "missing": "data/0xxx",
    "names": "this is not a bag",
    "url": "line 1 has more than 262,144 characters",
    "utf7": "line 1 has more than 262,144 characters",
}
"""The reason for each package that is not valid."""


@pytest.mark.skipif(QUICK, reason="it takes long because of its size")
def test_no_package_takes_more_than_512_mib(tmp_path: Path) -> None:
    """Packages of kilobytes that expand to gigabytes, and packages that take squared time in careless code."""
    for make in MAKERS:
        make(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "tests.packages.hostile_bags", str(tmp_path), "verify"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = {told["name"]: told for told in map(json.loads, done.stdout.splitlines())}
    assert len(found) == len(MAKERS)
    for name, told in found.items():
        assert told["mib"] < MOST_MIB, name
        assert told["valid"] == (name not in STOPPED), told
        assert STOPPED.get(name, "") in "\n".join(told["problems"])


def said(found: Verification) -> dict[str, str]:
    """Return what is wrong with each path."""
    return {problem.path: problem.what for problem in found.problems}


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """Return a folder of so many files that the last are opened well after the first are done."""
    root = as_folder(bag("1.0", {}), tmp_path / "bag")
    (root / "data").mkdir()
    names = [f"data/{number:02d}" for number in range(40)]
    for name in names:
        with open(root / name, "wb") as file:
            file.truncate(4 << 20)
    content = bytes(4 << 20)
    lines = manifest({names[0]: content})
    text = b"".join(lines.replace(names[0].encode(), name.encode()) for name in names)
    return as_folder(bag("1.0", {}, manifest__sha256_txt=text), root)


def test_files_that_change_while_they_are_verified(large: Path) -> None:
    """A file that vanishes, shrinks, grows, or becomes a pipe, link or folder is a problem of that file alone."""
    changes: dict[str, Callable[[Path], object]] = {
        "data/34": lambda path: os.truncate(path, 5),
        "data/35": lambda path: os.truncate(path, 5 << 20),
        "data/36": lambda path: path.unlink(),
        "data/37": lambda path: (path.unlink(), os.mkfifo(path)),
        "data/38": lambda path: (path.unlink(), path.symlink_to("/dev/zero")),
        "data/39": lambda path: (path.unlink(), path.mkdir()),
    }
    waiting = dict(changes)

    def change(files: int, size: int) -> None:
        while waiting:
            name, make = waiting.popitem()
            make(large / name)

    assert set(said(verify(large, threads=1, progress=change))) == set(changes)


def test_a_folder_2_500_folders_deep(tmp_path: Path) -> None:
    """A path longer than the system allows is a problem that names the folder, and the rest is checked."""
    root = as_folder(bag(), tmp_path / "bag")
    depth = 2500
    at = os.open(root / "data", os.O_RDONLY)
    try:
        for _ in range(depth):
            os.mkdir("d", dir_fd=at)
            below = os.open("d", os.O_RDONLY, dir_fd=at)
            os.close(at)
            at = below
        found = verify(root)
    finally:
        while True:  # recursive removal does not reach that deep
            above = os.open("..", os.O_RDONLY, dir_fd=at)
            os.close(at)
            at = above
            try:
                os.rmdir("d", dir_fd=at)
            except OSError:
                break
            if os.path.samestat(os.fstat(at), os.stat(root / "data")):
                break
        os.close(at)
    (problem,) = found.problems
    assert "cannot be read (File name too long)" in problem.what
    assert problem.path.startswith("data/d/d/")
    assert found.items == len(bag()) - 3


def test_a_package_that_cannot_be_read_is_an_error_in_words(tmp_path: Path) -> None:
    """Neither file nor folder, a name with NUL, or a place that is too long gives a PackageError or a verdict."""
    for place in ("/dev/zero", f"{tmp_path}/{'x' * 300}", f"{tmp_path}/{'d/' * 3000}"):
        with pytest.raises(PackageError, match=r"\[.+\]"):
            verify(place)


def test_a_full_temporary_folder_is_an_error_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the names cannot be stored, the error gives advice; the test's own process may write no file at all."""
    payload = {f"data/{number}{'x' * 200}": b"" for number in range(3)}
    root = as_folder(bag("1.0", payload), tmp_path / "bag")
    program = f"""if True:
        import resource, signal
        import prefect_collect.packages.contents.index as index
        from prefect_collect.errors import PackageError
        from prefect_collect.packages import verify
        index._CACHE = 1
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        index_add = index.FileIndex.add
        def many(self, entry):
            index_add(self, entry)
            for number in range(200 if self.count < 3000 else 0):
                index_add(self, index.Entry(self.count, f"data/more{{self.count}}" + "y" * 900, 0))
        index.FileIndex.add = many
        try:
            verify({str(root)!r})
        except PackageError as error:
            print(error)
        """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "set TMPDIR" in done.stdout, done.stdout + done.stderr
