"""Collections that a schedule starts: a schedule of the collection's deployment, with the parameters in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import humanize
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterState,
    FlowRunFilterStateName,
)
from prefect.client.schemas.objects import DeploymentSchedule, FlowRun
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import ObjectNotFound

from prefect_collect.blocks.data_source import DataSource
from prefect_collect.errors import JobNotFound, UsageError
from prefect_collect.flows import collect
from prefect_collect.flows.auto_exports import AutoExport
from prefect_collect.flows.deploying import ensure_deployment
from prefect_collect.flows.stores import store_of
from prefect_collect.job_folder.acting import operator
from prefect_collect.job_folder.long_queries import is_long, save_query
from prefect_collect.jobs._drafting import StoreParameter, checked_collection
from prefect_collect.jobs._prefect_errors import mapped
from prefect_collect.pages.text import counted
from prefect_collect.runs.deployment_lookup import deployments
from prefect_collect.runs.events import emit_source_change
from prefect_collect.runs.names import PLANNED
from prefect_collect.runs.queries import flow_runs
from prefect_collect.sources.query import Query
from prefect_collect.statuses import JobKind
from prefect_collect.stores.addresses import listed

_SHORTEST: Final = timedelta(minutes=1)
_CRON_FIELDS: Final = ("minute", "hour", "day of the month", "month", "day of the week")


@dataclass(frozen=True)
class CollectionSchedule:
    """A schedule that starts collections.

    Attributes:
        id: The schedule's id in Prefect.
        deployment_id: The id of the deployment that it belongs to.
        deployment: The deployment's name.
        timing: When it starts a collection, in words.
        timezone: The zone of those words.
        active: False if it is paused.
        parameters: The parameters of the collections.
        next_start: When the next collection starts; None if it is paused, or if Prefect's server has not planned one
            yet, which takes it some seconds after a change.
    """

    id: UUID
    deployment_id: UUID
    deployment: str
    timing: str
    timezone: str
    active: bool
    parameters: Mapping[str, Any] = field(repr=False, compare=False)
    next_start: datetime | None = field(default=None, compare=False)

    @property
    def source_block(self) -> UUID | None:
        """The id of the document of the source's block; None if the parameters name none."""
        source = self.parameters.get("source")
        reference = source.get("$ref") if isinstance(source, dict) else None
        found = reference.get("block_document_id") if isinstance(reference, dict) else reference
        try:
            return UUID(str(found))
        except ValueError:
            return None


@mapped
def schedule_collection(
    source: DataSource,
    query: Query | dict[str, Any] | None = None,
    name: str | None = None,
    store: StoreParameter = None,
    auto_export: AutoExport | dict[str, Any] | None = None,
    *,
    cron: str | None = None,
    every: timedelta | None = None,
    timezone: str = "UTC",
    **options: Any,
) -> CollectionSchedule:
    """Have a schedule start collections, and return it. `serve`, or a worker of the deployment, runs them.

    Args:
        source: The data source.
        query: The items to collect; by default all.
        name: The jobs' name; by default the source's.
        store: The staging store; by default the configured one.
        auto_export: The export to make of each collection.
        cron: When to start one, as ``0 3 * * 1-5``.
        every: The time between two starts, at least a minute; either this or `cron`.
        timezone: The zone of the cron expression, as ``Europe/Berlin``.
        options: The other parameters of the flow `collect`, such as ``since="last"``.

    Raises:
        UsageError: A parameter, the cron expression or the zone is not valid.
        InvalidQuery: The query is not valid.
        InvalidLocation: The store cannot be opened, or the jobs would write into their own source.
    """
    timing = _timing(cron, every, timezone)
    given = {"source": source, "query": query, "name": name, "auto_export": auto_export, **options}
    parameters = checked_collection(source, given, store)
    wanted = Query.of(parameters.get("query"))
    if is_long(wanted):  # one file for all jobs: a job removes the file of its own query
        parameters["query"] = save_query(store_of(parameters["store"]), wanted)
    with get_client(sync_client=True) as client:
        deployment = ensure_deployment(client, JobKind.COLLECTION)
        sent = collect.serialize_parameters(parameters)
        wanted_schedule = DeploymentScheduleCreate(schedule=timing, active=True, parameters=sent)
        [found] = client.create_deployment_schedules(deployment.id, [wanted_schedule])
        made = _schedule(deployment, found)
    _tell(made, source.name, "made")
    return made


@mapped
def list_schedules() -> list[CollectionSchedule]:
    """Return the schedules of all deployments of collections, those of the preferred deployment first.

    Raises:
        PrefectUnavailable: Prefect's server does not answer.
        PrefectError: Prefect's server refuses the request.
    """
    with get_client(sync_client=True) as client:
        found = [*_schedules(client)]
        starts = _next_starts(client, (one for one in found if one.active))
    return [replace(one, next_start=starts.get(one.id)) for one in found]


