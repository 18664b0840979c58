"""Read the runs of jobs from Prefect's server, for lists and looks: without importing Prefect, where that is possible.

The requests are those of Prefect's REST API (3.8). They are sent by `plain_server` or by Prefect's client.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar
from uuid import UUID

from prefect_collect.runs import prefect_settings
from prefect_collect.runs.imports import importing
from prefect_collect.runs.names import KIND_OF_FLOW, PLANNED, flow_names
from prefect_collect.runs.paging import PAGE, paged
from prefect_collect.runs.plain_server import AskPrefect, Misunderstood, connected
from prefect_collect.runs.scheduled import created_at, name_of
from prefect_collect.runs.server_clock import server_now
from prefect_collect.statuses import JobKind

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

T = TypeVar("T")

KINDS: Final[dict[UUID, JobKind | None]] = {}
"""The kind of job by flow id. The id is unique among all servers, and Prefect does not rename flows."""

_MISSING: Final = 404


class Ask(Protocol):
    """Sends a request to Prefect's server and returns its answer from JSON; None if what a GET names is not there."""

    def __call__(self, method: str, path: str, body: object = None) -> Any:
        """Send the request; the body is sent as JSON."""


@dataclass(frozen=True)
class JobRun:
    """A flow run, with what lists and looks need of it.

    Attributes:
        id: The run's id, which is the job's.
        flow_id: The id of its flow.
        name: Its name; of one that a schedule made, the one that it gets when it starts, if its parameters state it.
        created: When it was created; of one that a schedule made, when it was due.
        state_type: The type of its state; None if it has no state.
        state_name: The name of its state; None if it has no state.
        message: The message of its state; "" if there is none.
        parameters: Its parameters, with blocks by reference.
        labels: Its labels.
        has_deployment: Whether it belongs to a deployment, so that Prefect can schedule it again.
    """

    id: UUID
    flow_id: UUID
    name: str
    created: datetime | None
    state_type: str | None
    state_name: str | None
    message: str
    parameters: dict[str, Any]
    labels: dict[str, Any]
    has_deployment: bool


class JobRuns:
    """The runs of jobs on one server; made by `read_job_runs`."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def run(self, run_id: UUID) -> JobRun | None:
        """Return the run of that id; None if there is none."""
        answer = self._ask("GET", f"/flow_runs/{run_id}")
        return None if answer is None else _run(answer)

    def flow_name(self, flow_id: UUID) -> str:
        """Return the name of a flow; "" if there is none."""
        answer = self._ask("GET", f"/flows/{flow_id}")
        return "" if answer is None else _text(answer, "name")

    def kind_of(self, flow_id: UUID) -> JobKind | None:
        """Return the kind of job that the flow's runs are; None if they are no jobs of this package."""
        if flow_id not in KINDS:
            KINDS[flow_id] = KIND_OF_FLOW.get(self.flow_name(flow_id))
        return KINDS[flow_id]

    def kinds(self) -> dict[UUID, JobKind]:
        """Return the kind of job of each flow, by the flow's id."""
        answers = self._ask("POST", "/flows/filter", {"flows": _flows()})
        return {flow: KIND_OF_FLOW[name] for flow, name in _read(answers, lambda one: (UUID(one["id"]), one["name"]))}

    def newest(self, kind: JobKind | None) -> Iterator[JobRun]:
        """Yield the runs that are jobs, without those that are only planned, the one that was due last first."""
        unplanned = {
            "operator": "or_",
            "state": {"name": {"not_any_": [PLANNED]}},
            "expected_start_time": {"before_": server_now().isoformat()},
        }
        wanted = {"flows": _flows(kind), "flow_runs": unplanned, "sort": "EXPECTED_START_TIME_DESC"}
        return paged(lambda limit, offset: self._runs({**wanted, "limit": limit, "offset": offset}))

    def of_ids(self, names: Iterable[str]) -> dict[str, JobRun]:
        """Return the runs that have these ids, at most `PAGE`, by their ids; an id may be one of no run, or no UUID."""
        asked = run_ids(names)
        if not asked:
            return {}
        found = self._runs({"flow_runs": {"id": {"any_": [*map(str, asked.values())]}}, "limit": PAGE})
        by_id = {run.id: run for run in found}
        return {name: by_id[run_id] for name, run_id in asked.items() if run_id in by_id}

    def artifact(self, key: str) -> str | None:
        """Return the data of the newest artifact of that key; None if there is none."""
        wanted = {"artifacts": {"key": {"any_": [key]}}, "sort": "CREATED_DESC", "limit": 1}
        found = _read(self._ask("POST", "/artifacts/filter", wanted), lambda one: str(one["data"]))
        return found[0] if found else None

    def _runs(self, wanted: dict[str, Any]) -> list[JobRun]:
        return _read(self._ask("POST", "/flow_runs/filter", wanted), _run)


def read_job_runs(read: Callable[[JobRuns], T]) -> T:
    """Return what `read` returns for the configured server's runs; it may be called again, by Prefect's client.

    Raise what Prefect's client raises, and PrefectError if what answers is not a Prefect server.
    """
    plain = prefect_settings.known_without_prefect()
    if plain is not None and plain.server is not None:
        try:
            with connected(plain.server) as server:
                return read(JobRuns(server.ask))
        except (AskPrefect, Misunderstood):
            pass
    with importing():
        from prefect.client.orchestration import get_client

        from prefect_collect.runs.refusals import not_prefect
    with get_client(sync_client=True) as client:
        try:
            return read(JobRuns(asking_prefect(client)))
        except Misunderstood as error:
            raise not_prefect() from error


def asking_prefect(client: SyncPrefectClient) -> Ask:
    """Return the function that asks by Prefect's client."""
    import httpx

    def ask(method: str, path: str, body: object = None) -> Any:
        try:
            answer = client._client.request(method, path, json=body)
        except httpx.HTTPStatusError as error:
            if error.response.status_code == _MISSING and method == "GET":
                return None
            raise
        try:
            return answer.json()
        except ValueError as error:
            raise Misunderstood(str(error)) from error

    return ask


def run_ids(names: Iterable[str]) -> dict[str, UUID]:
    """Return the run id that each of the names is; a name that is no UUID is left out."""
    return {name: run_id for name in names if (run_id := _uuid(name)) is not None}


def _flows(kind: JobKind | None = None) -> dict[str, Any]:
    """Return the filter for the flows whose runs are jobs, or jobs of that kind."""
    return {"name": {"any_": flow_names(kind)}}


def _read(answers: Any, of: Callable[[Any], T]) -> list[T]:
    """Return what `of` makes of each object of an answer. Raise Misunderstood if it is no list of such objects."""
    try:
        return [of(one) for one in answers]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Misunderstood(str(error)) from error


def _run(answer: Any) -> JobRun:
    try:
        state, parameters = answer["state"] or {}, answer["parameters"] or {}
        by_schedule = answer.get("auto_scheduled") is True
        return JobRun(
            id=UUID(answer["id"]),
            flow_id=UUID(answer["flow_id"]),
            name=name_of(answer["name"], parameters, state.get("type"), by_schedule=by_schedule),
            created=created_at(
                _time(answer["created"]), _time(answer.get("expected_start_time")), by_schedule=by_schedule
            ),
            state_type=state.get("type"),
            state_name=state.get("name"),
            message=state.get("message") or "",
            parameters=parameters,
            labels=answer["labels"] or {},
            has_deployment=answer["deployment_id"] is not None,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Misunderstood(str(error)) from error


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _text(answer: Any, name: str) -> str:
    [text] = _read([answer], lambda one: str(one[name]))
    return text


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
