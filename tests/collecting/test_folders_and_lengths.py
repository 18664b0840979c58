"""Empty folders, and paths that are longer than the system allows, in a real tree."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from prefect_collect.blocks.file_source import FileSource
from prefect_collect.collecting.incremental import since_options
from prefect_collect.errors import StoreNameTooLong
from prefect_collect.packages import fetch_package
from prefect_collect.packages.building.payload import LONGEST_PATH
from prefect_collect.sources import Listed
from prefect_collect.statuses import JobStatus
from prefect_collect.stores import DirectoryStore
from prefect_collect.verification import verify_job
from tests.support.memory_store import MemoryStore
from tests.support.run_attempts import attempt, check_account, export, held, job_rows, new_job, unsuccessful


def codes(folder) -> dict[str, tuple[str, str]]:  # type: ignore[no-untyped-def]
    """Return outcome and code of the items that did not succeed."""
    return {id_: (row["outcome"], row["error_code"]) for id_, row in unsuccessful(folder).items()}


def test_empty_folders(tmp_path: Path) -> None:
    """Each is a skipped item, also through links; a folder of folders, or of filtered files, is not empty."""
    for name in ("empty", "outer/inner/empty", "filtered"):
        (tmp_path / "tree" / name).mkdir(parents=True)
    (tmp_path / "tree/filtered/a.tmp").write_bytes(b"a")
    (tmp_path / "tree/file").write_bytes(b"b")
    (tmp_path / "tree/link").symlink_to("outer/inner/empty")
    source = FileSource(root=tmp_path / "tree")
    folder = new_job(MemoryStore(), source, "job", query={"exclude": ["*.tmp"]})
    result = attempt(folder, source)
    check_account(folder)
    assert (result.status, result.counts.found) == (JobStatus.SUCCESSFULLY_COMPLETED, 4)
    skipped = ("skipped", "empty_folder")
    assert codes(folder) == {
        "empty/": skipped, "outer/inner/empty/": skipped, "link": ("skipped", "symlink")
    }  # fmt: skip
    following = FileSource(root=tmp_path / "tree", follow_symlinks=True)
    other = new_job(MemoryStore(), following, query={"include": ["link/**"]})
    attempt(other, following)
    assert codes(other) == {"link/": skipped}
    assert verify_job(folder).valid


def test_an_empty_root(tmp_path: Path) -> None:
    """A source that is itself an empty folder matches nothing, and gets no row."""
    source = FileSource(root=tmp_path)
    folder = new_job(MemoryStore(), source)
    result = attempt(folder, source)
    assert (result.counts.found, len(result.warnings)) == (0, 1)


def test_an_empty_folder_that_gets_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A retry that lists the source again replaces the folder's row by its items; a later job finds them as new."""
    root = tmp_path / "tree"
    (root / "empty").mkdir(parents=True)
    (root / "other").mkdir()
    (root / "z").write_bytes(b"z")

    whole = FileSource.items

    def items(source: FileSource) -> Iterator[Listed]:
        for listed in whole(source):
            yield listed
            if getattr(listed, "id", "") == "other/":
                raise ConnectionResetError("gone")

    monkeypatch.setattr(FileSource, "items", items)
    source = FileSource(root=root)
    folder = new_job(store := MemoryStore(), source)
    assert attempt(folder, source).counts.skipped == 2
    (root / "empty" / "new").write_bytes(b"new")
    monkeypatch.undo()
    result = attempt(folder, source)
    check_account(folder)
    assert held(folder).keys() == {"empty/new", "z"}
    assert codes(folder) == {"other/": ("skipped", "empty_folder")}
    assert (result.status, result.counts.found) == (JobStatus.SUCCESSFULLY_COMPLETED, 3)
    (root / "other" / "new").write_bytes(b"new")
    later = new_job(store, source, options=since_options(store, folder.record()))
    attempt(later, source)
    check_account(later)
    assert held(later).keys() >= {"other/new"}


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[Path]:
    """Return a tree with a file deeper than the 4,095 bytes that the system allows for a path."""
    root = tmp_path / "deep"
    root.mkdir()
    (root / "beside").write_bytes(b"beside")
    name = "d" * 200
    here = os.open(root, os.O_RDONLY)
    for _ in range(25):
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)
    yield root
    shutil.rmtree(root)


def test_a_path_over_the_systems_length(deep: Path, tmp_path: Path) -> None:
    """What is so deep is one item that fails as `name_too_long`, with advice; the rest is collected."""
    source = FileSource(root=deep)
    folder = new_job(MemoryStore(), source)
    result = attempt(folder, source)
    check_account(folder)
    assert held(folder).keys() == {"beside"}
    ((outcome, code),) = codes(folder).values()
    assert (result.counts.found, outcome, code, job_rows(folder)) == (2, "failed", "name_too_long", [])
    (row,) = unsuccessful(folder).values()
    assert "under a shorter path" in row["suggested_action"]
    os.rename(deep / "/".join(["d" * 200] * 12), tmp_path / "nearer")
    nearer = FileSource(root=tmp_path / "nearer")
    job = new_job(MemoryStore(), nearer)
    assert attempt(job, nearer).status is JobStatus.SUCCESSFULLY_COMPLETED
    _, exported = export(job, DirectoryStore(tmp_path / "out" / ("o" * 200) / ("p" * 200)), "directory")
    assert exported.status is JobStatus.SUCCESSFULLY_COMPLETED
    # 13 folders of 200 bytes fit below a short destination, and not below one of 1,600.
    far = DirectoryStore(tmp_path / "/".join(["f" * 200] * 8))
    job, exported = export(job, far, "directory")
    assert [row["error_code"] for row in unsuccessful(job).values()] == ["name_too_long"]


def test_a_root_over_the_systems_length(tmp_path: Path) -> None:
    """A root or a name that is too long is not reported as a damaged disk."""
    for root in (tmp_path / ("x" * 300), tmp_path / "/".join(["y" * 200] * 25)):
        source = FileSource(root=root)
        folder = new_job(MemoryStore(), source)
        result = attempt(folder, source)
        assert (result.status, job_rows(folder)) == (JobStatus.FAILED, ["name_too_long"])


@pytest.mark.parametrize("beyond", [-40, -5, 0, 1, 200])
def test_fetching_a_package_into_a_long_path(tmp_path: Path, beyond: int) -> None:
    """A path of the package that is too long for the system is refused in words, and nothing is left of it."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "p.zip").write_bytes(b"package")
    home = tmp_path
    while (left := LONGEST_PATH + beyond - len(str(home / "p.zip"))) > 0:
        home /= "d" * (left - 1 if left < 200 else 100)
    assert len(str(home / "p.zip")) == LONGEST_PATH + beyond
    if beyond == -40:
        assert fetch_package(DirectoryStore(tmp_path / "out"), "p.zip", home).read_bytes() == b"package"
        return
    with pytest.raises(StoreNameTooLong, match=r"longer than the .*\[/"):
        fetch_package(DirectoryStore(tmp_path / "out"), "p.zip", home)
    assert [names for _, _, names in os.walk(tmp_path) if names] == [["p.zip"]]