@mapped
def set_schedule_active(schedule_id: str | UUID, active: bool) -> None:
    """Pause a schedule, or let it go on. Raise JobNotFound if there is none of that id."""
    with get_client(sync_client=True) as client:
        found = _found(client, schedule_id)
        own = next(one for one in client.read_deployment_schedules(found.deployment_id) if one.id == found.id)
        # Prefect's server (3.8: `DeploymentScheduleUpdate`) drops the parameters if they are not sent with each change.
        client.update_deployment_schedule(found.deployment_id, found.id, active=active, parameters=own.parameters)
    _tell(found, "", "resumed" if active else "paused")


@mapped
def delete_schedule(schedule_id: str | UUID) -> None:
    """Delete a schedule; the jobs that it has started stay. Raise JobNotFound if there is none of that id."""
    with get_client(sync_client=True) as client:
        found = _found(client, schedule_id)
        client.delete_deployment_schedule(found.deployment_id, found.id)
    _tell(found, "", "deleted")


def _tell(schedule: CollectionSchedule, source: str, what: str) -> None:
    """Send the event that a user changed a schedule."""
    name = source or str(schedule.source_block or schedule.deployment)
    emit_source_change(name, operator(), {"schedule": str(schedule.id), "timing": schedule.timing, "was": what})


def _found(client: SyncPrefectClient, schedule_id: str | UUID) -> CollectionSchedule:
    for one in _schedules(client):
        if str(one.id) == str(schedule_id):
            return one
    raise JobNotFound(f"There is no such schedule; it may have been deleted. [schedule={schedule_id}]")


def _schedules(client: SyncPrefectClient) -> Iterator[CollectionSchedule]:
    for deployment in deployments(client, JobKind.COLLECTION):
        try:
            found = client.read_deployment_schedules(deployment.id)
        except ObjectNotFound:  # it was deleted since
            continue
        yield from (_schedule(deployment, one) for one in found)


def _next_starts(client: SyncPrefectClient, schedules: Iterable[CollectionSchedule]) -> dict[UUID, datetime]:
    """Return when the next run starts that Prefect's server has planned by each of the schedules, by their ids."""
    wanted = {one.id: one.deployment_id for one in schedules}
    starts: dict[UUID, datetime] = {}
    for run in _planned(client, [*{*wanted.values()}]) if wanted else ():
        schedule = None if run.created_by is None else run.created_by.id
        if schedule is not None and schedule in wanted and run.next_scheduled_start_time is not None:
            starts.setdefault(schedule, run.next_scheduled_start_time)
        if len(starts) == len(wanted):
            break
    return starts


def _planned(client: SyncPrefectClient, deployment_ids: list[UUID]) -> Iterator[FlowRun]:
    """Yield the runs of the deployments that are planned for later, the next first."""
    only = FlowRunFilter(
        deployment_id=FlowRunFilterDeploymentId(any_=deployment_ids),
        state=FlowRunFilterState(name=FlowRunFilterStateName(any_=[PLANNED])),
    )
    return flow_runs(client, only, sort=FlowRunSort.NEXT_SCHEDULED_START_TIME_ASC)


def _schedule(deployment: DeploymentResponse, one: DeploymentSchedule) -> CollectionSchedule:
    timing: Any = one.schedule
    if isinstance(timing, CronSchedule):
        words = f"cron {timing.cron}"
    elif isinstance(timing, IntervalSchedule):
        words = f"every {humanize.precisedelta(timing.interval)}"
    else:
        words = str(getattr(timing, "rrule", ""))
    active = bool(one.active) and not deployment.paused
    parameters = {**deployment.parameters, **(one.parameters or {})}
    zone = getattr(timing, "timezone", None) or "UTC"
    return CollectionSchedule(one.id, deployment.id, deployment.name, words, zone, active, parameters)


def _timing(cron: str | None, every: timedelta | None, timezone: str) -> CronSchedule | IntervalSchedule:
    if every is not None and every < _SHORTEST:
        raise UsageError(f"A schedule starts a collection each minute at most. [every={every}]")
    try:
        if cron is not None and every is None:
            return CronSchedule(cron=cron.strip(), timezone=timezone)
        if every is not None and cron is None:
            return IntervalSchedule(interval=every, timezone=timezone)
    except ValueError as error:
        if cron is not None and not _is_cron(cron):
            raise UsageError(_wrong_cron(cron)) from error
        raise UsageError(f"The time zone is not known; write one as Europe/Berlin. [timezone={timezone}]") from error
    raise UsageError("A schedule has either a cron expression or a time between two starts. [schedule]")


def _is_cron(text: str) -> bool:
    try:
        CronSchedule(cron=text.strip())
    except ValueError:
        return False
    return True


def _wrong_cron(cron: str) -> str:
    """Return what is wrong with a cron expression: the number of its fields, or the value of one."""
    given = cron.split()
    why = f"it has {counted(len(given), 'field')}, and not five"
    if len(given) == len(_CRON_FIELDS):
        wrong = [
            f"{value!r} is no {name}"
            for at, (name, value) in enumerate(zip(_CRON_FIELDS, given, strict=True))
            if not _is_cron(" ".join(["*"] * at + [value] + ["*"] * (len(given) - at - 1)))
        ]
        why = " and ".join(wrong) or "Prefect does not take it"
    fields = listed(_CRON_FIELDS)
    return f"The cron expression is not valid: {why}. Its fields are {fields}, as in 0 3 * * 1-5. [cron={cron}]"
