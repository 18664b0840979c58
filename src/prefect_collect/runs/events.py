"""The events that jobs send to Prefect: one for each change of status, with the job as the resource.

Prefect also sends events for the flow run's states (``prefect.flow-run.Partially completed``). The events of this
module name the job, its data source, its counts and its report, so that a notification can say what happened to what.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID, uuid5

from prefect.logging import get_logger

from prefect_collect.escaping import one_line
from prefect_collect.job_folder.result import TaskResult
from prefect_collect.statuses import JobKind, JobStatus, SnapshotGroup, TaskStatus, job_statuses, snapshot_group

RESOURCE: Final = "prefect-collect.job"
"""A job's resource in Prefect's event feed is ``prefect-collect.job.<job id>``."""

SKIPPED: Final = TaskStatus.SKIPPED
"""The status to pass to `emit_status` for a job that was skipped on purpose; the job's status is then Canceled."""

_LONGEST_MESSAGE: Final = 4000
"""Characters: Prefect takes events of up to 1.5 MB by default, and automations put the message into notifications."""


SOURCE_CHANGED: Final = "prefect-collect.source.changed"
"""The event that a user changed a data source's lifecycle, limit or schedule."""

SOURCE_RESOURCE: Final = "prefect-collect.source"
"""A data source's resource in Prefect's event feed is ``prefect-collect.source.<name>``."""


def _slug(word: str) -> str:
    return word.lower().replace(" ", "-")


def _table() -> dict[tuple[JobKind, JobStatus | TaskStatus], str]:
    names: dict[tuple[JobKind, JobStatus | TaskStatus], str] = {}
    for kind in JobKind:
        statuses: list[JobStatus | TaskStatus] = [*job_statuses(kind), SKIPPED]
        names |= {(kind, status): f"prefect-collect.{kind.value}.{_slug(status.value)}" for status in statuses}
    return names


EVENTS: Final[Mapping[tuple[JobKind, JobStatus | TaskStatus], str]] = MappingProxyType(_table())
"""The event's name for each status of both kinds of job, and for a job that was skipped on purpose."""


def emit_status(
    kind: JobKind,
    status: JobStatus | TaskStatus,
    *,
    job_id: str,
    name: str,
    source: str = "",
    message: str = "",
    result: TaskResult | None = None,
    deployment_id: UUID | str | None = None,
    occasion: UUID | None = None,
) -> None:
    """Send the event of a job's new status to Prefect.

    Never raises: an event that cannot be sent is logged. It can be called in a flow, in a thread of a flow, and in a
    plain process; a thread of Prefect sends the event.

    Args:
        kind: Collection or export.
        status: A status of that kind of job, or `SKIPPED`.
        job_id: The flow run's id.
        name: The job's name.
        source: The data source's name.
        message: The message of the flow run's state.
        result: The result of a job that has ended; its counts, codes, success rate and report go into the payload.
        deployment_id: The flow run's deployment. Needed outside the run only: Prefect adds it to a flow's own events.
        occasion: The id of the state that the job leaves, if several processes may publish the same change. Their
            events then have the same id, and Prefect keeps the first.
    """
    try:
        _emit(EVENTS[kind, status], _resource(kind, status, job_id, name, source), _payload(message, result),
              _related(job_id, deployment_id), occasion)  # fmt: skip
    except Exception as error:
        get_logger("prefect_collect").warning("An event was lost: %s %s. [job=%s]", kind, status, job_id)
        get_logger("prefect_collect").debug("Why the event was lost", exc_info=error)


def emit_source_change(source: str, who: str, changed: Mapping[str, Any]) -> None:
    """Send the event that a user changed a data source. Never raises: an event that cannot be sent is logged.

    Args:
        source: The source's name.
        who: The user.
        changed: The names of what was changed, with the new values, as JSON can hold them.
    """
    name = one_line(source)
    resource = {"prefect.resource.id": f"{SOURCE_RESOURCE}.{name}", "prefect.resource.name": name}
    try:
        _emit(SOURCE_CHANGED, resource, {"by": one_line(who), **changed}, [], None)
    except Exception as error:
        get_logger("prefect_collect").warning("An event was lost: %s. [source=%s]", SOURCE_CHANGED, name)
        get_logger("prefect_collect").debug("Why the event was lost", exc_info=error)


def _emit(
    event: str,
    resource: dict[str, str],
    payload: dict[str, Any],
    related: list[dict[str, str]],
    occasion: UUID | None,
) -> None:
    from prefect.events import emit_event

    event_id = None if occasion is None else uuid5(occasion, event)
    if emit_event(event=event, resource=resource, related=related, payload=payload, id=event_id) is None:
        raise RuntimeError("Prefect did not accept the event")


def _resource(kind: JobKind, status: JobStatus | TaskStatus, job_id: str, name: str, source: str) -> dict[str, str]:
    job_status = JobStatus.CANCELED if status is SKIPPED else JobStatus(status)
    group: SnapshotGroup = snapshot_group(job_status)
    return {
        "prefect.resource.id": f"{RESOURCE}.{job_id}",
        "prefect.resource.name": one_line(name),
        "prefect-collect.kind": kind.value,
        "prefect-collect.status": job_status.value,
        "prefect-collect.snapshot-group": group.value,
        "prefect-collect.source": one_line(source),
    }


def _related(job_id: str, deployment_id: UUID | str | None) -> list[dict[str, str]]:
    related = [{"prefect.resource.id": f"prefect.flow-run.{job_id}", "prefect.resource.role": "flow-run"}]
    if deployment_id is not None:
        deployment = {"prefect.resource.id": f"prefect.deployment.{deployment_id}"}
        related.append({**deployment, "prefect.resource.role": "deployment"})
    return related


def _payload(message: str, result: TaskResult | None) -> dict[str, Any]:
    payload: dict[str, Any] = {"message": one_line(message)[:_LONGEST_MESSAGE]}
    if result is not None:
        payload |= {
            "task_status": result.task_status.value,
            "attempt": result.attempt,
            "counts": asdict(result.counts),
            "success_rate": round(result.success_rate, 2),
            "codes": dict(result.codes),
            "report": one_line(result.error_report),
            "package": result.package and one_line(result.package),
        }
    return payload
