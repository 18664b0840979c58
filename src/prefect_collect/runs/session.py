"""The session of a running job: a thread renews its lease, gives signs of life, and notices a cancel."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import dataclass, field
from logging import DEBUG, WARNING
from time import monotonic
from typing import Any, Final
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.exceptions import ObjectNotFound
from prefect.logging import get_logger

from prefect_collect.codes import CANCELED, Failure
from prefect_collect.runs.heartbeat import Heartbeats
from prefect_collect.runs.labels import BEAT, CANCELED_BY, LEASE, is_ours, label_of, set_labels
from prefect_collect.runs.lease import renew
from prefect_collect.runs.server import (
    HELLO,
    OUT_OF_REACH,
    SOON,
    Ask,
    Interrupts,
    Unreached,
    trying_once,
    wait_for_server,
)
from prefect_collect.runs.server_clock import server_now
from prefect_collect.runs.source_queue import QueueState, SourceQueue
from prefect_collect.runs.trouble import trouble_of
from prefect_collect.runs.turn import in_infrastructure, join_queue, wait_for_turn
from prefect_collect.statuses import JobStatus, TaskStatus
from prefect_collect.threads.stop import Stop

LOOK_EVERY: Final = 2.0
"""Seconds between two reads of the run's state."""

BEAT_EVERY: Final = 15.0
"""Seconds between signs of life."""

_PATIENCE: Final = 10.0
"""Seconds to wait for an answer, so that a hanging request does not stop the signs of life."""

SHUT_DOWN: Final = Failure("worker_lost", "The worker was shut down before it came to this item.")
LOST_SLOT: Final = Failure("worker_lost", "Prefect's server was out of reach for so long that another job took over.")
TAKEN_OVER: Final = Failure("worker_lost", "This process counted as lost, and another process has taken the job over.")
"""Why the work stops: the job is queued again; the job ends as its result says; another process ends the job."""

_CANCELED_STATES: Final = ("CANCELLING", "CANCELLED")
_log = get_logger("prefect_collect")


