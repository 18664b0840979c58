"""Collections and exports through Prefect, and their next steps from Python."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.client.schemas.objects import StateType

from prefect_collect import collect, export, jobs
from prefect_collect.blocks.file_source import FileSource
from prefect_collect.errors import ActionNotAllowed, JobFailed, JobNotFound, PackageExists, UsageError
from prefect_collect.packages import verify
from prefect_collect.statuses import JobStatus, LifecycleStatus, NextStep, TaskStatus
from prefect_collect.stores import DirectoryStore, open_store
from tests.support.capabilities import permissions_hold
from tests.support.run_attempts import attempt, check_account, new_job

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("prefect")]
_COUNTS = ("found", "succeeded", "failed", "skipped", "not_attempted")


def artifacts(job_id: str) -> dict[str, Any]:
    """Return the data of a job's artifacts, by the first word of their keys."""
    only = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[UUID(job_id)]))
    with get_client(sync_client=True) as client:
        return {
            str(artifact.key).partition("-")[0]: artifact.data
            for artifact in client.read_artifacts(artifact_filter=only)
        }


def collected(root: Path, store: str, **options: Any) -> jobs.Job:
    """Return a collection of the tree that has ended."""
    state = collect(source=FileSource(name="files", root=root), store=store, return_state=True, **options)
    return jobs.get(str(state.state_details.flow_run_id))


def staged(root: Path, store: str) -> jobs.Job:
    """Return a collection of the tree that was made without Prefect."""
    source = FileSource(name="files", root=root)
    folder = new_job(open_store(store), source)
    attempt(folder, source)
    return jobs.get(folder.job_id, store)


def test_the_whole_way(root: Path, store: str, tmp_path: Path) -> None:
    """Partially completed, repaired, retried, exported, fetched, verified: each step has its documented state.

    The custodian is the source's, and has a folder of his own for one of the items.
    """
    late = root / "of-Bo" / "late"
    late.parent.mkdir()
    late.write_text("late")
    late.chmod(0)
    source = FileSource(name="files", root=root, custodian="Ann")
    with permissions_hold():
        state = collect(
            source=source, name="the files", store=store, custodian_folder="of-{custodian}",
            custodians=[{"pattern": "1.txt", "custodian": "Cy"}], return_state=True,
        )  # fmt: skip
    assert (state.type, state.name) == (StateType.COMPLETED, "Partially completed")
    assert "5 of 6 items succeeded, 1 failed" in state.message
    job = jobs.get(str(state.state_details.flow_run_id))
    assert (job.status, job.task_status) == (JobStatus.PARTIALLY_COMPLETED, TaskStatus.COMPLETED_WITH_ERRORS)
    assert job.next_steps == (NextStep.PREVIEW, NextStep.EXPORT, NextStep.DELETE, NextStep.RETRY)
    assert (job.name, job.custodian) == ("the files", "Ann")
    assert job.record is not None
    assert job.record.custodians == [{"pattern": "1.txt", "custodian": "Cy"}]
    assert [row["path"] for row in jobs.preview(job.id, 2, store)] == ["0.txt", "1.txt"]
    shown = artifacts(job.id)
    assert shown.keys() - {"collections"} == {"progress", "job", "errors", "report"}
    assert "# the files: Partially completed" in shown["job"]
    assert f"prefect-collect retry {job.id}" in shown["job"]
    assert "| access\\_denied | 1 |" in shown["errors"]
    assert "late" in shown["errors"]
    assert "errors.csv" in shown["report"]

    late.chmod(0o600)
    job = jobs.retry(job.id)
    assert (job.status, job.task_status) == (JobStatus.SUCCESSFULLY_COMPLETED, TaskStatus.COMPLETED)
    assert [result.status for result in job.attempts] == [
        JobStatus.PARTIALLY_COMPLETED,
        JobStatus.SUCCESSFULLY_COMPLETED,
    ]
    assert job.result is not None
    assert job.result.this_attempt.found == 1
    check_account(job.folder)

    state = export(job.id, str(tmp_path / "out"), store=store, return_state=True)
    assert (state.type, state.name) == (StateType.COMPLETED, "Successfully completed")
    exported = jobs.get(str(state.state_details.flow_run_id))
    assert exported.next_steps == (NextStep.DOWNLOAD, NextStep.DELETE)
    home = jobs.download(exported.id, tmp_path / "home", store)
    assert verify(home).valid
    with pytest.raises(PackageExists):
        jobs.download(exported.id, tmp_path / "home", store)
    assert [found.id for found in jobs.list_jobs(2, store)] == [exported.id, job.id]
    assert exported.result is not None
    whose = exported.result.successful.to_arrow().to_pylist()
    assert {row["custodian"] for row in whose if "late" in row["path"]} == {"Bo"}
    assert {row["custodian"] for row in whose if row["path"] == "1.txt"} == {"Cy"}
    assert {row["custodian"] for row in whose if "late" not in row["path"] and row["path"] != "1.txt"} == {"Ann"}
    values = exported.to_json()
    assert values["package"].endswith(".zip")
    assert sum(values[name] for name in _COUNTS[1:]) == values["found"] == 6
    json.dumps(values)


