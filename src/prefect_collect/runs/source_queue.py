"""The queue of one data source: the jobs that hold its slots, and those that wait, in order.

The slots are those of a global concurrency limit in Prefect with the queue's name. A slot is taken with a lease, so
that it becomes free when the job's process is lost. Prefect lets waiters of a limit through in any order; the order is
kept here, by the time on the server's clock at which the job was queued.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType, FlowRunFilterTags
from prefect.client.schemas.objects import ConcurrencyLeaseHolder, FlowRun, StateType
from prefect.client.schemas.responses import GlobalConcurrencyLimitResponse
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

from prefect_collect.escaping import one_line
from prefect_collect.runs.deployment_lookup import deployment_of, is_served
from prefect_collect.runs.labels import LEASE, QUEUED, label_of
from prefect_collect.runs.lease import LEASE_SECONDS, is_fresh
from prefect_collect.runs.queries import OPEN, flow_runs
from prefect_collect.runs.requests import sent
from prefect_collect.runs.server_clock import server_now, set_clock
from prefect_collect.runs.states import is_claimed
from prefect_collect.statuses import JobKind, JobStatus

_CONFLICT: Final = 409

_OVERDUE: Final = timedelta(seconds=60)
_NOT_BEGUN: Final = (str(JobStatus.DRAFTED), str(JobStatus.AWAITING_COLLECTION))
_SILENT: Final = timedelta(minutes=10)
"""A job that holds a slot, gave no sign of life for this time, and could not be settled, no longer blocks the queue."""


@dataclass(frozen=True)
class QueueState:
    """The state of a queue: its slots, the runs that hold one, and the runs that wait, in order.

    Attributes:
        limit: The number of slots.
        free: The number of free slots: those that the server counts as free and that no run's label names. None if a
            user has deactivated the limit in Prefect.
        lapsed: Whether a run's label names a slot that the server does not count any more, because the run's process
            gave no sign of life for the time of a lease.
        unheld: How many slots the server counts as taken that no unfinished run's label names.
        holding: The runs that hold a slot.
        waiting: The runs that wait for a slot, the first in the queue first.
    """

    limit: int
    free: int | None
    lapsed: bool
    unheld: int
    holding: tuple[FlowRun, ...]
    waiting: tuple[FlowRun, ...]

    def before(self, run_id: UUID) -> int:
        """Return how many runs wait before that run."""
        return next((n for n, run in enumerate(self.waiting) if run.id == run_id), len(self.waiting))

    def may_start(self, run_id: UUID) -> bool:
        """Return whether it is that run's turn."""
        return any(run.id == run_id for run in self.next_ones())

    def next_ones(self) -> tuple[FlowRun, ...]:
        """Return the runs whose turn it is."""
        return self.waiting if self.free is None else self.waiting[: self.free]


@dataclass(frozen=True)
class _Limit:
    """What a queue needs of its concurrency limit in Prefect."""

    limit: int
    active: bool
    active_slots: int

    @classmethod
    def of(cls, limit: GlobalConcurrencyLimitResponse) -> _Limit:
        return cls(limit.limit, limit.active, limit.active_slots)


