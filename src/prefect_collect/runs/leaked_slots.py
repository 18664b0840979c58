"""Leaked slots: slots that Prefect's server counts as taken although no job holds them.

A restarted server forgets its leases, unless it is set to keep them on disk (`server.concurrency.lease_storage`), but
keeps the count of taken slots.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from time import monotonic, sleep
from typing import Final
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import TERMINAL_STATES, FlowRun
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import ObjectNotFound

from prefect_collect.job_folder.process_identity import is_gone
from prefect_collect.runs.labels import LEASE, LEFT, label_of, process_of
from prefect_collect.runs.lease import LEASE_SECONDS
from prefect_collect.runs.paging import paged
from prefect_collect.runs.source_queue import QueueState, SourceQueue, give_back

_MOMENT: Final = 5.0
_GIVING: Final = timedelta(seconds=_MOMENT)
_GIVEN: Final = timedelta(seconds=2 * LEASE_SECONDS)
"""After this time the lease has expired, and the server has freed the slot."""
LEAKED_AFTER: Final = LEASE_SECONDS + 20.0
"""Seconds after which a slot that no job's label names has no lease either. By then its job would have renewed the
lease and set its label, or the server, which checks every 15 s, would have freed the slot (3.8:
`prefect.server.services.repossessor`)."""

_LATEST: Final = 20


_suspected: dict[str, tuple[int, float]] = {}
_seen: dict[str, dict[UUID, FlowRun]] = {}
"""The runs that this process has seen with a slot, by queue. A lease names its run, but no request lists leases."""


def is_suspected(queue: SourceQueue | None = None) -> bool:
    """Return whether this process watches a slot, of that queue or of any, that no job seems to hold."""
    return bool(_suspected) if queue is None else queue.name in _suspected


def give_back_leaked(client: SyncPrefectClient, queue: SourceQueue, *, after: float = LEAKED_AFTER) -> bool:
    """Give back the slots that no job has held for `after` seconds, and return whether there were any.

    Call it repeatedly: it only finds slots that an earlier call has seen without a job. A single look proves nothing,
    as a run's label is set a moment after the slot was taken, and cleared a moment before the slot is given back.
    """
    unheld = _unheld(client, queue)
    if unheld <= 0:
        _suspected.pop(queue.name, None)
        return False
    if queue.name not in _suspected:
        _suspected[queue.name] = unheld, monotonic()
        return False
    least, since = _suspected[queue.name]
    _suspected[queue.name] = min(least, unheld), since
    if monotonic() - since < after:
        return False
    _suspected.pop(queue.name, None)
    client.release_concurrency_slots([queue.name], min(least, unheld), occupancy_seconds=1.0)
    return True


def give_back_forgotten(client: SyncPrefectClient, queue: SourceQueue) -> None:
    """Give back the slot of a job that has ended and whose lease the server has forgotten."""
    if not give_back_leaked(client, queue, after=0.0) and is_suspected(queue):
        sleep(_MOMENT)
        give_back_leaked(client, queue, after=0.0)


def give_back_left(client: SyncPrefectClient, run: FlowRun, now: datetime) -> None:
    """Give back the slot of a process that was killed between setting the label `left` and giving the slot back."""
    just_left = run.updated is not None and _GIVING < now - run.updated < _GIVEN
    if just_left and label_of(run, LEFT) and not label_of(run, LEASE):
        # Giving back a lease that the server does not have any more changes nothing.
        give_back(client, label_of(run, LEFT), SourceQueue.of(run))


def give_back_deleted(client: SyncPrefectClient, queue: SourceQueue, queue_state: QueueState) -> list[UUID]:
    """Give back the slots of jobs whose run was deleted in Prefect and whose process is gone; return their run ids.

    Call it whenever the queue is read: it only finds runs that this process has seen with a slot before.
    """
    holding = {run.id: run for run in queue_state.holding}
    before, _seen[queue.name] = _seen.get(queue.name, {}), holding
    if not queue_state.unheld:
        return []
    given = []
    for run in before.values():
        if run.id in holding or not _is_deleted(client, run.id):
            continue
        if not is_gone(process_of(run.labels)):  # it gives its slot back itself, when it has stopped
            holding[run.id] = run
        elif give_back(client, label_of(run, LEASE), queue):
            given.append(run.id)
    return given


def _is_deleted(client: SyncPrefectClient, run_id: UUID) -> bool:
    try:
        client.read_flow_run(run_id)
    except ObjectNotFound:
        return True
    return False


def _unheld(client: SyncPrefectClient, queue: SourceQueue) -> int:
    """Return how many slots are taken that no run's label names.

    At a limit of 0 it is 0: the server does not let any slot be given back then.
    """
    runs: dict[UUID, FlowRun] = {run.id: run for run in [*queue.runs(client), *ended_last(client, queue)]}
    limit = client.read_global_concurrency_limit_by_name(queue.name)
    if limit.limit == 0:
        return 0
    return limit.active_slots - sum(bool(label_of(run, LEASE)) for run in runs.values())


def ended_last(client: SyncPrefectClient, queue: SourceQueue) -> list[FlowRun]:
    """Return the queue's runs that ended last; they may still hold their slots, which are given back after the end."""
    only = FlowRunFilter(
        tags=FlowRunFilterTags(all_=[queue.name]),
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=sorted(TERMINAL_STATES))),
    )
    return client.read_flow_runs(flow_run_filter=only, sort=FlowRunSort.END_TIME_DESC, limit=_LATEST)


def queues_in_use(client: SyncPrefectClient, tags: set[str]) -> list[SourceQueue]:
    """Return the queues with one of the tags, and those in which a slot is taken."""
    found = {name: queue for name in tags if (queue := SourceQueue.named(name)) is not None}
    for limit in paged(client.read_global_concurrency_limits):
        queue = SourceQueue.named(limit.name) if limit.active_slots else None
        if queue is not None:
            found[queue.name] = queue
    return list(found.values())
