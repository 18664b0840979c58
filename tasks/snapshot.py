"""The Collections Snapshot on Prefect's Artifacts page."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate
from prefect.context import FlowRunContext
from prefect.logging import get_logger

from prefect_collect.snapshot import JobLine, Snapshot, snapshot_page, take_snapshot

SNAPSHOT_KEY: Final = "collections-snapshot"
"""The artifact's key: each snapshot is a new version of it."""


def publish_snapshot(lines: Iterable[JobLine]) -> Snapshot:
    """Count the jobs, write the counts as a new version of the artifact `SNAPSHOT_KEY`, and return them.

    Works in a flow and in a plain process. An artifact that Prefect does not take is only logged.
    """
    snapshot = take_snapshot(lines)
    page = snapshot_page(snapshot, datetime.now(UTC))
    artifact = ArtifactCreate(
        key=SNAPSHOT_KEY, type="markdown", data=page, description="All jobs, by status and data source",
        flow_run_id=_present_run(),
    )  # fmt: skip
    try:
        with get_client(sync_client=True) as client:
            client.create_artifact(artifact)
    except Exception as error:
        get_logger("prefect_collect").warning("Prefect did not take the Collections Snapshot: %s", error)
    return snapshot


def _present_run() -> UUID | None:
    context = FlowRunContext.get()
    return None if context is None or context.flow_run is None else context.flow_run.id
