"""An export as a load file through Prefect: from the collection to a package that is fetched and proven."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from prefect_collect import LoadFile, collect, export, jobs, verify
from prefect_collect.blocks.file_source import FileSource
from prefect_collect.errors import UsageError
from prefect_collect.statuses import JobStatus

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("prefect")]


def test_a_load_file_through_prefect(store: str, tmp_path: Path) -> None:
    """The flow's parameters reach the package, which is fetched by its fingerprint; a later export goes on after it.

    Bad options are refused before there is a job.
    """
    root = tmp_path / "files"
    root.mkdir()
    (root / "a.txt").write_text("a")
    (root / "b.pdf").write_text("b")
    source = FileSource(name="files", root=root, custodian="Jordan Lee")
    collection = collect(source=source, name="letters", store=store, hashes=["md5"], return_state=True)
    collected = jobs.get(str(collection.state_details.flow_run_id))
    options = {"prefix": "ABC", "profile": "everlaw", "volume_items": 1}
    made = export(collected.id, tmp_path / "out", "loadfile", store=store, load_file=options, return_state=True)
    job = jobs.get(str(made.state_details.flow_run_id))
    assert job.status is JobStatus.SUCCESSFULLY_COMPLETED, job.message
    home = jobs.download(job.id, tmp_path / "home", store)
    found = verify(home)
    assert (found.problems, found.items, found.fingerprint) == ([], 2, job.result and job.result.fingerprint)
    with zipfile.ZipFile(home) as archive:
        [name] = [name for name in archive.namelist() if name.endswith("VOL002/VOL002.dat")]
        row = archive.read(name).decode("utf-8-sig").splitlines()[1].strip("þ").split("þ\x14þ")
    assert row[:3] == ["ABC00000002", "ABC00000002", "Jordan Lee"]

    (root / "c.txt").write_text("c")
    collection = collect(source=source, name="letters", store=store, return_state=True)
    again = jobs.get(str(collection.state_details.flow_run_id))
    later = {"prefix": "ABC", "continue_from": job.id}
    next_one = jobs.start_export(again.id, tmp_path / "out", "loadfile-directory", load_file=later, here=True)
    assert next_one.status is JobStatus.SUCCESSFULLY_COMPLETED, next_one.message
    natives = sorted(path.name for path in (tmp_path / "out").rglob("NATIVES/*/*"))
    assert natives == ["ABC00000001.txt", "ABC00000002.pdf", "ABC00000003.txt"]
    before = [job.id for job in jobs.list_jobs(store=store)]
    with pytest.raises(UsageError, match="prefix=DOC"):
        jobs.start_export(again.id, tmp_path / "x", "loadfile", load_file=LoadFile(continue_from=job.id))
    with pytest.raises(UsageError, match="sha512 is no option"):
        jobs.start_export(again.id, tmp_path / "x", "loadfile", sha512=True)
    waiting = {"destination": str(tmp_path / "x"), "format": "loadfile", "load_file": {"continue_from": job.id}}
    with pytest.raises(UsageError, match="prefix=DOC"):
        jobs.draft_collection(source, store=store, auto_export=waiting)
    waiting["load_file"] = later
    with pytest.raises(UsageError, match=f"was continued by {next_one.id}"):
        jobs.draft_collection(source, store=store, auto_export=waiting)
    assert [job.id for job in jobs.list_jobs(store=store)] == before