def test_steps_that_are_not_allowed(root: Path, store: str, tmp_path: Path) -> None:
    """A step that the status does not offer raises ActionNotAllowed, which lists the offered steps; nothing changes.

    Waiting for a job that has ended returns it at once.
    """
    job = collected(root, store)
    assert jobs.wait(job.id, timeout=5).status is JobStatus.SUCCESSFULLY_COMPLETED
    for step in (jobs.retry, jobs.start):
        with pytest.raises(ActionNotAllowed, match=r"Preview.*Export.*Delete"):
            step(job.id)
    with pytest.raises(ActionNotAllowed):
        jobs.download(job.id, tmp_path, store)
    assert jobs.get(job.id).status is JobStatus.SUCCESSFULLY_COMPLETED
    for unknown in ("nonsense", "00000000-0000-4000-8000-000000000000"):
        with pytest.raises(JobNotFound):
            jobs.get(unknown)
        with pytest.raises(JobNotFound):
            jobs.preview(unknown, store=store)


def test_a_failed_job(tmp_path: Path, store: str) -> None:
    """A job without a successful item is FAILED `Failed`; its result raises JobFailed, which holds the result."""
    state = collect(source=FileSource(name="gone", root=tmp_path / "gone"), store=store, return_state=True)
    assert (state.type, state.name) == (StateType.FAILED, "Failed")
    with pytest.raises(JobFailed, match="listed") as caught:
        state.result()
    assert caught.value.result.counts.found == 0  # type: ignore[attr-defined]
    job = jobs.get(str(state.state_details.flow_run_id))
    assert job.next_steps == (NextStep.DELETE, NextStep.RETRY)
    with pytest.raises(ActionNotAllowed, match="Retry"):
        jobs.preview(job.id, store=store)
    state = export(job.id, str(tmp_path / "out"), store=store, return_state=True)
    assert (state.name, "Export" in state.message) == ("Failed", True)
    (tmp_path / "gone").mkdir()
    (tmp_path / "gone/a").write_text("a")
    assert jobs.retry(job.id).status is JobStatus.SUCCESSFULLY_COMPLETED


def test_an_inactive_source(root: Path, store: str) -> None:
    """Nothing is started on an inactive source: CANCELLED `Skipped`, with the reason; Start runs it once active."""
    for lifecycle in (LifecycleStatus.SUSPENDED, LifecycleStatus.ARCHIVED):
        source = FileSource(name="sleeping", root=root, lifecycle=lifecycle)
        source.save("sleeping", overwrite=True)
        state = collect(source=source, store=store, return_state=True)
        assert (state.type, state.name) == (StateType.CANCELLED, "Skipped")
        assert lifecycle.value in state.message
    job = jobs.get(str(state.state_details.flow_run_id))
    assert (job.status, job.task_status) == (JobStatus.CANCELED, TaskStatus.SKIPPED)
    assert job.result is None
    with pytest.raises(Exception, match=lifecycle.value):
        state.result()
    source.lifecycle = LifecycleStatus.ACTIVE
    source.save("sleeping", overwrite=True)
    job = jobs.start(job.id)
    assert (job.status, job.result.counts.succeeded) == (JobStatus.SUCCESSFULLY_COMPLETED, 5)  # type: ignore[union-attr]


