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

from prefect_collect.processes import is_gone
from prefect_collect.runs._line import LEASE_SECONDS, Line, Standing, give_back
from prefect_collect.runs._notes import LEASE, LEFT, noted, noted_process
from prefect_collect.runs._reading import paged

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


def is_suspected(line: Line | None = None) -> bool:
    """Whether this process has seen a slot, of that queue or any, that no job holds, and looks if that stays so."""
    return bool(_suspected) if line is None else line.name in _suspected


def give_back_leaked(client: SyncPrefectClient, line: Line, *, after: float = LEAKED_AFTER) -> bool:
    """Give back slots that no job has held for so many seconds; return whether there were any. To be called repeatedly.

    A slot is taken a moment before its run notes it, and given back a moment after it notes that.
    """
    unheld = _unheld(client, line)
    if unheld <= 0:
        _suspected.pop(line.name, None)
        return False
    if line.name not in _suspected:
        _suspected[line.name] = unheld, monotonic()
        return False
    least, since = _suspected[line.name]
    _suspected[line.name] = min(least, unheld), since
    if monotonic() - since < after:
        return False
    _suspected.pop(line.name, None)
    client.release_concurrency_slots([line.name], min(least, unheld), occupancy_seconds=1.0)
    return True


def give_back_forgotten(client: SyncPrefectClient, line: Line) -> None:
    """Give back the slot of a job that has ended, of whose lease the server does not know any more."""
    if not give_back_leaked(client, line, after=0.0) and is_suspected(line):
        sleep(_MOMENT)
        give_back_leaked(client, line, after=0.0)


def give_back_left(client: SyncPrefectClient, run: FlowRun, now: datetime) -> None:
    """Give back the slot of a process that was killed after it had noted that it does so, and before it could."""
    just_left = run.updated is not None and _GIVING < now - run.updated < _GIVEN
    if just_left and noted(run, LEFT) and not noted(run, LEASE):
        # A lease that the server does not have any more changes nothing.
        give_back(client, noted(run, LEFT), Line.of(run))


def give_back_deleted(client: SyncPrefectClient, line: Line, standing: Standing) -> list[UUID]:
    """Give back the slots of jobs whose run was deleted in Prefect and whose process is gone.

    To be called at each look: only what this process has seen with a slot before is found.
    """
    holding = {run.id: run for run in standing.holding}
    before, _seen[line.name] = _seen.get(line.name, {}), holding
    if not standing.unheld:
        return []
    given = []
    for run in before.values():
        if run.id in holding or not _is_deleted(client, run.id):
            continue
        if not is_gone(noted_process(run.labels)):  # it gives its slot back itself, when it has stopped
            holding[run.id] = run
        elif give_back(client, noted(run, LEASE), line):
            given.append(run.id)
    return given


def _is_deleted(client: SyncPrefectClient, run_id: UUID) -> bool:
    try:
        client.read_flow_run(run_id)
    except ObjectNotFound:
        return True
    return False


def _unheld(client: SyncPrefectClient, line: Line) -> int:
    """How many slots are taken that no run notes; 0 at a limit of 0, when the server takes back none, leaked or not."""
    runs: dict[UUID, FlowRun] = {run.id: run for run in [*line.runs(client), *ended_last(client, line)]}
    limit = client.read_global_concurrency_limit_by_name(line.name)
    if limit.limit == 0:
        return 0
    return limit.active_slots - sum(bool(noted(run, LEASE)) for run in runs.values())


def ended_last(client: SyncPrefectClient, line: Line) -> list[FlowRun]:
    """The runs of the queue that ended last: one gives its slot back when it has ended."""
    only = FlowRunFilter(
        tags=FlowRunFilterTags(all_=[line.name]),
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=sorted(TERMINAL_STATES))),
    )
    return client.read_flow_runs(flow_run_filter=only, sort=FlowRunSort.END_TIME_DESC, limit=_LATEST)


def lines_in_use(client: SyncPrefectClient, tags: set[str]) -> list[Line]:
    """The queues in which a slot is taken, or that have one of the tags."""
    found = {name: line for name in tags if (line := Line.named(name)) is not None}
    for limit in paged(client.read_global_concurrency_limits):
        line = Line.named(limit.name) if limit.active_slots else None
        if line is not None:
            found[line.name] = line
    return list(found.values())
