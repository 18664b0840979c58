"""One row of the table of jobs: what a run of Prefect says of its job, without the staging store."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from prefect.client.schemas.objects import FlowRun

from prefect_collect.runs.custodian_label import custodian_of
from prefect_collect.runs.labels import QUEUED, SOURCE, label_of
from prefect_collect.runs.queries import status_of
from prefect_collect.runs.result_labels import job_line, success_rate
from prefect_collect.runs.scheduled import created_at, name_of
from prefect_collect.runs.source_queue import SourceQueue
from prefect_collect.statuses import JobKind, JobStatus, NextStep, next_steps


@dataclass(frozen=True, slots=True)
class JobRow:
    """A job in the table.

    Attributes:
        id: The job's id.
        kind: Collection or export.
        name: The job's name.
        source: The name of its data source; "" if it is not known yet.
        status: Its status; None if the run's state stands for none.
        message: The message of the run's state.
        created: When the job was created; of one of a schedule, when it was due.
        started: When its first attempt started; None if none has.
        ended: When its last attempt ended; None if it has not ended.
        items: The number of items that it holds or has delivered: so far if it is in progress, else after its last
            attempt.
        bytes: Their bytes.
        queued: When it was queued, as ISO 8601 text; "" if it is not queued.
        queue: The name of its queue; "" if it has joined none.
        rate: The success rate of its last attempt, in percent; None if it is not known.
        custodian: The person or department whose data it collects; "" if it is not known.
        progress: The part of its items that is done, in percent; None if it is not in progress.
    """

    id: str
    kind: JobKind
    name: str
    source: str
    status: JobStatus | None
    message: str
    created: datetime | None
    started: datetime | None
    ended: datetime | None
    items: int
    bytes: int
    queued: str
    queue: str
    rate: float | None = None
    custodian: str = ""
    progress: float | None = None

    @property
    def next_steps(self) -> tuple[NextStep, ...]:
        """The steps that the job's status offers."""
        return () if self.status is None else next_steps(self.kind, self.status)

    @property
    def is_counted(self) -> bool:
        """False in the moments in which the job is in progress and has not shown any progress."""
        return self.status is not JobStatus.IN_PROGRESS or self.progress is not None

    @property
    def is_open(self) -> bool:
        """True if the job has not ended."""
        return self.status is None or not self.status.is_terminal


def row_of(run: FlowRun, kind: JobKind) -> JobRow:
    """Return the row of a job's run."""
    line = job_line(run, kind)
    queue = SourceQueue.of(run)
    state: Any = run.state
    return JobRow(
        id=str(run.id),
        kind=kind,
        name=name_of(run.name, run.parameters, state and state.type.value, by_schedule=run.auto_scheduled),
        source=label_of(run, SOURCE),
        status=status_of(kind, run),
        message=(state and state.message) or "",
        created=created_at(run.created, run.expected_start_time, by_schedule=run.auto_scheduled),
        started=run.start_time,
        ended=run.end_time,
        items=line.items,
        bytes=line.bytes,
        queued=label_of(run, QUEUED),
        queue="" if queue is None else queue.name,
        rate=success_rate(run),
        custodian=custodian_of(run.parameters, run.labels),
    )
