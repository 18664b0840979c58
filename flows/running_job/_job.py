"""A job that this process runs, from its start until its slot is given to the next job."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.exceptions import Abort, ObjectNotFound, Pause
from prefect.logging import get_run_logger

from prefect_collect.artifacts.job_page import heading_of, show_queue
from prefect_collect.artifacts.publish import publish_status
from prefect_collect.errors import (
    ActionNotAllowed,
    AttemptSuperseded,
    CollectError,
    EvidenceError,
    JobCanceled,
    SourceInactive,
)
from prefect_collect.escaping import one_line
from prefect_collect.flows.recover_attempts import close_left, result_now
from prefect_collect.flows.recover_jobs import recover_lost, recover_slot_holders
from prefect_collect.flows.running_job._asked import asked_by
from prefect_collect.flows.running_job._end_states import PutBack, end_of, put_without_hooks, refusal_of
from prefect_collect.flows.running_job._engine import ensure_end
from prefect_collect.flows.running_job._ownership import require_wanted, this_run
from prefect_collect.flows.running_job._parameters import forget_report, given_parameters, return_report
from prefect_collect.flows.signed_places import forget_signatures
from prefect_collect.job_folder.acting import operator
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.job_folder.result import TaskResult
from prefect_collect.pages.running_job import Heading
from prefect_collect.runs.heartbeat import users_heartbeat_setting
from prefect_collect.runs.job_end import give_slot_on, job_ended
from prefect_collect.runs.labels import ATTEMPT, QUEUED, asking_to_label, is_ours, label, label_of, labels_of
from prefect_collect.runs.queries import answered_run, history
from prefect_collect.runs.result_labels import result_labels
from prefect_collect.runs.server import asking
from prefect_collect.runs.session import Session, register_session, release_session
from prefect_collect.runs.source_queue import SourceQueue
from prefect_collect.runs.states import put_unless_canceled, skipped_state, state_of
from prefect_collect.runs.turn import PLACE, in_infrastructure, leave_queue, released_state
from prefect_collect.statuses import JobKind, JobStatus, NextStep, TaskStatus, require_step
from prefect_collect.storable import require_storable, unstorable
from prefect_collect.threads.progress import Progress, announce


@dataclass(frozen=True)
class RunningJob:
    """A job that this process runs.

    `start` claims the run and watches it, `guarded` does the work, `wait_for_turn` takes the slot, `begin` records the
    attempt. The job ends with one of `ended`, `canceled`, `refused` and `skipped`; `hand_over` puts it back into the
    queue for another process, and `superseded` leaves it to the process that owns it now.
    """

    kind: JobKind
    source: str
    session: Session

    @classmethod
    def start(cls, kind: JobKind, source: str) -> RunningJob:
        """Start this flow's run, which this process owns (see `_ownership`), and watch it in a thread from now on.

        Raise Abort if another process owns the run now, or the run was canceled before this process had started.
        """
        with get_client(sync_client=True) as client:
            run = this_run().model_copy(deep=True)  # the engine has just read it, and changes its own later
            states = history(client, run.id)
            is_changed = forget_signatures(client, run)
            require_wanted(client, run, states)
            if is_changed:
                run = client.read_flow_run(run.id)
            job = cls(kind, source, Session(run, states, asked=asked_by(states)))
        register_session(job.session)
        ensure_end(job.session)
        job.session.begin()
        return job

    @property
    def run(self) -> FlowRun:
        """Return the job's run, as it was read last."""
        return self.session.run

    @property
    def job_id(self) -> str:
        """Return the job's id."""
        return str(self.session.run.id)

    @property
    def who(self) -> str:
        """Return the name for the custody log: the process's user, and who or what made the run, if Prefect knows."""
        maker = self.run.created_by.display_value if self.run.created_by is not None else None
        return f"{operator()} for prefect:{maker}" if maker else operator()

    def heading(self) -> Heading:
        """Return the heading of the job's pages."""
        return heading_of(self.run, self.kind, self.source)

    def guarded(self, work: Callable[[], State[Any]]) -> State[Any]:
        """Do the work and return its final state; an error that keeps the job from running makes it Failed."""
        try:
            require_storable(given_parameters(), "")  # on SQLite Prefect takes a run with what PostgreSQL refuses
            with users_heartbeat_setting():
                return work()
        except PutBack as back:
            return back.state
        except AttemptSuperseded as error:
            raise self.superseded(error) from error
        except (ObjectNotFound, httpx.HTTPStatusError) as error:
            with get_client(sync_client=True) as client:
                self._required_ours(client)
            raise error
        except CollectError as error:
            with get_client(sync_client=True) as client:
                self._required_ours(client)
            return self.refused(error)
        except Exception as error:
            if (refusal := refusal_of(error)) is not None:
                return self.refused(refusal)
            if unstorable(str(error)):  # Prefect's engine puts it into the state in which the run ends
                raise RuntimeError(one_line(f"{type(error).__name__}: {error}")) from error
            raise

    def require_allowed(self, folder: JobFolder) -> None:
        """Raise PutBack if the job is Successfully completed, as Prefect's UI offers to retry it all the same."""
        result = folder.result()
        if result is None or result.status is not JobStatus.SUCCESSFULLY_COMPLETED or self._is_claimed_later(result):
            return
        try:
            require_step(self.kind, result.status, NextStep.RETRY)
        except ActionNotAllowed as error:
            raise PutBack(self.ended(result, f"Nothing was run. {error}")) from error

    def _is_claimed_later(self, result: TaskResult) -> bool:
        return label_of(self.run, ATTEMPT).isdigit() and int(label_of(self.run, ATTEMPT)) > result.attempt

    def wait_for_turn(self) -> bool:
        """Wait for the job's turn; return False if it was canceled meanwhile. Raise Pause if the process is to end."""
        queue = SourceQueue(self.kind, self.source)
        if not label_of(self.run, QUEUED):  # else it was published when the job was put into the queue
            publish_status(self.kind, JobStatus.QUEUED, self.run, source=self.source)
        try:
            with get_client(sync_client=True) as client:
                if not in_infrastructure(self.run.id):  # else `serve`, or the recovery flow, does it
                    recover_lost(client)
                entered = self.session.enter(client, queue, self._waits, partial(recover_slot_holders, client, queue))
        except Pause:
            show_queue(self.kind, self.source, self.run)
            release_session(self.session)
            raise
        if self.session.is_taken_over:
            raise self._taken_over()
        if not entered and self.session.is_handed_over:
            self.hand_over()
        if not entered:
            with get_client(sync_client=True) as client, suppress(ObjectNotFound):
                self.session.hear_cancel(client.read_flow_run(self.run.id))
        return entered

    def _waits(self, message: str) -> None:
        announce(self.job_id, Progress(waits_for=message))
        get_run_logger().info("%s", one_line(message))
        show_queue(self.kind, self.source, self.run)

    def begin(self, attempt: int) -> None:
        """Set the job's state to In progress, with the number of its attempt as a label."""
        self.session.attempt = attempt
        labels = labels_of({ATTEMPT: str(attempt)})
        answer = self.session.wait_for_server(asking_to_label(self.run.id, labels))
        with get_client(sync_client=True) as client:
            if not answer.is_success:
                label(client, self.run.id, labels)
            if not put_unless_canceled(client, self.run.id, state_of(self.kind, JobStatus.IN_PROGRESS)):
                self.session.hear_cancel(client.read_flow_run(self.run.id))
                return
        publish_status(self.kind, JobStatus.IN_PROGRESS, self.run, source=self.source)

    def ended(
        self, result: TaskResult, message: str | None = None, *, show: Callable[[], bool] | None = None
    ) -> State[Any]:
        """Return the final state of a job, with its documented name.

        The state of a failed job holds JobFailed, which Prefect raises when the flow's result is read. `show` is
        called to show the result on the job's page, and returns whether it was shown.
        """
        self.session.heed_interrupts()
        message = message or result.message
        if self.session.is_handed_over and result.status is not JobStatus.SUCCESSFULLY_COMPLETED:
            self.hand_over()
        answer = self.session.wait_for_server(asking("GET", f"/flow_runs/{self.run.id}"))
        with get_client(sync_client=True) as client:
            self._required_ours(client, answered_run(answer))
            label(client, self.run.id, result_labels(result))
            is_shown = show is not None and show()
            self._publish(result.status, message, result, is_shown=is_shown)
            run = self._required_ours(client)
        # Prefect accepts only Cancelled for a run that is being canceled, although the job's work is done.
        is_late = run.state is not None and run.state.type in (StateType.CANCELLING, StateType.CANCELLED)
        return self._final(end_of(self.kind, result, message), forced=is_late)

    def canceled(self, message: str = "The job was canceled while it was queued; nothing was started.") -> State[Any]:
        """Return the final state of a job that was canceled before it collected or exported anything."""
        with get_client(sync_client=True) as client:
            if self._required_ours(client).state_name != str(JobStatus.CANCELED):  # else it was published
                self._publish(JobStatus.CANCELED, message)
        return self._final(state_of(self.kind, JobStatus.CANCELED, message, JobCanceled(message)))

    def refused(self, error: CollectError) -> State[Any]:
        """Return the final state of a job that could not be run: Failed, or its earlier status if it holds items."""
        if isinstance(error, EvidenceError) and self.session.attempt is None:
            close_left(self.run)
        message = str(error)
        return self._not_run(JobStatus.FAILED, message, state_of(self.kind, JobStatus.FAILED, message, error))

    def skipped(self, message: str) -> State[Any]:
        """Return the final state of a job not run on purpose: Skipped, or its earlier one if it holds items."""
        return self._not_run(TaskStatus.SKIPPED, message, skipped_state(message, SourceInactive(message)))

    def _not_run(self, status: JobStatus | TaskStatus, message: str, state: State[Any]) -> State[Any]:
        if (before := self._as_it_was(message)) is not None:
            return before
        self._publish(status, message)
        return self._final(state)

    def _as_it_was(self, why: str) -> State[Any] | None:
        """Return the state of a job that holds items, from its evidence; None if it holds none.

        An attempt that could not be made does not change the status of such a job.
        """
        stands = result_now(self.run, self.session.attempt, why)
        return None if stands is None else self.ended(*stands)

    def _publish(
        self, status: JobStatus | TaskStatus, message: str, result: TaskResult | None = None, *, is_shown: bool = False
    ) -> None:
        self.session.published = status
        publish_status(self.kind, status, self.run, message, result, source=self.source, is_shown=is_shown)

    def _final(self, state: State[Any], *, forced: bool = False) -> State[Any]:
        """Return the final state, which the engine sets; set a canceled, or `forced`, one here, and raise Abort.

        The engine would set such a state once more, even if the job was started again meanwhile."""
        self.session.final = state
        forget_report(self.session)
        self.session.heed_interrupts()
        if state.is_cancelled() or forced:
            put_without_hooks(self.run.id, state)
            state.state_details.flow_run_id = self.run.id
            self.session.ended = state
            raise Abort(f"{state.name}: {state.message}")
        return state

    def _required_ours(self, client: SyncPrefectClient, run: FlowRun | None = None) -> FlowRun:
        """Return the run, read now if not given. Raise Abort if it was deleted, or another process owns it now."""
        try:
            run = run or client.read_flow_run(self.run.id)
        except ObjectNotFound as error:
            raise self._deleted() from error
        was_canceled = self.session.is_canceled and run.state is not None and run.state.is_cancelled()
        if not is_ours(run) and not was_canceled:
            raise self._taken_over()
        return run

    def _deleted(self) -> Abort:
        """Return the Abort that ends the process of a run deleted in Prefect, after giving its slot to the next job."""
        job_ended(self.run.id)
        return Abort(f"The job's flow run was deleted in Prefect, so it was stopped. [job={self.job_id}]")

    def _taken_over(self) -> Abort:
        what = "Another process has taken the job over; this one stops."
        return self.superseded(AttemptSuperseded(f"{what} [job={self.job_id}]"))

    def superseded(self, error: AttemptSuperseded) -> Abort:
        """Return the Abort that ends a process whose job another one owns now, which alone sets the run's state."""
        get_run_logger().error("%s", one_line(str(error)))
        release_session(self.session)
        if self.session.lease:
            with get_client(sync_client=True) as client:
                give_slot_on(client, self.session)
        return Abort(str(error))

    def hand_over(self) -> None:
        """Put the job back into the queue, so that another process can continue it. Always raises Pause."""
        release_session(self.session)
        return_report(self.session)
        state = released_state(self.kind)
        state.message = "Its process was asked to end; the job goes on where it was."
        publish_status(self.kind, JobStatus.QUEUED, self.run, state.message, source=self.source)
        with get_client(sync_client=True) as client:
            leave_queue(client, client.read_flow_run(self.run.id), lease=self.session.lease, keep=PLACE, state=state)
        raise Pause("The job was handed over.", state=state)
