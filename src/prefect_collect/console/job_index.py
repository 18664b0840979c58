"""All jobs that Prefect has, kept in memory and brought up to date when they are looked at.

The first look reads all runs. A later one reads those that have not ended, and those that ended since; the others
cannot have changed, except for a run that was deleted, or whose name or labels a user has changed in Prefect: those are
found when all runs are read again, which takes at most a fiftieth of the time. The progress of the jobs that run now
is part of each look; the lifecycles of the saved sources are read every 10 s.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice
from time import monotonic
from typing import Final
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    ArtifactCollectionFilter,
    ArtifactCollectionFilterKey,
    FlowRunFilter,
    FlowRunFilterEndTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import FlowRunSort

from prefect_collect import jobs
from prefect_collect.artifacts.job_artifact import BYTES, ITEMS
from prefect_collect.console.job_row import JobRow, row_of
from prefect_collect.runs.paging import PAGE
from prefect_collect.runs.queries import OPEN, flow_runs, is_planned, job_flows, kinds_of_flows, runs_of_ids
from prefect_collect.runs.server_clock import server_now
from prefect_collect.statuses import JobKind, JobStatus, LifecycleStatus

LOOK_EVERY: Final = 2.0
"""Seconds between two looks at Prefect, however many browsers look at the table."""

PATIENCE: Final = 0.5
"""Seconds for which a request waits for a look; then it takes what was found so far."""

_SHARE: Final = 50
"""All runs are read again after this many times the time that it took last."""

LIFECYCLES_EVERY: Final = 10.0
"""Seconds between two looks at the lifecycles of the sources, unless one was changed here."""

_OVERLAP: Final = timedelta(minutes=2)
"""Runs that ended this long before the last look are read again: clocks differ, and a server may be slow."""


class JobIndex:
    """The rows of all jobs; used from several threads. One thread of its own at a time looks at Prefect."""

    def __init__(self, *, clock: Callable[[], float] = monotonic, patience: float = PATIENCE) -> None:
        self._clock, self._patience = clock, patience
        self._lock = threading.Lock()
        self._rows: dict[str, JobRow] = {}
        self._deleted: set[str] = set()
        self._expired = 0
        self._look: threading.Thread | None = None
        self._client: SyncPrefectClient | None = None
        self._error: Exception | None = None
        self._looked = float("-inf")
        self._anew = float("-inf")
        self._since: datetime | None = None
        self._lifecycles: Mapping[str, LifecycleStatus] = {}
        self._lifecycles_read = float("-inf")

    @property
    def is_complete(self) -> bool:
        """False while the first look is still reading."""
        return self._since is not None

    def rows(self) -> Mapping[str, JobRow]:
        """Return the rows by job id.

        They are at most `LOOK_EVERY` seconds old, unless a look takes longer than a request waits. Raise what
        Prefect's client raised at the last look.
        """
        with self._lock:
            if self._look is None and self._clock() - self._looked >= LOOK_EVERY:
                self._look = threading.Thread(target=self._work, name="job-index", daemon=True)
                self._look.start()
            look = self._look
        if look is not None:
            look.join(self._patience)
        with self._lock:
            if self._error is not None:
                raise self._error
            return self._rows

    def lifecycles(self) -> Mapping[str, LifecycleStatus]:
        """Return the lifecycle of each saved source, by the source's name, as of the last look."""
        return self._lifecycles

    def expire(self, *deleted: str) -> None:
        """Make the next look ask Prefect, because a job was just changed, or these jobs were deleted.

        A look under way may have read the state before the change: a job that was deleted here does not come back with
        it, and another look follows it at once.
        """
        with self._lock:
            look = self._look
        if look is not None:  # it may have read the state before the change
            look.join(self._patience)
        with self._lock:
            self._looked = self._lifecycles_read = float("-inf")
            self._expired += 1
            if deleted:
                self._deleted.update(deleted)
                self._rows = {name: row for name, row in self._rows.items() if name not in deleted}

    def _work(self) -> None:
        error: Exception | None = None
        with self._lock:
            expired = self._expired
        try:
            self._update(self._prefect())
            if self._clock() - self._lifecycles_read >= LIFECYCLES_EVERY:
                begun = self._clock()
                self._lifecycles = _by_name(jobs.list_sources())
                if expired == self._expired:
                    self._lifecycles_read = begun
        except Exception as raised:
            error = raised
        with self._lock:
            self._error, self._look = error, None
            if expired == self._expired:
                self._looked = self._clock()

    def _prefect(self) -> SyncPrefectClient:
        """Return the client of all looks: to make one costs more than a look's requests."""
        if self._client is None:
            self._client = get_client(sync_client=True)
            self._client.__enter__()
        return self._client

    def _update(self, client: SyncPrefectClient) -> None:
        kinds, now = kinds_of_flows(client), server_now()
        if not kinds:
            self._show({})
        elif self._since is None or self._clock() >= self._anew:
            begun = self._clock()
            self._show(with_progress(client, self._all(client, kinds)))
            self._anew = self._clock() + _SHARE * (self._clock() - begun)
        else:
            self._show(with_progress(client, self._updated(client, kinds, self._since)))
        self._since = now

    def _all(self, client: SyncPrefectClient, kinds: Mapping[UUID, JobKind]) -> dict[str, JobRow]:
        if self._since is None:  # the newest ones are shown while the others are read
            newest = FlowRunSort.EXPECTED_START_TIME_DESC
            self._show(_rows(islice(flow_runs(client, flows=job_flows(), sort=newest), PAGE), kinds))
        return _rows(flow_runs(client, flows=job_flows()), kinds)

    def _show(self, rows: dict[str, JobRow]) -> None:
        with self._lock:
            self._rows = {name: row for name, row in rows.items() if name not in self._deleted}

    def _updated(self, client: SyncPrefectClient, kinds: Mapping[UUID, JobKind], since: datetime) -> dict[str, JobRow]:
        known = self._rows
        unfinished = _rows(flow_runs(client, _open(), flows=job_flows()), kinds)
        ended = _rows(flow_runs(client, _ended_after(since - _OVERLAP), flows=job_flows()), kinds)
        changed = {**unfinished, **ended}
        vanished = [name for name, row in known.items() if row.is_open and name not in changed]
        kept = {name: row for name, row in known.items() if name not in vanished}
        return {**kept, **changed, **_rows(_runs(client, vanished), kinds)}


