"""Jobs that are retried from another folder, after a change of their places, or by two processes at once."""

from __future__ import annotations

import subprocess
from pathlib import Path
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State, StateType

from prefect_collect import FileSource, collect, export, jobs
from prefect_collect.blocks import DirectoryStoreBlock
from prefect_collect.errors import ActionNotAllowed, AttemptSuperseded
from prefect_collect.job_folder.lifecycle import claim_attempt
from prefect_collect.runs.labels import set_labels
from prefect_collect.statuses import JobStatus
from tests.integration.jobs.every_status import gone_process

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("prefect")]


def tree(folder: Path, *, broken: bool = True) -> Path:
    """Make a folder with two files, and a dangling link, which fails."""
    folder.mkdir()
    for name in ("one", "two"):
        (folder / name).write_text(name)
    if broken:
        (folder / "gone").symlink_to("nothing")
    return folder


def collected(root: Path, store: str | Path) -> jobs.Job:
    """Collect the folder."""
    state = collect(source=FileSource(root=root, follow_symlinks=True), store=store, return_state=True)
    return jobs.get(str(state.state_details.flow_run_id))


def test_a_relative_store_is_the_same_from_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that was named by a relative path is found from another folder, also by a retry."""
    root = tree(tmp_path / "tree")
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    job = collected(root, "staging")
    assert job.status is JobStatus.PARTIALLY_COMPLETED
    monkeypatch.chdir(tmp_path / "there")
    (root / "gone").unlink()
    (root / "gone").write_text("back")
    again = jobs.retry(job.id)
    assert again.status is JobStatus.SUCCESSFULLY_COMPLETED
    assert [result.attempt for result in again.attempts] == [1, 2]
    assert not (tmp_path / "there" / "staging").exists()


def test_a_block_that_was_changed_after_it_was_loaded(tmp_path: Path) -> None:
    """A retry uses the source that the job was started with, not the present content of the saved block."""
    other = tree(tmp_path / "other", broken=False)
    root = tree(tmp_path / "tree")
    FileSource(root=other, follow_symlinks=True).save("changed-later", overwrite=True)
    source = FileSource.load("changed-later")
    assert isinstance(source, FileSource)
    source.root = root
    state = collect(source=source, store=tmp_path / "store", return_state=True)
    job = jobs.get(str(state.state_details.flow_run_id))
    (root / "gone").unlink()
    (root / "gone").write_text("back")
    again = jobs.retry(job.id)
    assert again.status is JobStatus.SUCCESSFULLY_COMPLETED
    assert again.result is not None
    assert again.result.counts.found == 3


def test_a_saved_block_that_comes_to_mean_another_place(tmp_path: Path) -> None:
    """A retry whose source block names another place now is refused; the message names both, and the items stay."""
    root, other = tree(tmp_path / "tree"), tree(tmp_path / "other", broken=False)
    source = FileSource(root=root, follow_symlinks=True)
    source.save("moves", overwrite=True)
    state = collect(source=FileSource.load("moves"), store=tmp_path / "store", return_state=True)
    FileSource(root=other, follow_symlinks=True).save("moves", overwrite=True)
    again = jobs.retry(str(state.state_details.flow_run_id))
    assert (again.status, len(again.attempts)) == (JobStatus.PARTIALLY_COMPLETED, 1)
    assert again.message.startswith("Nothing was run.")
    assert str(root) in again.message
    assert str(other) in again.message


def test_a_job_that_another_process_works_on(tmp_path: Path) -> None:
    """A start of a job whose process runs is refused, and does not change the job; once it is killed, a retry works.

    While the attempt is open, the job offers neither Preview nor Export.
    """
    job = collected(tree(tmp_path / "tree"), tmp_path / "store")
    with subprocess.Popen(["sleep", "600"]) as other:
        stat = Path(f"/proc/{other.pid}/stat").read_text().rpartition(")")[2].split()
        attempt = claim_attempt(job.folder, {"pid": other.pid, "pid_started": int(stat[19])})
        with pytest.raises(AttemptSuperseded, match=str(other.pid)):
            jobs.retry(job.id)
        assert jobs.get(job.id).status is JobStatus.PARTIALLY_COMPLETED
        with pytest.raises(ActionNotAllowed, match="Attempt 2"):
            jobs.preview(job.id)
        state = export(job.id, tmp_path / "out", store=tmp_path / "store", return_state=True)
        assert state.is_failed()
        assert "Attempt 2" in str(state.message)
        other.kill()
    assert jobs.retry(job.id).attempts[-1].attempt == attempt + 1


def test_a_process_that_died_before_it_began(tmp_path: Path) -> None:
    """A job whose process was killed right after it had started, before any attempt, can be retried."""
    job = collected(tree(tmp_path / "tree"), tmp_path / "store")
    for kind, name in ((StateType.RUNNING, "In progress"), (StateType.SCHEDULED, "Queued")):
        with get_client(sync_client=True) as client:
            set_labels(client, UUID(job.id), gone_process())
            client.set_flow_run_state(UUID(job.id), State(type=kind, name=name), force=True)
        assert jobs.get(job.id).status == name
        assert jobs.retry(job.id).status is JobStatus.PARTIALLY_COMPLETED


def test_a_store_block_that_was_deleted(tmp_path: Path) -> None:
    """A job whose store block was deleted is listed without counts; they are shown if the store is named."""
    DirectoryStoreBlock(path=str(tmp_path / "store")).save("deleted-later", overwrite=True)
    store = DirectoryStoreBlock.load("deleted-later")
    state = collect(source=FileSource(root=tree(tmp_path / "tree")), store=store, return_state=True)
    job_id = str(state.state_details.flow_run_id)
    DirectoryStoreBlock.delete("deleted-later")
    (listed,) = jobs.list_jobs(1, statuses=[JobStatus.SUCCESSFULLY_COMPLETED])
    assert listed.id == job_id
    assert (listed.status, listed.result) == (JobStatus.SUCCESSFULLY_COMPLETED, None)
    (found,) = jobs.list_jobs(store=tmp_path / "store")
    assert found.result is not None
