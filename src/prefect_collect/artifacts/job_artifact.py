"""A job's page as an artifact of Prefect: one version for each attempt, updated in place until the attempt ends."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.objects import Artifact
from prefect.client.schemas.sorting import ArtifactSort
from prefect.exceptions import ObjectNotFound

_ENDED: Final = "prefect-collect.ended"
"""The key in the artifact's metadata for whether its attempt has ended, so that the page no longer changes."""


def create(job_id: str, key: str, kind: str, data: str, description: str) -> UUID:
    """Create an artifact of a job's run, from within any run or process, and return its id.

    Args:
        job_id: The job's id.
        key: The artifact's key.
        kind: The artifact's type in Prefect, as ``markdown``.
        data: Its content.
        description: Its description.
    """
    artifact = ArtifactCreate(key=key, type=kind, data=data, description=description, flow_run_id=UUID(job_id))
    with get_client(sync_client=True) as client:
        return client.create_artifact(artifact).id


class JobArtifact:
    """The artifact ``job-<id>``, which any process may update; an attempt that has ended keeps its version."""

    def __init__(self, job_id: str) -> None:
        self._job_id = job_id
        self._artifact: UUID | None = None

    def show(self, page: str, description: str, *, ended: bool = False) -> UUID:
        """Create or update the artifact, and return its id; `ended` closes the version.

        Errors of Prefect's client pass through.
        """
        metadata = {_ENDED: "yes" if ended else "no"}
        with get_client(sync_client=True) as client:
            artifact = self._artifact or _open_page(client, self._key)
            if artifact is None or not _updated(client, artifact, page, description, metadata):
                made = ArtifactCreate(
                    key=self._key, type="markdown", data=page, description=description, metadata_=metadata,
                    flow_run_id=UUID(self._job_id),
                )  # fmt: skip
                artifact = client.create_artifact(made).id
        self._artifact = None if ended else artifact
        return artifact

    @property
    def _key(self) -> str:
        return f"job-{self._job_id}"


def is_of_ended(job_id: str) -> bool:
    """Return whether the job's newest page is that of an attempt that has ended."""
    with get_client(sync_client=True) as client:
        newest = _newest(client, f"job-{job_id}")
    return newest is not None and (newest.metadata_ or {}).get(_ENDED) == "yes"


def _open_page(client: SyncPrefectClient, key: str) -> UUID | None:
    """Return the newest version's id; None if there is none, or its attempt has ended."""
    newest = _newest(client, key)
    return newest.id if newest is not None and (newest.metadata_ or {}).get(_ENDED) == "no" else None


def _newest(client: SyncPrefectClient, key: str) -> Artifact | None:
    only = ArtifactFilter(key=ArtifactFilterKey(any_=[key]))
    found = client.read_artifacts(artifact_filter=only, sort=ArtifactSort.CREATED_DESC, limit=1)
    return next(iter(found), None)


def _updated(client: SyncPrefectClient, artifact: UUID, page: str, description: str, metadata: dict[str, str]) -> bool:
    """Update the artifact in place; return False if a user has deleted it."""
    try:
        client.update_artifact(artifact, ArtifactUpdate(data=page, description=description, metadata_=metadata))
    except ObjectNotFound:
        return False
    return True
