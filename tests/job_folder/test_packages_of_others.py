"""Packages that others put where ours belongs, and exports that die beside theirs: none is replaced unproven."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from prefect_collect.exporting.bound_collection import bind_collection
from prefect_collect.job_folder import store_keys
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.job_folder.lifecycle import claim_attempt
from prefect_collect.packages import verify
from prefect_collect.statuses import JobStatus
from prefect_collect.stores import Blob, Buffer, DirectoryStore
from tests.job_folder.small_collection import collected, tree
from tests.support.memory_store import Killed, MemoryStore
from tests.support.run_attempts import attempt, export, new_export

pytestmark = pytest.mark.usefixtures("small_shards")


def test_a_package_of_others_is_never_replaced(tmp_path: Path) -> None:
    """Neither a first attempt replaces it, nor the retry of an attempt that found it."""
    folder, _ = collected(DirectoryStore(tmp_path / "store"))
    destination = DirectoryStore(tmp_path / "out")
    destination.create("test.zip", b"mine")
    job, result = export(folder, destination)
    assert (result.status, list(result.codes)) == (JobStatus.FAILED, ["destination_exists"])
    _, result = export(folder, destination, job=job)
    assert result.status is JobStatus.FAILED
    assert destination.read("test.zip") == b"mine"
    (tmp_path / "out/test.zip").unlink()
    _, result = export(folder, destination, job=job)
    assert result.status is JobStatus.SUCCESSFULLY_COMPLETED


@pytest.mark.parametrize("format", ["bagit", "directory"])
def test_a_package_delivered_by_another_export_meanwhile(format: str, tmp_path: Path) -> None:
    """An export that died before it wrote does not, in its retry, delete what another export has delivered since."""
    folder, source = collected(store := MemoryStore())
    destination = DirectoryStore(tmp_path / "out")
    late = new_export(bind_collection(store, folder.job_id))
    claim_attempt(late, {"manifest": 1})
    source.things["denied/0"].kind = "good"
    attempt(folder, source)
    _, first = export(folder, destination, format)
    before = tree(tmp_path / "out")
    for _ in range(2):
        _, result = export(folder, destination, format, late)
        assert (result.status, list(result.codes)) == (JobStatus.FAILED, ["destination_exists"])
        assert tree(tmp_path / "out") == before
    assert verify(first.package or "").fingerprint == first.fingerprint
    name = "test.zip" if format == "bagit" else "test"
    (tmp_path / "out" / name).rename(tmp_path / "away")
    _, result = export(folder, destination, format, late)
    assert (result.status, result.counts.succeeded) == (JobStatus.SUCCESSFULLY_COMPLETED, 6)


@pytest.mark.parametrize("format", ["bagit", "directory"])
def test_a_package_put_in_the_place_of_ours(format: str, tmp_path: Path) -> None:
    """A retry replaces the package that its job delivered only if it is still that package."""
    store = DirectoryStore(tmp_path / "store")
    folder, _ = collected(store)
    segment = Path(store.locate(store_keys.segment_key(folder.job_id, store_keys.segment_name(1, 1))))
    segment.rename(tmp_path / "away")
    destination = DirectoryStore(tmp_path / "out")
    job, result = export(folder, destination, format)
    assert result.status is JobStatus.PARTIALLY_COMPLETED
    (tmp_path / "out").rename(tmp_path / "moved")
    (tmp_path / "away").rename(segment)
    export(folder, destination, format)
    Path(destination.locate("test/notes") if format == "directory" else tmp_path / "notes").write_bytes(b"mine")
    before = tree(tmp_path / "out")
    _, result = export(folder, destination, format, job)
    if format == "directory":
        assert list(result.codes) == ["destination_exists"]
    assert tree(tmp_path / "out") == before


@pytest.mark.parametrize("format", ["bagit", "directory"])
def test_dying_between_the_package_and_its_result(format: str, tmp_path: Path) -> None:
    """The retry finds the package complete, and keeps it: the bytes are the same."""
    folder, _ = collected(store := MemoryStore())
    destination = DirectoryStore(tmp_path / "out")
    job = new_export(bind_collection(store, folder.job_id))
    wanted = store_keys.result_key(job.job_id, 1)

    def fault(operation: str, key: str) -> None:
        if key == wanted:
            store.dead = True
            raise Killed

    store.fault = fault
    with pytest.raises(Killed):
        export(folder, destination, format, job)
    before = tree(tmp_path / "out")
    found = store.copy()
    _, result = export(JobFolder(found, folder.job_id), destination, format, JobFolder(found, job.job_id))
    assert (result.attempt, result.status) == (2, JobStatus.SUCCESSFULLY_COMPLETED)
    assert tree(tmp_path / "out") == before
    assert verify(result.package or "").fingerprint == result.fingerprint


def test_dying_in_the_middle_of_a_folder(tmp_path: Path) -> None:
    """The retry recognises the half-written folder by the marker in it, and writes it again."""
    folder, _ = collected(store := MemoryStore())
    export(folder, DirectoryStore(tmp_path / "clean"), "directory")

    class Dying(DirectoryStore):
        def create(self, key: str, data: Buffer, into: Any = None) -> Blob:
            if key.endswith("good/3"):
                store.dead = True
                raise Killed
            return super().create(key, data, into)

    job = new_export(bind_collection(store, folder.job_id))
    with pytest.raises(Killed):
        export(folder, Dying(tmp_path / "out"), "directory", job)
    assert f"test/.prefect-collect-{job.job_id}/unfinished.txt" in tree(tmp_path / "out")
    found = store.copy()
    copy, job = JobFolder(found, folder.job_id), JobFolder(found, job.job_id)
    destination = DirectoryStore(tmp_path / "out")
    _, other = export(copy, destination, "directory")
    assert list(other.codes) == ["destination_exists"]
    _, result = export(copy, destination, "directory", job)
    assert (result.attempt, result.status) == (2, JobStatus.SUCCESSFULLY_COMPLETED)
    assert tree(tmp_path / "out") == tree(tmp_path / "clean")
