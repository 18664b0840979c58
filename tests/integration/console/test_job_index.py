"""The index of jobs holds what Prefect has, whatever happens between two looks."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from uuid import UUID

from prefect.client.orchestration import get_client

from prefect_collect import FileSource, collect, jobs
from prefect_collect.console.job_index import JobIndex
from prefect_collect.console.job_row import JobRow
from prefect_collect.statuses import JobStatus
from tests.integration.prefect_server import PrefectServer


def _looked(index: JobIndex) -> dict[str, JobRow]:
    index.expire()
    return dict(index.rows())


def test_the_index_follows_prefect(prefect_server: PrefectServer, tmp_path: Path) -> None:
    """After a job was drafted, started, retried, made, or deleted, here or elsewhere, the index is that of a new look
    at all runs; a look that is not due asks nothing.
    """
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "gone").symlink_to("nowhere")
    (tmp_path / "root" / "good").write_text("good")
    source, store = FileSource(root=tmp_path / "root", follow_symlinks=True), tmp_path / "store"
    with prefect_server.used():
        index = JobIndex(clock=count(0.0, 0.01).__next__, patience=60.0)  # all runs are read anew after some 10 looks
        assert _looked(index) == _looked(JobIndex(patience=60.0))
        draft = jobs.draft_collection(source, store=store, custodian="Zoë").id
        row = _looked(index)[draft]
        assert (row.status, row.source, row.is_open) == (JobStatus.DRAFTED, source.name, True)
        jobs.start(draft)
        made = collect(source=source, store=store, return_state=True)
        assert made.state_details.flow_run_id is not None
        other = str(made.state_details.flow_run_id)
        rows = _looked(index)
        assert (rows[draft].status, rows[draft].items) == (JobStatus.PARTIALLY_COMPLETED, 1)
        assert (rows[other].status, rows[other].is_open) == (JobStatus.PARTIALLY_COMPLETED, False)
        assert rows == _looked(JobIndex(patience=60.0))
        assert (rows[draft].custodian, rows[other].custodian) == ("Zoë", "")
        (tmp_path / "root" / "gone").unlink()
        (tmp_path / "root" / "gone").write_text("here")
        jobs.retry(other)
        assert index.rows() == rows  # not due
        rows = _looked(index)
        assert (rows[other].status, rows[other].items) == (JobStatus.SUCCESSFULLY_COMPLETED, 2)
        jobs.delete(other)
        index.expire(other)
        assert other not in index.rows()
        with get_client(sync_client=True) as client:
            client.delete_flow_run(UUID(draft))
        index._anew = 0.0
        assert draft not in _looked(index)
        assert _looked(index) == _looked(JobIndex(patience=60.0))