def with_progress(client: SyncPrefectClient, rows: dict[str, JobRow]) -> dict[str, JobRow]:
    """Return the rows with the progress of the jobs that run now, and their items and bytes, of their artifacts."""
    keys = [f"progress-{name}" for name, row in rows.items() if row.status is JobStatus.IN_PROGRESS]
    shown: dict[str, JobRow] = {}
    for start in range(0, len(keys), PAGE):
        only = ArtifactCollectionFilter(key=ArtifactCollectionFilterKey(any_=keys[start : start + PAGE]))
        for found in client.read_latest_artifacts(artifact_filter=only, limit=PAGE):
            if isinstance(found.data, int | float):
                name = found.key.removeprefix("progress-")
                shown[name] = _in_progress(rows[name], float(found.data), found.metadata_ or {})
    return {**rows, **shown}


def _in_progress(row: JobRow, progress: float, counts: Mapping[str, str]) -> JobRow:
    """Return the row of a job in progress; with the counts of its last attempt if its artifact has none."""
    if not (counts.get(ITEMS, "").isdecimal() and counts.get(BYTES, "").isdecimal()):
        return replace(row, progress=progress)
    return replace(row, progress=progress, items=int(counts[ITEMS]), bytes=int(counts[BYTES]))


def _by_name(sources: Iterable[jobs.SavedSource]) -> dict[str, LifecycleStatus]:
    """Return the lifecycle of each source by name; of two with one name, that of the one on which no job starts."""
    found: dict[str, LifecycleStatus] = {}
    for one in sources:
        if one.name and found.get(one.name, LifecycleStatus.ACTIVE) is LifecycleStatus.ACTIVE:
            found[one.name] = one.lifecycle
    return found


def _rows(runs: Iterable[FlowRun], kinds: Mapping[UUID, JobKind]) -> dict[str, JobRow]:
    found = (row_of(run, kinds[run.flow_id]) for run in runs if run.flow_id in kinds and not is_planned(run))
    return {row.id: row for row in found}


def _open() -> FlowRunFilter:
    return FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=OPEN)))


def _ended_after(time: datetime) -> FlowRunFilter:
    # Prefect's own type for a date is another name of datetime.
    return FlowRunFilter(end_time=FlowRunFilterEndTime(after_=time))  # type: ignore[arg-type]


def _runs(client: SyncPrefectClient, names: list[str]) -> Iterable[FlowRun]:
    for start in range(0, len(names), PAGE):
        yield from runs_of_ids(client, names[start : start + PAGE]).values()
