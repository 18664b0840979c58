"""`serve`: one process that runs the collections, the exports and the recovery of one machine."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from time import monotonic
from typing import Any, Final
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.exceptions import ObjectNotFound
from prefect.logging import get_logger

from prefect_collect.artifacts.snapshot import refresh_snapshot
from prefect_collect.deployments._event_log import log_events
from prefect_collect.deployments._forking import start_importing
from prefect_collect.deployments._runner import JobRunner
from prefect_collect.flows import collect, export
from prefect_collect.flows.deleted_jobs import look_if_due
from prefect_collect.flows.deploying import served_deployments
from prefect_collect.flows.forms import register_blocks
from prefect_collect.flows.recover_jobs import recover
from prefect_collect.runs.deployment_lookup import is_polled
from prefect_collect.runs.trouble import trouble_of

LOOK_EVERY: Final = 0.5
"""Seconds between two polls for runs that are due."""

RECOVER_EVERY: Final = 5.0
"""Seconds between two checks for jobs whose process is lost."""

LOOK_EVERY_STORE: Final = 60.0
"""Seconds between two looks at the staging stores for jobs that were deleted in Prefect, if a look is quick."""

COUNT_EVERY: Final = 30.0
"""Seconds between two updates of the Collections Snapshot, in addition to those at a job's end, if it is quick."""

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_log = get_logger("prefect_collect")


def prepare() -> None:
    """Import what `serve` needs, so that it starts sooner; Prefect's server need not run yet."""
    import_module("prefect_collect.blocks.registered")
    import_module("prefect.deployments.runner")
    start_importing()


def serve(limit: int = 4, say: Callable[[str], None] | None = None) -> bool:
    """Run the jobs of the deployments until SIGINT or SIGTERM asks the process to end.

    At the start, and every few seconds, jobs whose process was lost are recovered. At the end the running jobs are put
    back into the queue, and the next `serve` resumes them; a second signal kills their processes instead. Call it in
    the main thread.

    Args:
        limit: The number of jobs to run at once.
        say: Called with a line when jobs are given to this process from now on, and with one for each new status of a
            job; by default nothing is printed.

    Returns:
        Whether jobs were running when it was asked to end.
    """
    start_importing()
    register_blocks(collect, export)
    _recover_once(say)
    serving = _Serving(limit, say)
    over = threading.Event()
    keeper = threading.Thread(target=_keep, args=(over, say), name="recovery", daemon=True)
    keeper.start()
    # Apart, as a staging store that hangs must not keep jobs from being recovered; nor the process from its end.
    threading.Thread(target=_look, args=(over, say), name="deleted-jobs", daemon=True).start()
    try:
        with _on_signals(serving.end):
            serving.run()
    finally:
        over.set()
        keeper.join()
    return serving.had_jobs


class _Serving:
    """The runner, in a thread that blocks SIGINT, and so do the processes that it starts.

    Ctrl-C in a terminal sends SIGINT to the whole process group.
    """

    def __init__(self, limit: int, say: Callable[[str], None] | None) -> None:
        self._runner = JobRunner(name="prefect-collect", limit=limit, query_seconds=LOOK_EVERY, pause_on_shutdown=False)
        self._limit, self._say = limit, say
        self._begun = threading.Event()
        self._asked = threading.Event()
        self._error: BaseException | None = None

    @property
    def had_jobs(self) -> bool:
        """Whether jobs were running when it was asked to end."""
        return self._runner.had_jobs

    def run(self) -> None:
        """Serve until `end` was called and all jobs have ended. Raise the runner's error, if it failed."""
        thread = threading.Thread(target=self._work, name="runner")
        thread.start()
        while thread.is_alive():
            thread.join(1.0)  # signals are handled in between
        if self._error is not None:
            raise self._error

    def end(self) -> None:
        """Ask the runner to end; at the second call, to end at once."""
        if self._asked.is_set():
            self._runner.hurry.set()
        self._asked.set()

    def _work(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            self._error = error

    async def _serve(self) -> None:
        logger = None if self._say is None else asyncio.create_task(log_events(self._say))
        add: Any = self._runner.aadd_deployment
        served = [await add(deployment) for deployment in served_deployments()]
        ender = asyncio.create_task(self._end_when_asked())
        teller = asyncio.create_task(self._tell_when_ready(served))
        try:
            await self._runner.start()
        finally:
            for task in (ender, teller, logger):
                if task is not None:
                    task.cancel()
                    with suppress(asyncio.CancelledError):
                        await task

    async def _tell_when_ready(self, served: list[UUID]) -> None:
        """Say that jobs run here once Prefect's server knows it; until then, `start` runs a job in its own process."""
        while True:
            with suppress(httpx.HTTPError, ObjectNotFound):
                async with get_client() as client:
                    if all([is_polled(await client.read_deployment(each)) for each in served]):
                        break
            await asyncio.sleep(LOOK_EVERY)
        if self._say is not None:
            self._say(
                f"Running up to {self._limit} jobs at once: collections, exports, recovery. Ctrl-C ends in order."
            )

    async def _end_when_asked(self) -> None:
        while not (self._asked.is_set() and self._runner.started):
            await asyncio.sleep(0.2)
        await self._runner.astop()


@contextmanager
def _on_signals(end: Callable[[], None]) -> Iterator[None]:
    before = {number: signal.signal(number, lambda *_: end()) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _keep(over: threading.Event, say: Callable[[str], None] | None) -> None:
    counted = monotonic()
    while not over.wait(RECOVER_EVERY):
        _recover_once(say)
        if monotonic() - counted >= COUNT_EVERY:
            refresh_snapshot(COUNT_EVERY)
            counted = monotonic()


def _look(over: threading.Event, say: Callable[[str], None] | None) -> None:
    """Look for jobs that were deleted in Prefect, now and then."""
    pause = RECOVER_EVERY
    while not over.wait(pause):
        pause = LOOK_EVERY_STORE
        _tell(look_if_due, say)


def _recover_once(say: Callable[[str], None] | None) -> None:
    try:
        _tell(recover, say)
    except Exception:
        # A fault of one job must not keep the others from being recovered the next time.
        _log.exception("Not all lost jobs could be recovered")


def _tell(work: Callable[[SyncPrefectClient], Iterable[str]], say: Callable[[str], None] | None) -> None:
    """Say the lines that the work returns; a server that does not answer is logged, as the work is done again."""
    try:
        with get_client(sync_client=True) as client:
            for line in work(client):
                (say or _log.info)(line)
    except httpx.TransportError as error:
        _log.warning("Prefect's server %s.", trouble_of(error))
