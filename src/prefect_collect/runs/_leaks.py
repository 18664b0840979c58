"""Slots that the server counts as taken, and nobody holds.

A server that is restarted forgets its leases, unless it is told to keep them on disk
(`server.concurrency.lease_storage`), but not how many slots were taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from time import sleep
from typing import Final
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterTags
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import FlowRunSort

from prefect_collect.runs._line import Line
from prefect_collect.runs._notes import LEASE, noted
from prefect_collect.runs._reading import paged

_MOMENT: Final = 5.0
_LATEST: Final = 20


@dataclass(frozen=True)
class _Look:
    """How many slots nobody holds, and when each run that might be about to take or give one back was changed last."""

    unheld: int
    changed: frozenset[tuple[UUID, datetime | None]]


def give_back_leaked(client: SyncPrefectClient, line: Line) -> bool:
    """Give back slots that nobody holds; say if there were any.

    A slot is taken a moment before its run notes it, and given back a moment after it notes that. So nobody may hold
    it in two looks, between which no run of the queue has changed.
    """
    before = _look(client, line)
    if before.unheld <= 0:
        return False
    sleep(_MOMENT)
    after = _look(client, line)
    if before != after:
        return False
    client.release_concurrency_slots([line.name], after.unheld, occupancy_seconds=1.0)
    return True


def _look(client: SyncPrefectClient, line: Line) -> _Look:
    runs: dict[UUID, FlowRun] = {run.id: run for run in [*line.runs(client), *_ended_last(client, line)]}
    holding = sum(bool(noted(run, LEASE)) for run in runs.values())
    taken = client.read_global_concurrency_limit_by_name(line.name).active_slots
    return _Look(taken - holding, frozenset((run.id, run.updated) for run in runs.values()))


def _ended_last(client: SyncPrefectClient, line: Line) -> list[FlowRun]:
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
