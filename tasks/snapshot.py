"""The Collections Snapshot on Prefect's Artifacts page."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import ArtifactCreate
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.sorting import ArtifactSort
from prefect.context import FlowRunContext
from prefect.logging import get_logger

from prefect_collect.runs._lines import all_runs, lines_from_runs
from prefect_collect.snapshot import JobLine, Snapshot, counts_of_page, snapshot_page, take_snapshot

SNAPSHOT_KEY: Final = "collections-snapshot"
"""The artifact's key: each snapshot is a new version of it."""


def refresh_snapshot(at_most_every: float = 0.0) -> None:
    """Count all jobs that Prefect has, and publish the counts if they are not those published last. Never raises.

    Reads a page of 200 flow runs at a time, and no store. Nothing is done if the last snapshot is younger than
    `at_most_every` seconds, so that many jobs that end together do not each count all.
    """
    try:
        with get_client(sync_client=True) as client:
            taken, counts = _last(client)
            if taken is not None and datetime.now(UTC) - taken < timedelta(seconds=at_most_every):
                return
            snapshot = take_snapshot(lines_from_runs(all_runs(client)))
            page = snapshot_page(snapshot, datetime.now(UTC))
            if counts_of_page(page) != counts:
                _publish(client, page)
    except Exception as error:
        _warn(error)


def publish_snapshot(lines: Iterable[JobLine]) -> Snapshot:
    """Count the jobs, write the counts as a new version of the artifact `SNAPSHOT_KEY`, and return them.

    Works in a flow and in a plain process. An artifact that Prefect does not take is only logged.
    """
    snapshot = take_snapshot(lines)
    try:
        with get_client(sync_client=True) as client:
            _publish(client, snapshot_page(snapshot, datetime.now(UTC)))
    except Exception as error:
        _warn(error)
    return snapshot


def _publish(client: SyncPrefectClient, page: str) -> None:
    description = "All jobs, by status and data source"
    client.create_artifact(
        ArtifactCreate(
            key=SNAPSHOT_KEY, type="markdown", data=page, description=description, flow_run_id=_present_run()
        )
    )


def _last(client: SyncPrefectClient) -> tuple[datetime | None, str]:
    """When the last snapshot was published, and its counts."""
    only = ArtifactFilter(key=ArtifactFilterKey(any_=[SNAPSHOT_KEY]))
    found = client.read_artifacts(artifact_filter=only, sort=ArtifactSort.CREATED_DESC, limit=1)
    return (found[0].created, counts_of_page(str(found[0].data))) if found else (None, "")


def _present_run() -> UUID | None:
    context = FlowRunContext.get()
    return None if context is None or context.flow_run is None else context.flow_run.id


def _warn(error: Exception) -> None:
    get_logger("prefect_collect").warning("There is no new Collections Snapshot: %s", error)
