"""Which exports of a collection lack what a later attempt collected, and where that is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from prefect_collect.job_folder.exports_made import exports_of_folder
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.pages.ended_job import job_page
from prefect_collect.stores import DirectoryStore
from tests.support.memory_source import MemorySource, Thing
from tests.support.run_attempts import attempt, export, new_job


@pytest.fixture
def source() -> MemorySource:
    """Return a source of three items, two of which cannot be read yet."""
    return MemorySource({"a": Thing("good", b"a"), "b": Thing("denied"), "c": Thing("denied")})


@pytest.fixture
def folder(source: MemorySource, tmp_path: Path) -> JobFolder:
    """Return a collection of the source, with one attempt."""
    folder = new_job(DirectoryStore(tmp_path / "staging"), source)
    attempt(folder, source)
    return folder


def notes(folder: JobFolder) -> list[str]:
    """Return what each export of the collection lacks."""
    return [made.note for made in exports_of_folder(folder)]


def test_an_export_lacks_what_was_collected_later(source: MemorySource, folder: JobFolder, tmp_path: Path) -> None:
    """It says so once a later attempt took more; a new export holds all, and then nothing more is to be done."""
    out = DirectoryStore(tmp_path / "out")
    export(folder, out, "bagit")
    assert notes(folder) == [""]
    attempt(folder, source)
    assert notes(folder) == [""]
    source.things["b"] = Thing("good", b"b")
    attempt(folder, source)
    assert notes(folder) == ["made from attempt 1; later attempts, up to 3, collected 1 more item: export again"]
    export(folder, DirectoryStore(tmp_path / "again"), "bagit")
    assert notes(folder) == ["made from attempt 1; later attempts, up to 3, collected 1 more item", ""]
    source.things["c"] = Thing("good", b"c")
    attempt(folder, source)
    assert notes(folder) == [
        "made from attempt 1; later attempts, up to 4, collected 2 more items: export again",
        "made from attempt 3; attempt 4 collected 1 more item: export again",
    ]


def test_the_collection_s_page_names_what_lacks_it(source: MemorySource, folder: JobFolder, tmp_path: Path) -> None:
    """The page of the attempt that took more names the exports that lack it, and no others."""
    exported, _ = export(folder, DirectoryStore(tmp_path / "out"), "bagit")
    source.things["b"] = Thing("good", b"b")
    result = attempt(folder, source)
    page = job_page(result, "n", "s", exports=exports_of_folder(folder))
    assert f"- `{exported.job_id}`: made from attempt 1; attempt 2 collected 1 more item: export again" in page
    export(folder, DirectoryStore(tmp_path / "again"), "bagit")
    newest = exports_of_folder(folder)[1:]
    assert "Exports that lack" not in job_page(result, "n", "s", exports=newest)