def test_retry_with_a_report(root: Path, store: str) -> None:
    """A retry with a report retries its rows; an unreadable report is refused before the job changes."""
    for name in ("a", "b"):
        (root / name).write_text(name)
        (root / name).chmod(0)
    with permissions_hold():
        job = collected(root, store)
    for bad in ("/no/such/report.csv", str(root / "0.txt")):
        with pytest.raises(UsageError):
            jobs.retry(job.id, only=bad)
    assert jobs.get(job.id).status is JobStatus.PARTIALLY_COMPLETED
    assert len(jobs.get(job.id).attempts) == 1
    for name in ("a", "b"):
        (root / name).chmod(0o600)
    assert job.result is not None
    rows = Path(job.result.error_report).with_name("errors.csv").read_text("utf-8-sig").splitlines(keepends=True)
    part = root.parent / "part.csv"
    part.write_text("".join(rows[:2]), "utf-8")
    job = jobs.retry(job.id, only=part)
    assert job.result is not None
    assert (job.status, job.result.counts.succeeded) == (JobStatus.PARTIALLY_COMPLETED, 6)
    check_account(job.folder)
    job = jobs.retry(job.id)
    assert job.status is JobStatus.SUCCESSFULLY_COMPLETED
    check_account(job.folder)


@pytest.mark.parametrize(
    ("how", "name"),
    [
        ({"query": {"nonsense": 1}}, "nonsense"),
        ({"store": "ftp://somewhere"}, "ftp"),
        ({"only": "/no/report.csv"}, "only is for a retry"),
    ],
)
def test_wrong_use_ends_in_a_failed_state_that_says_what(
    root: Path, store: str, how: dict[str, Any], name: str
) -> None:
    """Wrong parameters are named in one message, in the state and in the exception."""
    state = collect(source=FileSource(name="files", root=root), return_state=True, **{"store": store, **how})
    assert (state.type, state.name) == (StateType.FAILED, "Failed")
    assert name in state.message
    with pytest.raises(UsageError):
        state.result()


def test_an_export_of_what_is_there_already(root: Path, store: str, tmp_path: Path) -> None:
    """An export never overwrites an existing file with the package's name; its retry takes no report of items."""
    job = staged(root, store)
    (tmp_path / "out").mkdir()
    base = job.record.package_base  # type: ignore[union-attr]
    (tmp_path / f"out/{base}.zip").write_text("mine")
    state = export(job.id, str(tmp_path / "out"), store=store, return_state=True)
    assert state.name == "Failed"
    with pytest.raises(UsageError, match="cannot be limited to a report"):
        jobs.retry(str(state.state_details.flow_run_id), only=job.result.error_report)  # type: ignore[union-attr]
    again = jobs.retry(str(state.state_details.flow_run_id))
    assert again.status is JobStatus.FAILED
    assert (tmp_path / f"out/{base}.zip").read_text() == "mine"
    (tmp_path / f"out/{base}.zip").unlink()
    assert jobs.retry(again.id).status is JobStatus.SUCCESSFULLY_COMPLETED
    assert verify(tmp_path / f"out/{base}.zip").valid


def test_damaged_evidence_is_a_clear_failure(
    root: Path, store: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A damaged file of the job ends an export as Failed with one line that names the file."""
    job = staged(root, store)
    path = Path(DirectoryStore(store).locate(f"{job.id}/manifest/0001.parquet"))
    data = path.read_bytes()
    path.write_bytes(data[:-20])
    with caplog.at_level(logging.WARNING):
        state = export(job.id, str(tmp_path / "out"), store=store, return_state=True)
    assert state.name == "Failed"
    assert "manifest/0001.parquet" in state.message
    assert "Restore it" in state.message
    path.write_bytes(data)
    assert jobs.retry(str(state.state_details.flow_run_id)).status is JobStatus.SUCCESSFULLY_COMPLETED
