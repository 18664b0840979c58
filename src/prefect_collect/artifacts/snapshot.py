"""The Collections Snapshot as an artifact of Prefect."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import Final
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import ArtifactCreate
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.sorting import ArtifactSort
from prefect.context import FlowRunContext
from prefect.logging import get_logger

from prefect_collect.escaping import one_line
from prefect_collect.pages.snapshot import counts_of_page, snapshot_page, take_snapshot
from prefect_collect.runs.result_labels import all_runs, job_lines

SNAPSHOT_KEY: Final = "collections-snapshot"
"""The artifact's key: each snapshot is a new version of it."""


LONGEST_AT_AN_END: Final = 2.0
"""Seconds that a job may spend at its end on the snapshot of all jobs."""

_REST: Final = 50.0
"""How many times as long as the last count took jobs wait with the next one, so that it takes 2 % of the time."""

_TOOK: Final = "prefect-collect.seconds"

_rests: dict[str, float] = {}
"""Until when, by `monotonic`, this process does not ask for a newer snapshot at the end of a job, on each server."""


def refresh_snapshot(at_most_every: float = 0.0) -> None:
    """Count all jobs in Prefect, and publish the counts if they differ from the last snapshot. Never raise.

    It reads 200 flow runs at a time (about 1 s for 1,000 jobs) and no store.

    Args:
        at_most_every: Seconds. Do nothing if the last snapshot is younger, or than 50 times as long as it took to
            count, so that of many jobs that end together not every one counts all; or if that took longer than
            `LONGEST_AT_AN_END`. With 0, as the recovery flow calls it, always count.
    """
    try:
        with get_client(sync_client=True) as client:
            server = str(client.api_url)
            if at_most_every and monotonic() < _rests.get(server, 0.0):
                return
            last = _last(client)
            rest = max(at_most_every, _REST * (0.0 if last is None else last.took))
            if last is not None and at_most_every and (last.age < rest or last.took > LONGEST_AT_AN_END):
                _rests[server] = monotonic() + min(at_most_every, rest - last.age)
                return
            began = monotonic()
            snapshot = take_snapshot(job_lines(all_runs(client)))
            took = monotonic() - began
            _rests[server] = monotonic() + max(at_most_every, _REST * took)
            page = snapshot_page(snapshot, datetime.now(UTC))
            if last is None or counts_of_page(page) != counts_of_page(last.page):
                _publish(client, page, took)
    except Exception as error:
        _warn(error)


@dataclass(frozen=True, slots=True)
class _Last:
    """The last published snapshot: its page, its age and the time that counting took, in seconds."""

    page: str
    age: float
    took: float


def _last(client: SyncPrefectClient) -> _Last | None:
    only = ArtifactFilter(key=ArtifactFilterKey(any_=[SNAPSHOT_KEY]))
    found = client.read_artifacts(artifact_filter=only, sort=ArtifactSort.CREATED_DESC, limit=1)
    if not found:
        return None
    created = found[0].created
    age = 0.0 if created is None else (datetime.now(UTC) - created).total_seconds()
    return _Last(str(found[0].data), age, float((found[0].metadata_ or {}).get(_TOOK, 0)))


def _publish(client: SyncPrefectClient, page: str, took: float) -> None:
    client.create_artifact(
        ArtifactCreate(
            key=SNAPSHOT_KEY,
            type="markdown",
            data=page,
            description="All jobs, by status and data source",
            metadata_={_TOOK: f"{took:.3f}"},
            flow_run_id=_present_run(),
        )
    )


def _present_run() -> UUID | None:
    context = FlowRunContext.get()
    return None if context is None or context.flow_run is None else context.flow_run.id


def _warn(error: Exception) -> None:
    get_logger("prefect_collect").warning("The Collections Snapshot could not be updated: %s", one_line(str(error)))