@dataclass(frozen=True)
class SourceQueue:
    """The queue of the jobs of one kind on one data source."""

    kind: JobKind
    source: str

    @property
    def name(self) -> str:
        """The name of the queue's concurrency limit, and the tag of its runs.

        Prefect allows no "/" in the name of a limit (3.8: `prefect.types.names`).
        """
        return f"{self.kind.value}:{one_line(self.source)}"

    @classmethod
    def named(cls, name: str) -> SourceQueue | None:
        """Return the queue of that name; None if it is no name of a queue."""
        kind, separator, source = name.partition(":")
        known = separator and source and kind in [one.value for one in JobKind]
        return cls(JobKind(kind), source) if known else None

    def read(self, client: SyncPrefectClient) -> QueueState:
        """Return the present state of the queue; create its limit if there is none, never change an existing one."""
        set_clock(client)
        limit = self._limit(client)
        runs = list(self.runs(client))
        waiting = sorted((run for run in runs if _waits(client, run)), key=_place)
        holding = [run for run in runs if label_of(run, LEASE)]
        heard = [run for run in holding if run.updated is None or server_now() - run.updated < _SILENT]
        free = max(0, limit.limit - max(limit.active_slots, len(heard))) if limit.active else None
        unheld = limit.active_slots - len(holding)
        return QueueState(limit.limit, free, unheld < 0, max(0, unheld), tuple(holding), tuple(waiting))

    def read_waiting(self, client: SyncPrefectClient) -> QueueState | None:
        """Return the present state of the queue; None if no run waits in it, which takes one request."""
        set_clock(client)
        return self.read(client) if any(_waits(client, run) for run in self.runs(client)) else None

    @classmethod
    def of(cls, run: FlowRun) -> SourceQueue | None:
        """Return the queue that the run is tagged with; None if it has joined none."""
        return next((queue for tag in run.tags if (queue := cls.named(tag)) is not None), None)

    def is_held_back(self, client: SyncPrefectClient) -> bool:
        """Return whether the queue's limit is 0, so that no job may start."""
        try:
            return client.read_global_concurrency_limit_by_name(self.name).limit == 0
        except ObjectNotFound:
            return False

    def runs(self, client: SyncPrefectClient) -> Iterator[FlowRun]:
        """Yield the runs of the queue that have not ended."""
        only = FlowRunFilter(
            tags=FlowRunFilterTags(all_=[self.name]),
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=OPEN)),
        )
        return flow_runs(client, only)

    def take(self, client: SyncPrefectClient, run_id: UUID) -> str | None:
        """Take a slot for the run, and return the id of its lease; None if no slot is free."""
        holder = ConcurrencyLeaseHolder(type="flow_run", id=run_id)
        body = {
            "names": [self.name], "slots": 1, "mode": "concurrency", "lease_duration": LEASE_SECONDS,
            "holder": holder.model_dump(mode="json"),
        }  # fmt: skip
        answer = sent(client, "POST", "/v2/concurrency_limits/increment-with-lease", body)
        try:
            if answer is None:
                answer = client.increment_concurrency_slots_with_lease(
                    [self.name], 1, "concurrency", LEASE_SECONDS, holder=holder
                )
            answer.raise_for_status()
        except httpx.HTTPStatusError as error:
            # 423: no slot is free. 422: the limit is 0, which a user sets to hold the source back.
            if error.response.status_code in (423, 422):
                return None
            raise
        return str(answer.json()["lease_id"])

    def _limit(self, client: SyncPrefectClient) -> _Limit:
        try:
            return _Limit.of(client.read_global_concurrency_limit_by_name(self.name))
        except ObjectNotFound:
            made = _Limit(limit=1, active=True, active_slots=0)
            if self._make(client, made):
                return made
            return _Limit.of(client.read_global_concurrency_limit_by_name(self.name))

    def _make(self, client: SyncPrefectClient, wanted: _Limit) -> bool:
        """Create the limit; return False if another process did it a moment before."""
        create = GlobalConcurrencyLimitCreate(name=self.name, limit=wanted.limit, active=wanted.active)
        try:
            client.create_global_concurrency_limit(create)
        except ObjectAlreadyExists:
            return False
        except httpx.HTTPStatusError as error:
            if error.response.status_code != _CONFLICT:
                raise
            return False
        return True


def give_back(client: SyncPrefectClient, lease: str, queue: SourceQueue | None) -> bool:
    """Give a slot of that queue back; do nothing if the lease has expired.

    Return False if the queue's limit is 0: Prefect 3.8 divides by the limit, and answers 409 on SQLite and 503 on
    PostgreSQL. A busy server answers 503 too, and Prefect's client would repeat that request for a minute.
    """
    answer = sent(client, "POST", "/v2/concurrency_limits/decrement-with-lease", {"lease_id": lease})
    if answer is not None and (answer.is_success or answer.status_code == _CONFLICT):
        return answer.is_success
    if answer is None and queue is not None and queue.is_held_back(client):
        return False
    client.release_concurrency_slots_with_lease(UUID(lease))
    return True


def _waits(client: SyncPrefectClient, run: FlowRun) -> bool:
    """Return whether the run waits for a slot. A job that no process or worker picks up for a minute is passed over."""
    if label_of(run, LEASE) or not label_of(run, QUEUED) or run.state is None or run.state.type is StateType.CANCELLING:
        return False
    if run.state.name in _NOT_BEGUN:
        return False
    if run.deployment_id is None or is_claimed(run):
        return is_fresh(run)
    due = run.state.state_details.scheduled_time
    overdue = run.state.type is StateType.SCHEDULED and due is not None and due < server_now() - _OVERDUE
    if not overdue or is_fresh(run):
        return True
    deployment = deployment_of(client, run)
    return deployment is not None and is_served(deployment)


def _place(run: FlowRun) -> tuple[str, str]:
    return label_of(run, QUEUED), str(run.id)
