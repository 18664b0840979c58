"""A job's page as an artifact of Prefect: one version for each attempt, updated in place until the attempt ends."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final, Literal
from uuid import UUID

from httpx import Response
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.objects import Artifact
from prefect.client.schemas.sorting import ArtifactSort
from prefect.exceptions import ObjectNotFound

from prefect_collect.runs.server import asking

_ENDED: Final = "prefect-collect.ended"
"""The key in the artifact's metadata for whether its attempt has ended, so that the page no longer changes."""

ITEMS: Final = "prefect-collect.items"
"""The key in a progress artifact's metadata for the number of items that the job holds, or has delivered, so far."""

BYTES: Final = "prefect-collect.bytes"
"""The key for their bytes."""


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


class ProgressArtifact:
    """The artifact ``progress-<id>`` of an attempt: made when it is first shown, then updated in place.

    An update that is not answered within `patience` seconds is given up, and not repeated.
    """

    def __init__(self, job_id: str, patience: float) -> None:
        self._job_id, self._patience = job_id, patience
        self._artifact: UUID | None = None

    def show(self, percent: float, text: str, *, items: int, size: int) -> None:
        """Show so many percent, and a text of one line. Errors of Prefect's client pass through.

        Args:
            percent: The part of the attempt's items that is done.
            text: The progress in words.
            items: The items that the job holds, or has delivered, so far.
            size: Their bytes.
        """
        counts = {ITEMS: str(items), BYTES: str(size)}
        if self._artifact is None:
            made = ArtifactCreate(
                key=f"progress-{self._job_id}", type="progress", data=percent, description=text,
                metadata_=counts, flow_run_id=UUID(self._job_id),
            )  # fmt: skip
            self._artifact = UUID(self._asked("POST", "/artifacts/", made).json()["id"])
        else:
            shown = ArtifactUpdate(data=percent, description=text, metadata_=counts)
            self._asked("PATCH", f"/artifacts/{self._artifact}", shown)

    def _asked(self, method: Literal["POST", "PATCH"], path: str, body: ArtifactCreate | ArtifactUpdate) -> Response:
        document = body.model_dump(mode="json", exclude_unset=True)
        with get_client(sync_client=True) as client:
            answer = asking(method, path, document)(client._client, self._patience)
            if answer.status_code == HTTPStatus.FORBIDDEN:  # the server wants a token, which Prefect's client gets
                request: Any = client.request
                answer = request(method, path, json=document)
        answer.raise_for_status()
        return answer


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
