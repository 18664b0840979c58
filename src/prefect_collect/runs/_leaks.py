"""Slots that the server counts as taken, and nobody holds.

A server that is restarted forgets its leases, unless it is told to keep them on disk
(`server.concurrency.lease_storage`), but not how many slots were taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic, sleep
from typing import Final
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterTags
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import FlowRunSort

from prefect_collect.runs._line import LEASE_SECONDS, Line, taken_back
from prefect_collect.runs._notes import LEASE, noted
from prefect_collect.runs._reading import paged

_MOMENT: Final = 5.0
LEAKED_AFTER: Final = LEASE_SECONDS + 20.0
"""A slot that nobody notes for so long has no lease either: one that has would be renewed and noted by its job, or be
taken back by the server, which looks each 15 s (3.8: `prefect.server.services.repossessor`)."""

_LATEST: Final = 20


@dataclass(frozen=True)
class _Look:
    """How many slots nobody holds, and who holds the others."""

    unheld: int
    holding: frozenset[UUID]


_suspected: dict[str, tuple[_Look, float]] = {}


def is_suspected() -> bool:
    """Whether this process has seen a slot that nobody holds, and has yet to see whether that stays so."""
    return bool(_suspected)


def give_back_leaked(client: SyncPrefectClient, line: Line, *, after: float = LEAKED_AFTER) -> bool:
    """Give back slots that nobody has held for so many seconds; say if there were any. To be called again and again.

    A slot is taken a moment before its run notes it, and given back a moment after it notes that.
    """
    look = _look(client, line)
    before, since = _suspected.get(line.name, (None, 0.0))
    if look.unheld <= 0:
        _suspected.pop(line.name, None)
    elif look != before:
        _suspected[line.name] = look, monotonic()
    elif monotonic() - since >= after:
        del _suspected[line.name]
        return taken_back(lambda: client.release_concurrency_slots([line.name], look.unheld, occupancy_seconds=1.0))
    return False


def give_back_forgotten(client: SyncPrefectClient, line: Line) -> None:
    """Give back the slot of a job that has ended, of whose lease the server does not know any more."""
    if not give_back_leaked(client, line, after=0.0) and is_suspected():
        sleep(_MOMENT)
        give_back_leaked(client, line, after=0.0)


def _look(client: SyncPrefectClient, line: Line) -> _Look:
    runs: dict[UUID, FlowRun] = {run.id: run for run in [*line.runs(client), *ended_last(client, line)]}
    holding = frozenset(run.id for run in runs.values() if noted(run, LEASE))
    taken = client.read_global_concurrency_limit_by_name(line.name).active_slots
    return _Look(taken - len(holding), holding)


def ended_last(client: SyncPrefectClient, line: Line) -> list[FlowRun]:
    """The runs of the queue that ended last: one gives its slot back when it has ended."""
    only = FlowRunFilter(tags=FlowRunFilterTags(all_=[line.name]))
    return client.read_flow_runs(flow_run_filter=only, sort=FlowRunSort.END_TIME_DESC, limit=_LATEST)


def lines_in_use(client: SyncPrefectClient, tags: set[str]) -> list[Line]:
    """The queues in which a slot is taken, or that have one of the tags."""
    found = {name: line for name in tags if (line := Line.named(name)) is not None}
    for limit in paged(client.read_global_concurrency_limits):
        line = Line.named(limit.name) if limit.active_slots else None
        if line is not None:
            found[line.name] = line
    return list(found.values())
