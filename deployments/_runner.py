"""The runner of `serve`: Prefect's runner, but running jobs go back to the queue when it ends, not canceled."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from typing import Any, Final, Self
from uuid import UUID

import anyio
import httpx
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectNotFound
from prefect.logging import get_logger
from prefect.runner import Runner

from prefect_collect.deployments._forking import forked_processes
from prefect_collect.runs.labels import process_of
from prefect_collect.runs.trouble import trouble_of

PATIENCE: Final = 60.0
"""Seconds that the jobs' processes have to put their jobs back; by then an item that is being read is done or cut
off."""

_LOOK_EVERY: Final = 0.5
_log = get_logger("prefect_collect")


class JobRunner(Runner):
    """Run the jobs of the deployments; `astop` has each process put its job back into the queue, and waits for that.

    A process that is still starting may start first, as its job would count as crashed otherwise. A process that does
    not end within `PATIENCE`, or before `hurry` is set, is killed; its job is recovered later. `had_jobs` is whether
    it ended jobs so.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.hurry = threading.Event()
        self.had_jobs = False

    async def __aenter__(self) -> Self:
        self._exit_stack.enter_context(forked_processes())
        await super().__aenter__()
        poller: Any = self._scheduled_run_poller
        poller._get_and_submit_flow_runs = self._patiently(poller._get_and_submit_flow_runs)
        proposer: Any = self._state_proposer
        proposer.propose_cancelled = self._unless_ended(proposer.propose_cancelled)
        return self

    def _unless_ended(self, propose: Callable[..., Awaitable[bool]]) -> Callable[..., Awaitable[bool]]:
        """Wrap Prefect's proposal of the state Cancelled so that it applies only to a run that is Cancelling.

        When a canceled run's process has ended, Prefect's runner forces the state (3.8:
        `StateProposer.propose_cancelled`). But a job ends its cancellation itself, and may have been started again.
        """

        async def propose_cancelled(flow_run: FlowRun, state_updates: dict[str, Any] | None = None) -> bool:
            present = (await self._client.read_flow_run(flow_run.id)).state
            if present is not None and not present.is_cancelling():
                return True
            return await propose(flow_run, state_updates)

        return propose_cancelled

    def _patiently(self, look: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
        """Wrap Prefect's poll for runs so that it logs a server that does not answer.

        Otherwise the runner ends when its server is down for some seconds (3.8: `critical_service_loop`).
        """

        async def patiently() -> None:
            try:
                await look()
            except httpx.HTTPError as error:
                refused = isinstance(error, httpx.HTTPStatusError) and error.response.status_code < 500
                if refused:
                    raise
                _log.warning("No job is started now, as Prefect's server %s.", trouble_of(error))

        return patiently

    async def astop(self) -> None:
        """Start no more jobs, end the processes in order, then stop polling."""
        self.started = False
        self.stopping = True
        poller: Any = self._scheduled_run_poller
        poller.stopping = True
        asked = set[UUID]()
        ready = set[UUID]()
        deadline = anyio.current_time() + PATIENCE
        while poller._submitting_flow_run_ids:
            late = self.hurry.is_set() or anyio.current_time() > deadline
            for run_id in self._process_manager.flow_run_ids():
                self.had_jobs |= late or run_id in ready
                if late:
                    await self._process_manager.kill(run_id, force=True)
                elif run_id not in asked and await self._has_begun(run_id):
                    # Seen twice, as a process handles SIGTERM only a moment after it has set its labels.
                    (asked if run_id in ready else ready).add(run_id)
                    if run_id in asked:
                        self._ask_to_end(run_id)
            await anyio.sleep(_LOOK_EVERY)
        self._loops_task_group.cancel_scope.cancel()

    async def _has_begun(self, run_id: UUID) -> bool:
        """Return whether the run's process has claimed its job, so that at SIGTERM it puts the job back."""
        handle = self._process_manager.get(run_id)
        try:
            run = await self._client.read_flow_run(run_id)
        except ObjectNotFound:
            return True
        return handle is not None and process_of(run.labels).get("pid") == handle.pid

    def _ask_to_end(self, run_id: UUID) -> None:
        handle = self._process_manager.get(run_id)
        if handle is None:
            return
        _log.info("Job %s: its process puts it back into the queue.", run_id)
        try:
            handle.graceful_kill()
        except ProcessLookupError:
            return
