"""What the side sheet reads anew at each look."""

from __future__ import annotations

from pathlib import Path

from prefect_collect.console.job_sheet import exports_of_collection
from prefect_collect.stores import DirectoryStore
from tests.support.memory_source import MemorySource, Thing
from tests.support.run_attempts import attempt, export, new_job


def test_a_collection_s_log_is_read_once_for_the_sheets_of_its_exports(tmp_path: Path) -> None:
    """A second look reads only what was appended since; an export that was made meanwhile is there."""
    source = MemorySource({"a": Thing("good", b"a")})
    folder = new_job(DirectoryStore(tmp_path / "staging"), source)
    attempt(folder, source)
    made = [export(folder, DirectoryStore(tmp_path / "out"), "bagit")[0].job_id]
    assert [one.job_id for one in exports_of_collection(folder)] == made
    read = sorted((tmp_path / "staging" / folder.job_id / "custody").iterdir())
    made.append(export(folder, DirectoryStore(tmp_path / "again"), "bagit")[0].job_id)
    for entry in read:
        entry.unlink()
        entry.write_bytes(b"not read again")
    assert [one.job_id for one in exports_of_collection(folder)] == made
