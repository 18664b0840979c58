"""Slots that the server counts as taken though no job holds them.

A server that is restarted forgets its leases, unless it is told to keep them on disk
(`server.concurrency.lease_storage`), but not how many slots were taken.
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
from prefect_collect.runs.lease import LEASE_SECONDS, give_back
from prefect_collect.runs.queries import paged
from prefect_collect.runs.source_queue import QueueState, SourceQueue

_MOMENT: Final = 5.0
_GIVING: Final = timedelta(seconds=_MOMENT)
_GIVEN: Final = timedelta(seconds=2 * LEASE_SECONDS)
"""After it the lease has run out, and the server has taken the slot back."""
LEAKED_AFTER: Final = LEASE_SECONDS + 20.0
"""Seconds after which a slot that no job has noted has no lease either: its job would have renewed and noted it, or the
server, which looks each 15 s, have taken it back (3.8: `prefect.server.services.repossessor`)."""

_LATEST: Final = 20


_suspected: dict[str, tuple[int, float]] = {}
_seen: dict[str, dict[UUID, FlowRun]] = {}
"""By queue: the runs that this process has seen with a slot. A lease names its run, but no request tells leases."""


def is_suspected(queue: SourceQueue | None = None) -> bool:
    """Whether this process has seen a slot, of that queue or any, that no job holds, and looks if that stays so."""
    return bool(_suspected) if queue is None else queue.name in _suspected


def give_back_leaked(client: SyncPrefectClient, queue: SourceQueue, *, after: float = LEAKED_AFTER) -> bool:
    """Give back slots that no job has held for so many seconds; return whether there were any. To be called repeatedly.

    A slot is taken a moment before its run notes it, and given back a moment after it notes that.
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
    """Give back the slot of a job that has ended, of whose lease the server does not know any more."""
    if not give_back_leaked(client, queue, after=0.0) and is_suspected(queue):
        sleep(_MOMENT)
        give_back_leaked(client, queue, after=0.0)


def give_back_left(client: SyncPrefectClient, run: FlowRun, now: datetime) -> None:
    """Give back the slot of a process that was killed after it had noted that it does so, and before it could."""
    just_left = run.updated is not None and _GIVING < now - run.updated < _GIVEN
    if just_left and label_of(run, LEFT) and not label_of(run, LEASE):
        # A lease that the server does not have any more changes nothing.
        give_back(client, label_of(run, LEFT), SourceQueue.of(run))


def give_back_deleted(client: SyncPrefectClient, queue: SourceQueue, queue_state: QueueState) -> list[UUID]:
    """Give back the slots of jobs whose run was deleted in Prefect and whose process is gone.

    To be called at each look: only what this process has seen with a slot before is found.
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
    """How many slots are taken that no run notes; 0 at a limit of 0, when the server takes back none, leaked or not."""
    runs: dict[UUID, FlowRun] = {run.id: run for run in [*queue.runs(client), *ended_last(client, queue)]}
    limit = client.read_global_concurrency_limit_by_name(queue.name)
    if limit.limit == 0:
        return 0
    return limit.active_slots - sum(bool(label_of(run, LEASE)) for run in runs.values())


def ended_last(client: SyncPrefectClient, queue: SourceQueue) -> list[FlowRun]:
    """The runs of the queue that ended last: one gives its slot back when it has ended."""
    only = FlowRunFilter(
        tags=FlowRunFilterTags(all_=[queue.name]),
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=sorted(TERMINAL_STATES))),
    )
    return client.read_flow_runs(flow_run_filter=only, sort=FlowRunSort.END_TIME_DESC, limit=_LATEST)


def queues_in_use(client: SyncPrefectClient, tags: set[str]) -> list[SourceQueue]:
    """The queues in which a slot is taken, or that have one of the tags."""
    found = {name: queue for name in tags if (queue := SourceQueue.named(name)) is not None}
    for limit in paged(client.read_global_concurrency_limits):
        queue = SourceQueue.named(limit.name) if limit.active_slots else None
        if queue is not None:
            found[queue.name] = queue
    return list(found.values())