@dataclass
class Session:
    """The session of a job's run in this process, from its start to its end.

    Attributes:
        run: The job's run, as it was read last.
        states: The states that the run had when this process started it, oldest first.
        queue: The queue of its data source.
        lease: The lease of its slot; "" if it has none.
        stop: The signal that tells the work to stop.
        terminated: Set when a worker has sent SIGTERM.
        attempt: The attempt that this process has claimed.
        report: The report of the retry that the attempt is; None if it is not one of chosen items.
        published: The job's final status, once its event and page were published; Prefect's state may still lack it.
        final: The state that the job's flow returned, which Prefect's engine is to set.
        ended: The state that was set instead of `final`, if the engine could not set that.
        asked: The custody event of what a user asked for in Prefect.
        canceled_in_prefect: Called when a user cancels the job in Prefect.
        interrupts: The handlers of SIGINT and SIGTERM.
        is_left: Whether Prefect's server did not answer in time, or is not to be waited for any longer.
    """

    run: FlowRun
    states: list[State[Any]] | None = None
    queue: SourceQueue | None = None
    lease: str = ""
    stop: Stop = field(default_factory=Stop)
    terminated: threading.Event = field(default_factory=threading.Event)
    attempt: int | None = None
    report: str | None = None
    published: JobStatus | TaskStatus | None = None
    final: State[Any] | None = None
    ended: State[Any] | None = None
    asked: str = ""
    canceled_in_prefect: Callable[[], object] = field(default=lambda: None)
    interrupts: Interrupts = field(default_factory=Interrupts)
    is_left: bool = False
    _over: threading.Event = field(default_factory=threading.Event)
    _wake: threading.Event = field(default_factory=threading.Event)
    _heard: bool = False
    _thread: threading.Thread | None = None
    _handler: Any = None

    @property
    def is_canceled(self) -> bool:
        """Whether the work was stopped because a user asked for it."""
        return self.stop.why is not None and self.stop.why.code == "canceled"

    @property
    def is_handed_over(self) -> bool:
        """Whether the work was stopped so that another process continues it."""
        return self.stop.why in (SHUT_DOWN, LOST_SLOT)

    @property
    def is_taken_over(self) -> bool:
        """Whether the run has another owner, or none, because this process gave no sign of life for too long."""
        return self.stop.why is TAKEN_OVER

    def begin(self) -> None:
        """Start the thread that watches the run, and have a worker's SIGTERM stop the work in order."""
        watch = copy_context().run  # heartbeats name what the run's context holds
        self._thread = threading.Thread(target=watch, args=(self._watch,), name=f"job-{self.run.id}", daemon=True)
        self._thread.start()
        if in_infrastructure(self.run.id) and threading.current_thread() is threading.main_thread():
            # Prefect's own handler raises at whatever line is executed; this one lets the work stop between items.
            self._handler = signal.signal(signal.SIGTERM, self._terminate)
        if not in_infrastructure(self.run.id):
            self.interrupts.watch(self._interrupt)

    def _interrupt(self) -> None:
        self._heard = True  # the custody log names cancels by others
        self.stop.set(CANCELED)

    def _terminate(self, *_: Any) -> None:
        self.terminated.set()
        self._wake.set()

    def enter(
        self,
        client: SyncPrefectClient,
        queue: SourceQueue,
        waiting: Callable[[str], None],
        recover_holders: Callable[[QueueState], None],
    ) -> bool:
        """Wait for the job's turn and take a slot; False if it was stopped meanwhile. Raise Pause."""
        self.queue = queue
        join_queue(client, self.run, queue, self.states)
        self.lease = wait_for_turn(client, self.run, queue, self._stopped, waiting, recover_holders)
        return bool(self.lease)

    def _stopped(self, seconds: float) -> bool:
        return self.stop.wait(seconds)

    def heed_interrupts(self) -> bool:
        """Have Ctrl-C or SIGTERM end the publishing of the job's end from now on; return whether that is new.

        `serve`, or a worker, bounds the time of its processes itself.
        """
        return not in_infrastructure(self.run.id) and self.interrupts.heed()

    def wait_for_server(self, ask: Ask = HELLO) -> httpx.Response:
        """Wait until Prefect's server answers `ask`, and return its answer, which may be a refusal.

        Raise Unreached after a quarter of an hour, or when asked to end.
        """
        is_new = self.heed_interrupts()
        try:
            return wait_for_server(str(self.run.id), self._patience, ask)
        except Unreached:
            self.is_left = True
            raise
        finally:
            if is_new:
                self.interrupts.relax()

    def _patience(self) -> float:
        if self.is_left or self.interrupts.came_late:
            return 0.0
        return SOON if self.stop.canceled or self.terminated.is_set() else OUT_OF_REACH

    def end(self) -> None:
        """Stop watching the run."""
        self._over.set()
        self._wake.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(SOON if self.is_left or self.interrupts.came_late else None)
        if self._handler is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._handler)
            self._handler = None

    def _watch(self) -> None:
        beaten, missed, heartbeats = monotonic(), False, Heartbeats(self.run.state)
        heartbeats.send_if_due()
        if not self._goes_on():  # most small jobs have ended before they need a client
            return
        # It looks again itself; by Prefect's client a request to a server that is down takes a minute.
        with (
            trying_once(),
            get_client(httpx_settings={"timeout": _PATIENCE}, sync_client=True) as client,
        ):
            while True:
                try:
                    heartbeats.send_if_due()
                    heartbeats.saw(self._look(client))
                    if self.is_taken_over or self._over.is_set():
                        return
                    if monotonic() - beaten >= BEAT_EVERY:
                        self._beat(client)
                        beaten = monotonic()
                except httpx.HTTPError as error:
                    # A server that is busy answers at the next look.
                    _log.log(WARNING if missed else DEBUG, "The job goes on; Prefect's server %s.", trouble_of(error))
                    missed = True
                except Exception:
                    # Without signs of life the job would be taken for lost, and no cancel would be heard.
                    _log.exception("The job's run could not be read or updated; the job goes on")
                else:
                    missed = False
                if not self._goes_on():
                    return

    def _goes_on(self) -> bool:
        """Wait until it is time to look again; return False if the session is over."""
        self._wake.wait(LOOK_EVERY)
        self._wake.clear()
        return not self._over.is_set()

    def hear_cancel(self, run: FlowRun) -> None:
        """Stop, as the run is canceled; have the custody log say so, once, if that was done in Prefect."""
        first, self._heard = not self._heard, True
        self.stop.set(CANCELED)
        by_us = label_of(run, CANCELED_BY) or run.state_name == str(JobStatus.CANCELED)
        if first and not by_us:
            self.canceled_in_prefect()

    def _look(self, client: SyncPrefectClient) -> State[Any] | None:
        """Read the run, and stop the work if it is to stop; return the run's state, None if the run was deleted."""
        try:
            run = client.read_flow_run(self.run.id)
        except ObjectNotFound:
            self.stop.set(Failure("canceled", "The job's flow run was deleted in Prefect."))
            self._over.set()
            return None
        if label_of(run, CANCELED_BY) or (run.state is not None and run.state.type.value in _CANCELED_STATES):
            self.hear_cancel(run)
        elif not is_ours(run):
            self.stop.set(TAKEN_OVER)
        elif self.terminated.is_set():
            # What is being read gets until the next look to end; then it is cut off, and the next process reads it.
            self.stop.set(CANCELED if self.is_handed_over else SHUT_DOWN)
        return run.state

    def _beat(self, client: SyncPrefectClient) -> None:
        if self.lease and self.queue is not None and not renew(client, self.lease):
            self._retake(client, self.queue)
        lease = {LEASE: self.lease} if self.lease else {}
        set_labels(client, self.run.id, {BEAT: server_now().isoformat(), **lease})

    def _retake(self, client: SyncPrefectClient, queue: SourceQueue) -> None:
        """Take the slot again after the server has lost its lease, which ran out, or was lost at a restart.

        A restarted server keeps its leases only if `server.concurrency.lease_storage` says so, but the count of taken
        slots always: then the slot is still this job's, and is given back without the lease.
        """
        lease = queue.take(client, self.run.id)
        if lease is not None:
            self.lease = lease
            set_labels(client, self.run.id, {LEASE: lease})
            return
        queue_state = queue.read(client)
        others = [run for run in queue_state.holding if run.id != self.run.id and label_of(run, LEASE)]
        if len(others) >= queue_state.limit:
            self.stop.set(LOST_SLOT)


_sessions: dict[UUID, Session] = {}


def register_session(session: Session) -> None:
    """Register the session of a job that this process runs, until `job_ended` or `release_session`."""
    _sessions[session.run.id] = session


def session_of(run_id: UUID) -> Session | None:
    """Return the session of the job in this process; None if this process does not run the job."""
    return _sessions.get(run_id)


def release_session(session: Session) -> bool:
    """End and unregister a session without giving its slot back; return False if it is not registered any more.

    A job that was started again in this process has another session then, which stays.
    """
    if _sessions.get(session.run.id) is not session:
        return False
    del _sessions[session.run.id]
    session.end()
    session.interrupts.restore()
    return True
