"""The record of the jobs that were deleted in Prefect but whose evidence is still in a staging store.

It is one artifact of Prefect, which each look at the staging stores brings up to date: a page for Prefect's UI, and at
its end, as a comment, the same as JSON, which the console and the command line read instead of the stores. (Prefect 3.8
cuts the metadata of artifacts off after 500 characters.)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final, Self
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.objects import Artifact
from prefect.client.schemas.sorting import ArtifactSort
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator
from pydantic.dataclasses import dataclass

from prefect_collect.escaping import markdown, markdown_code
from prefect_collect.job_folder.deleted_jobs import DeletedJob
from prefect_collect.pages.text import bytes_text
from prefect_collect.runs.names import DELETED_JOBS

_BEGIN: Final = "\n<!-- record "
_END: Final = " -->\n"
_SHOWN: Final = 100


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


@dataclass(frozen=True, kw_only=True)
class RecordedJob(DeletedJob):
    """A job of the record.

    `host` is the machine whose directory the staging store is; "" if the store is not a directory. `seen` is when the
    job was first found without a run.
    """

    host: str
    seen: datetime

    @field_validator("job_id")
    @classmethod
    def _is_id(cls, value: str) -> str:
        """Refuse what is no id: whoever may write artifacts in Prefect may change the record."""
        return str(UUID(value))

    @classmethod
    def of(cls, job: DeletedJob, host: str, seen: datetime) -> Self:
        """Return the record of a job."""
        return cls(**{**asdict(job), "host": host, "seen": seen})

    @property
    def place(self) -> tuple[str, str]:
        """The staging store, which for a directory is one of its machine."""
        return self.store, self.host


class StoreLook(_Strict):
    """A look at a staging store: when (UTC), how many seconds it took, and why the store could not be read, if so.

    `block` is the id of the store's block in Prefect, by which it is opened again; None if it needs none.
    """

    store: str
    host: str
    block: UUID | None
    at: datetime
    seconds: float
    problem: str = ""

    @property
    def place(self) -> tuple[str, str]:
        """The staging store, which for a directory is one of its machine."""
        return self.store, self.host


class Record(_Strict):
    """The jobs that were found in all staging stores, and the last look at each store."""

    looks: tuple[StoreLook, ...] = ()
    jobs: tuple[RecordedJob, ...] = ()


def read_record(client: SyncPrefectClient) -> Record:
    """Return the record; an empty one if there is none, or if it cannot be understood."""
    found = _artifact(client)
    return Record() if found is None else record_in(str(found.data))


def record_in(data: str) -> Record:
    """Return the record that the artifact's data holds; an empty one if it cannot be understood."""
    try:
        return Record.model_validate_json(data.rpartition(_BEGIN)[2].removesuffix(_END))
    except ValidationError:
        return Record()


def write_record(client: SyncPrefectClient, record: Record) -> None:
    """Write the record in the place of the last one; if there is none, and nothing to record, write none."""
    found = _artifact(client)
    if found is None and not record.jobs:
        return
    values: dict[str, Any] = {
        "data": f"{_page(record)}{_BEGIN}{_in_comment(record.model_dump_json())}{_END}",
        "description": "Jobs whose run was deleted in Prefect, but not their evidence",
    }
    if found is None or found.id is None:
        client.create_artifact(ArtifactCreate(key=DELETED_JOBS, type="markdown", **values))
    else:
        client.update_artifact(found.id, ArtifactUpdate(**values))


def _artifact(client: SyncPrefectClient) -> Artifact | None:
    only = ArtifactFilter(key=ArtifactFilterKey(any_=[DELETED_JOBS]))
    found = client.read_artifacts(artifact_filter=only, sort=ArtifactSort.CREATED_DESC, limit=1)
    return found[0] if found else None


def _in_comment(document: str) -> str:
    """Return JSON that does not end a comment: angle brackets are in its strings only, and are escaped there."""
    return document.replace("<", "\\u003c").replace(">", "\\u003e")


def _page(record: Record) -> str:
    offered = [one for one in record.jobs if not one.is_kept]
    return "\n".join(
        [
            "# Deleted in Prefect",
            "",
            "The evidence of these jobs is still in their staging stores. Delete or keep it in the console, or by",
            "`prefect-collect delete JOB --store STORE` and `prefect-collect keep JOB --store STORE`.",
            "",
            "| job | kind | name | status | items | size | staging store | run |",
            "| --- | --- | --- | --- | ---: | ---: | --- | --- |",
            *(_row(one) for one in offered[:_SHOWN]),
            *([f"\n… and {len(offered) - _SHOWN:,} more."] if len(offered) > _SHOWN else []),
            "",
            *_looks(record.looks),
        ]
    )


def _row(one: RecordedJob) -> str:
    cells = (
        one.job_id, str(one.kind or ""), markdown(one.name), str(one.status or "unknown"), f"{one.items:,}",
        bytes_text(one.bytes), markdown_code(one.store), markdown(one.problem or one.origin.reason),
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"


def _looks(looks: Iterable[StoreLook]) -> list[str]:
    return [
        f"- {markdown_code(look.store)}: looked at {look.at:%Y-%m-%d %H:%M:%S} UTC. {markdown(look.problem)}".rstrip()
        for look in looks
    ]
