"""A job that this process has taken up: what it may do, how it waits for its turn, and the state in which it ends."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from prefect.blocks.core import Block
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.exceptions import Abort, ObjectNotFound, Pause
from prefect.logging import get_run_logger

from prefect_collect.control import Stop
from prefect_collect.errors import (
    ActionNotAllowed,
    AttemptSuperseded,
    CollectError,
    JobCanceled,
    JobFailed,
    JobNotFound,
    SourceInactive,
)
from prefect_collect.flows._follow_up import (
    COLLECTION_DELETED,
    AutoExport,
    awaiting_state,
    collection_is_done,
    ensure_export,
    follow_up,
    require_exportable,
)
from prefect_collect.flows._job_flow import SNAPSHOT_EVERY
from prefect_collect.flows._saving import saved
from prefect_collect.jobfolder import JobFolder, operator
from prefect_collect.live_pages import Heading
from prefect_collect.results import TaskResult
from prefect_collect.runs._after import job_ended, let_go
from prefect_collect.runs._gate import PLACE, in_infrastructure, leave, released_state
from prefect_collect.runs._line import Line, give_back
from prefect_collect.runs._lines import result_labels
from prefect_collect.runs._notes import (
    ATTEMPT,
    EXPORT_WHEN,
    SOURCE,
    export_tag,
    is_ours,
    note,
    noted,
    tag,
)
from prefect_collect.runs._reach import wait_for_server
from prefect_collect.runs._session import Session
from prefect_collect.runs._states import put, skipped_state, state_of
from prefect_collect.statuses import JobKind, JobStatus, NextStep, TaskStatus, require_step
from prefect_collect.tasks.artifacts import heading, show_queue
from prefect_collect.tasks.snapshot import refresh_snapshot
from prefect_collect.tasks.telling import tell


@dataclass(frozen=True)
class Taken:
    """A job that this process has taken up."""

    kind: JobKind
    source: str
    session: Session

    @property
    def run(self) -> FlowRun:
        """The job's run, as it was read last."""
        return self.session.run

    @property
    def job_id(self) -> str:
        """The job's id."""
        return str(self.session.run.id)

    @property
    def who(self) -> str:
        """Who the custody log names: the process's user, and who or what made the run, as far as Prefect knows it."""
        maker = self.run.created_by.display_value if self.run.created_by is not None else None
        return f"{operator()} for prefect:{maker}" if maker else operator()

    @property
    def stop(self) -> Stop:
        """What tells the work to stop."""
        return self.session.stop

    def block_id(self, parameter: str, block: Block) -> str:
        """The id of the document that holds the block which the job was given as that parameter."""
        reference = self.run.parameters.get(parameter)
        named = reference.get("$ref") if isinstance(reference, dict) else None
        return str((named.get("block_document_id") if isinstance(named, dict) else named) or saved(block))

    def heading(self) -> Heading:
        """What the job's pages open with."""
        return heading(
            self.job_id, self.kind, self.run.name, self.source, has_deployment=self.run.deployment_id is not None
        )

    def guarded(self, work: Callable[[], State[Any]]) -> State[Any]:
        """The state that the work ends in; what keeps the job from running makes it Failed, and says why."""
        try:
            return work()
        except PutBack as back:
            return back.state
        except AttemptSuperseded as error:
            raise self.superseded(error) from error
        except CollectError as error:
            with get_client(sync_client=True) as client:
                self._require_ours(client)
            return self.refused(error)

    def pin(self, **places: str) -> None:
        """Keep the whole locations of its places in the run's parameters.

        A relative path, or the default store, would mean another place to another process. `places` are parameters;
        those that are blocks already name one place to everybody, and are left alone. A report to retry is for one
        attempt only.
        """
        given = self.run.parameters
        changed: dict[str, Any] = {
            name: place
            for name, place in places.items()
            if not isinstance(given.get(name), dict) and given.get(name) != place
        }
        if given.get("only") is not None:
            changed["only"] = None
        if changed:
            with get_client(sync_client=True) as client:
                client.update_flow_run(self.run.id, parameters={**given, **changed})
                self.session.run = client.read_flow_run(self.run.id)

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
        return noted(self.run, ATTEMPT).isdigit() and int(noted(self.run, ATTEMPT)) > result.attempt

    def require_exportable(self, collection: str) -> None:
        """For an export that was not bound yet: raise ActionNotAllowed if the collection's status does not offer it."""
        with get_client(sync_client=True) as client:
            require_exportable(client, collection)

    def require_collected(self) -> None:
        """Put an export back to Awaiting collection if it was started before its collection was done.

        For one that was not bound yet. Raises Pause then, JobNotFound if the collection was deleted.
        """
        if not noted(self.run, EXPORT_WHEN):
            return
        with get_client(sync_client=True) as client:
            done = collection_is_done(client, self.run)
            if done is None:
                raise JobNotFound(COLLECTION_DELETED)
            if not done:
                state = awaiting_state("Its collection is not completed yet, so it was not started.")
                let_go(self.run.id)
                put(client, self.run.id, state)
                raise Pause("The export awaits its collection.", state=state)

    def make_export(self, wanted: AutoExport) -> None:
        """Make the export that awaits this collection, unless it is there."""
        with get_client(sync_client=True) as client:
            ensure_export(client, self.run, wanted, self.run.parameters.get("store") or "", self.source)

    def of_source(self, source: str, collection: str) -> Taken:
        """The same job, of that data source: an export learns it from its collection."""
        with get_client(sync_client=True) as client:
            note(client, self.run.id, {SOURCE: source})
            tag(client, self.run, export_tag(collection))
            self.session.run = client.read_flow_run(self.run.id)
        return replace(self, source=source)

    def enter(self) -> bool:
        """Wait for the job's turn; False if it was canceled meanwhile. Raises Pause if its process is to end."""
        line = Line(self.kind, self.source)
        tell(self.kind, JobStatus.QUEUED, self.run, source=self.source)
        try:
            with get_client(sync_client=True) as client:
                entered = self.session.enter(client, line, self._waits)
        except Pause:
            show_queue(self.kind, self.source, self.run)
            let_go(self.run.id)
            raise
        if self.session.is_taken_over:
            raise self._taken_over()
        if not entered and self.session.is_handed_over:
            self.hand_over()
        return entered

    def _waits(self, message: str) -> None:
        get_run_logger().info("%s", message)
        show_queue(self.kind, self.source, self.run)

    def begin(self, attempt: int) -> None:
        """Give the running job's state its documented name."""
        with get_client(sync_client=True) as client:
            note(client, self.run.id, {ATTEMPT: str(attempt)})
            put(client, self.run.id, state_of(self.kind, JobStatus.IN_PROGRESS))
        tell(self.kind, JobStatus.IN_PROGRESS, self.run, source=self.source)

    def ended(self, result: TaskResult, message: str | None = None) -> State[Any]:
        """The final state of a job, named as documented; a failed one raises JobFailed when its result is asked for."""
        message = message or result.message
        if self.session.is_handed_over and result.status is not JobStatus.SUCCESSFULLY_COMPLETED:
            self.hand_over()
        data: Any = result
        if result.status is JobStatus.FAILED:
            data = JobFailed(result.message, result=result)
        elif result.status is JobStatus.CANCELED:
            data = JobCanceled(result.message, result=result)
        wait_for_server()
        with get_client(sync_client=True) as client:
            self._require_ours(client)
            client.update_flow_run_labels(self.run.id, result_labels(result))
        tell(self.kind, result.status, self.run, message, result, source=self.source)
        return self._final(state_of(self.kind, result.status, message, data))

    def canceled(self, message: str) -> State[Any]:
        """The final state of a job that was canceled before it did anything."""
        tell(self.kind, JobStatus.CANCELED, self.run, message, source=self.source)
        return self._final(state_of(self.kind, JobStatus.CANCELED, message, JobCanceled(message)))

    def refused(self, error: CollectError) -> State[Any]:
        """The final state of a job that could not be run at all."""
        tell(self.kind, JobStatus.FAILED, self.run, str(error), source=self.source)
        return self._final(state_of(self.kind, JobStatus.FAILED, str(error), error))

    def skipped(self, message: str) -> State[Any]:
        """The final state of a job that was not run on purpose."""
        tell(self.kind, TaskStatus.SKIPPED, self.run, message, source=self.source)
        return self._final(skipped_state(message, SourceInactive(message)))

    def _final(self, state: State[Any]) -> State[Any]:
        """Prefect calls no hook for a run that ends as canceled (3.8: `FlowRunEngine.call_hooks`).

        Raises Abort in a worker's process: Prefect would set the state once more, whatever the run has become since.
        """
        if state.is_cancelled():
            refresh_snapshot(SNAPSHOT_EVERY)
            with get_client(sync_client=True) as client:
                # The client notes the run in the state it sends, and Prefect takes a state of a run for another's.
                details = state.state_details.model_copy()
                put(client, self.run.id, state.model_copy(update={"data": None, "state_details": details}))
            job_ended(self.run.id, follow_up)
            if in_infrastructure(self.run.id):
                raise Abort(f"{state.name}: {state.message}")
        return state

    def _require_ours(self, client: SyncPrefectClient) -> None:
        """Raise Abort if another process has the job by now; a run that is deleted is nobody's."""
        with suppress(ObjectNotFound):
            run = client.read_flow_run(self.run.id)
            was_canceled = self.session.is_canceled and run.state is not None and run.state.is_cancelled()
            if not is_ours(run) and not was_canceled:
                raise self._taken_over()

    def _taken_over(self) -> Abort:
        return self.superseded(
            AttemptSuperseded(f"The job is another process's by now; this one stops. [job={self.job_id}]")
        )

    def superseded(self, error: AttemptSuperseded) -> Abort:
        """What ends a process that another one has taken the job from: the run's state is the other one's to set."""
        get_run_logger().error("%s", error)
        let_go(self.run.id)
        if self.session.lease:
            with get_client(sync_client=True) as client:
                give_back(client, self.session.lease)
        return Abort(str(error))

    def hand_over(self) -> None:
        """Put the job back into the queue, for another process to go on with it; raises Pause."""
        let_go(self.run.id)
        state = released_state(self.kind)
        state.message = "Its process was asked to end; the job goes on where it was."
        with get_client(sync_client=True) as client:
            leave(client, client.read_flow_run(self.run.id), keep=PLACE)
            put(client, self.run.id, state)
        raise Pause("The job was handed over.", state=state)


class PutBack(Exception):
    """The run was started although its status does not allow it; carries the state to put it back to."""

    def __init__(self, state: State[Any]) -> None:
        super().__init__(state.message)
        self.state = state
