"""A job that this process runs, and the states in which it ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.exceptions import Abort, ObjectNotFound, Pause
from prefect.logging import get_run_logger

from prefect_collect.artifacts.job_page import show_places
from prefect_collect.artifacts.publish import publish_status
from prefect_collect.artifacts.snapshot import refresh_snapshot
from prefect_collect.errors import AttemptSuperseded, CollectError, EvidenceError, JobCanceled, SourceInactive
from prefect_collect.escaping import one_line
from prefect_collect.flows._ends import end_of
from prefect_collect.flows._job_flow import SNAPSHOT_EVERY
from prefect_collect.flows.auto_exports import follow_up
from prefect_collect.flows.recover_attempts import close_left, result_now
from prefect_collect.job_folder.result import TaskResult
from prefect_collect.runs.job_end import job_ended
from prefect_collect.runs.labels import is_ours, label
from prefect_collect.runs.lease import give_back
from prefect_collect.runs.result_labels import result_labels
from prefect_collect.runs.running_sessions import let_go
from prefect_collect.runs.session import Session
from prefect_collect.runs.states import put, skipped_state, state_of
from prefect_collect.runs.turn import PLACE, in_infrastructure, leave_queue, release_next, released_state
from prefect_collect.statuses import JobKind, JobStatus, TaskStatus

_CANCELED: Final = (StateType.CANCELLING, StateType.CANCELLED)


@dataclass(frozen=True)
class RunningJob:
    """A job that this process runs."""

    kind: JobKind
    source: str
    session: Session

    @property
    def run(self) -> FlowRun:
        """Return the job's run, as it was read last."""
        return self.session.run

    @property
    def job_id(self) -> str:
        """Return the job's id."""
        return str(self.session.run.id)

    def ended(
        self, result: TaskResult, message: str | None = None, *, show: Callable[[], object] | None = None
    ) -> State[Any]:
        """Return the final state of a job, with its documented name.

        The state of a failed job holds JobFailed, which Prefect raises when the flow's result is read. `show` is
        called to show the result on the job's page.
        """
        self.session.heed_interrupts()
        message = message or result.message
        if self.session.is_handed_over and result.status is not JobStatus.SUCCESSFULLY_COMPLETED:
            self.hand_over()
        self.session.wait_for_server()
        with get_client(sync_client=True) as client:
            self._required_ours(client)
            label(client, self.run.id, result_labels(result))
            if show is not None:
                show()
            self._tell(result.status, message, result)
            run = self._required_ours(client)
        # Prefect takes no other end than Cancelled for a run that is being canceled, though its work is done.
        is_late = run.state is not None and run.state.type in _CANCELED
        return self._final(end_of(self.kind, result, message), forced=is_late)

    def canceled(self, message: str) -> State[Any]:
        """Return the final state of a job that was canceled before it collected or exported anything."""
        with get_client(sync_client=True) as client:
            if self._required_ours(client).state_name != str(JobStatus.CANCELED):  # else it was told
                self._tell(JobStatus.CANCELED, message)
        return self._final(state_of(self.kind, JobStatus.CANCELED, message, JobCanceled(message)))

    def refused(self, error: CollectError) -> State[Any]:
        """Return the final state of a job that could not be run: Failed, or its earlier status if it holds items."""
        if isinstance(error, EvidenceError) and self.session.attempt is None:
            close_left(self.run)
        return self._as_it_was(str(error)) or self._failed(error)

    def _failed(self, error: CollectError) -> State[Any]:
        self._tell(JobStatus.FAILED, str(error))
        return self._final(state_of(self.kind, JobStatus.FAILED, str(error), error))

    def skipped(self, message: str) -> State[Any]:
        """Return the final state of a job not run on purpose: Skipped, or its earlier one if it holds items."""
        return self._as_it_was(message) or self._skipped(message)

    def _skipped(self, message: str) -> State[Any]:
        self._tell(TaskStatus.SKIPPED, message)
        return self._final(skipped_state(message, SourceInactive(message)))

    def _as_it_was(self, why: str) -> State[Any] | None:
        """Return the state of a job that holds items, from its evidence; None if it holds none.

        An attempt that could not be made does not change the status of such a job.
        """
        stands = result_now(self.run, self.session.attempt, why)
        return None if stands is None else self.ended(*stands)

    def _tell(self, status: JobStatus | TaskStatus, message: str, result: TaskResult | None = None) -> None:
        self.session.told = status
        publish_status(self.kind, status, self.run, message, result, source=self.source)

    def _final(self, state: State[Any], *, forced: bool = False) -> State[Any]:
        """Return the final state; do here what Prefect's hooks do for other states.

        Prefect calls no hook for a run that ends as canceled (3.8: `FlowRunEngine.call_hooks`). Raises Abort in a
        worker's process: Prefect would set the state once more, whatever the run has become since.
        """
        self.session.final = state
        self.session.heed_interrupts()
        if state.is_cancelled() or forced:
            refresh_snapshot(SNAPSHOT_EVERY)
            with get_client(sync_client=True) as client:
                # The client notes the run in the state it sends, and Prefect takes a state of a run for another's.
                details = state.state_details.model_copy()
                put(client, self.run.id, state.model_copy(update={"data": None, "state_details": details}))
            job_ended(self.run.id, follow_up, show_places)
            if in_infrastructure(self.run.id):
                raise Abort(f"{state.name}: {state.message}")
        return state

    def _required_ours(self, client: SyncPrefectClient) -> FlowRun:
        """Read the run again and return it. Raises Abort if it was deleted, or is owned by another process now."""
        try:
            run = client.read_flow_run(self.run.id)
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
        return self.superseded(
            AttemptSuperseded(f"The job is another process's by now; this one stops. [job={self.job_id}]")
        )

    def superseded(self, error: AttemptSuperseded) -> Abort:
        """Return the Abort that ends a process whose job another one owns now, which alone sets the run's state."""
        get_run_logger().error("%s", one_line(str(error)))
        let_go(self.run.id)
        if self.session.lease:
            with get_client(sync_client=True) as client:
                give_back(client, self.session.lease, self.session.queue)
                if self.session.queue is not None:
                    release_next(client, self.session.queue)
        return Abort(str(error))

    def hand_over(self) -> None:
        """Put the job back into the queue, so that another process can continue it. Always raises Pause."""
        let_go(self.run.id)
        state = released_state(self.kind)
        state.message = "Its process was asked to end; the job goes on where it was."
        publish_status(self.kind, JobStatus.QUEUED, self.run, state.message, source=self.source)
        with get_client(sync_client=True) as client:
            leave_queue(client, client.read_flow_run(self.run.id), lease=self.session.lease, keep=PLACE, state=state)
        raise Pause("The job was handed over.", state=state)
