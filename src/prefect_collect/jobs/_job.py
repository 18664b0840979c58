"""A job as Prefect and the staging store show it at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, Final

from prefect_collect.errors import CollectError, JobNotFound
from prefect_collect.job_folder import custody_log
from prefect_collect.job_folder.exports_made import ExportMade, exports_of_folder
from prefect_collect.job_folder.folder import JobFolder, JobRecord
from prefect_collect.job_folder.result import TaskResult
from prefect_collect.runs.custodian_label import custodian_of
from prefect_collect.statuses import JobKind, JobStatus, NextStep, TaskStatus, next_steps

_OF_SOURCE: Final = ("allow_private",)
"""The settings that a retry changes in the source, and not in how the job runs."""


@dataclass(frozen=True)
class Job:
    """One collection or export job.

    Attributes:
        id: The flow run's id.
        kind: Collection or export.
        name: The job's name.
        status: The status that the flow run's state stands for; None if it stands for none.
        task_status: The task status of the present attempt; UNKNOWN if Prefect does not know it.
        message: The message of the flow run's state.
        created: When the job was created; of one of a schedule, when it was due; of one that is read from its staging
            store alone, when it was first started.
        place: The job's folder in its staging store; None if the store cannot be opened, as when its block was deleted.
        parameters: The flow run's parameters.
        labels: The flow run's labels.
        abandoned: Whether Prefect has no run of the job, its staging store no end of it, and no process works on it.
        is_deleted_in_prefect: Whether Prefect has no run of the job, which is read from its staging store.
        has_deployment: Whether the job's run has a deployment; else no worker can run the job.
    """

    id: str
    kind: JobKind
    name: str
    status: JobStatus | None
    task_status: TaskStatus
    message: str
    created: datetime | None
    place: JobFolder | None = field(repr=False, compare=False)
    parameters: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)
    labels: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)
    abandoned: bool = False
    is_deleted_in_prefect: bool = False
    has_deployment: bool = True

    @property
    def next_steps(self) -> tuple[NextStep, ...]:
        """The next steps that the specification offers; an abandoned job without a status can be deleted."""
        if self.status is None:
            return (NextStep.DELETE,) if self.abandoned else ()
        return next_steps(self.kind, self.status)

    @property
    def only_by_command(self) -> str:
        """Why the step that would run the job again can be taken only where the job then runs; "" if not, or no step.

        Prefect hands only a run that has a deployment to `serve` or a worker, and gives a run none later.
        """
        steps = [step for step in (NextStep.START, NextStep.RETRY) if step in self.next_steps]
        if self.has_deployment or not steps:
            return ""
        made_by = "collect" if self.kind is JobKind.COLLECTION else "export"
        return (
            f"A command such as `prefect-collect {made_by}` made this job and ran it itself, so Prefect cannot hand it "
            f"to `serve` or a worker. Run `prefect-collect {steps[0].value.lower()} {self.id}` in a terminal, on a "
            "machine that reaches what the job reads and writes."
        )

    @property
    def folder(self) -> JobFolder:
        """The job's folder in its staging store. Raise JobNotFound if the store cannot be opened."""
        if self.place is None:
            raise JobNotFound(
                f"The staging store of the job cannot be opened; name the store it is in. [job={self.id}]"
            )
        return self.place

    @cached_property
    def record(self) -> JobRecord | None:
        """The job's record (kind, name, source, query); None if it has no folder in its staging store yet."""
        try:
            return self.folder.record()
        except JobNotFound:
            return None

    @cached_property
    def retry_settings(self) -> dict[str, Any]:
        """The settings that retries have changed, by name, as the custody log has them; none if it cannot be read."""
        found: dict[str, Any] = {}
        with suppress(CollectError):
            for entry in [] if self.place is None else custody_log.entries(self.place):
                given = entry.details.get("settings") if entry.action == "retry-requested" else None
                found |= given if isinstance(given, Mapping) else {}
        return found

    @property
    def source_settings(self) -> dict[str, Any]:
        """The settings of the source that are not their defaults: of the record, and as retries have changed them."""
        recorded = {} if self.record is None else self.record.source_settings
        return {**recorded, **{name: self.retry_settings[name] for name in _OF_SOURCE if name in self.retry_settings}}

    @property
    def source(self) -> str:
        """The name of the data source."""
        if name := self.labels.get("prefect-collect.source"):
            return str(name)
        return str(self.record.source.get("name", "")) if self.record is not None else ""

    @property
    def location(self) -> str:
        """Where the data source is, without secrets; "" if it is not known."""
        if where := self.labels.get("prefect-collect.location"):
            return str(where)
        return str(self.record.source.get("location", "")) if self.record is not None else ""

    @property
    def expected(self) -> str:
        """What a draft is expected to take, or why that is not known, in a sentence; "" of a job that is no draft."""
        return str(self.labels.get("prefect-collect.expected", "")) if self.status is JobStatus.DRAFTED else ""

    @property
    def custodian(self) -> str:
        """The person or department whose data is collected; "" if it is not known. An export has its collection's."""
        if named := custodian_of(self.parameters, self.labels):
            return named
        return self.record.custodian if not self.labels and self.record is not None else ""

    @cached_property
    def result(self) -> TaskResult | None:
        """The result of the last attempt that ended; None if none has ended."""
        return None if self.place is None else self.place.result()

    @cached_property
    def attempts(self) -> list[TaskResult]:
        """The results of all attempts that ended, in order. They never change."""
        if self.place is None:
            return []
        found = (self.place.result(attempt) for attempt in self.place.closed_attempts())
        return [result for result in found if result is not None]

    @cached_property
    def exports(self) -> list[ExportMade]:
        """The finished exports of a collection; of an export itself alone. Raise StoreError, CorruptPart."""
        if self.place is None:
            return []
        if self.kind is JobKind.COLLECTION:
            return exports_of_folder(self.place, self.attempts)
        collection = self.result.collection if self.result is not None else None
        if collection is None:
            return []
        made = exports_of_folder(self.place.beside(str(collection["job_id"])))
        return [one for one in made if one.job_id == self.id]

    def to_json(self) -> dict[str, Any]:
        """Return the job as a JSON object, as the command line prints it."""
        result = self.result
        values: dict[str, Any] = {
            "job_id": self.id,
            "kind": self.kind.value,
            "name": self.name,
            "source": self.source,
            "custodian": self.custodian or None,
            "status": self.status and self.status.value,
            "task_status": self.task_status.value,
            "next_steps": [step.value for step in self.next_steps],
            "message": self.message,
            "created": self.created and self.created.isoformat(),
            "attempt": result and result.attempt,
        }
        counts = ("found", "succeeded", "failed", "skipped", "not_attempted", "elsewhere", "bytes")
        values |= {name: getattr(result.counts, name) if result else None for name in counts}
        values |= {
            "success_rate": result and result.success_rate,
            "codes": result.codes if result else {},
            "outcomes": result.outcomes if result else {},
            "warnings": [*result.warnings] if result else [],
            "notes": [*result.notes] if result else [],
            "error_report": result and result.error_report,
        }
        if self.kind is JobKind.EXPORT:
            values |= {"package": result and result.package, "fingerprint": result and result.fingerprint}
        return values
