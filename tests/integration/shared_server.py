"""The runs on the Prefect server that tests share: a test looks for its own ones, and leaves none that others meet.

A run that waits for a later time comes before all newer ones in lists of jobs, and one without an end is looked at by
each job that starts.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterTags

from prefect_collect.runs.job_runs import read_job_runs
from prefect_collect.runs.queries import flow_runs


def job_ids() -> set[str]:
    """Return the ids of all jobs in Prefect, without those that a schedule has planned."""
    return read_job_runs(lambda runs: {str(run.id) for run in runs.newest(None)})


@contextmanager
def no_new_jobs() -> Iterator[None]:
    """Assert that no job is made in Prefect within this context."""
    before = job_ids()
    yield
    assert job_ids() - before == set()


def delete_runs(client: SyncPrefectClient, tag: str) -> None:
    """Delete the runs that have this tag."""
    for run in [*flow_runs(client, FlowRunFilter(tags=FlowRunFilterTags(all_=[tag])))]:
        client.delete_flow_run(run.id)


@contextmanager
def deleted_afterwards(tag: str) -> Iterator[SyncPrefectClient]:
    """Yield a client of the server; the runs that have this tag are deleted in the end."""
    with get_client(sync_client=True) as client:
        try:
            yield client
        finally:
            delete_runs(client, tag)
