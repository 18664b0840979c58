"""A running job: what its status allows, and how it waits for its turn."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

import httpx
from prefect.blocks.core import Block
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.exceptions import ObjectNotFound, Pause
from prefect.logging import get_run_logger

from prefect_collect.artifacts.job_page import heading, show_queue
from prefect_collect.artifacts.publish import publish_status
from prefect_collect.errors import ActionNotAllowed, AttemptSuperseded, CollectError, JobNotFound
from prefect_collect.escaping import one_line
from prefect_collect.flows._running_job import RunningJob
from prefect_collect.flows.auto_exports import (
    COLLECTION_DELETED,
    AutoExport,
    awaiting_state,
    collection_is_done,
    ensure_export,
    require_exportable,
)
from prefect_collect.flows.block_references import saved
from prefect_collect.flows.recover_jobs import recover_lost, recover_slot_holders
from prefect_collect.job_folder import custody_events
from prefect_collect.job_folder.folder import JobFolder, operator
from prefect_collect.job_folder.long_queries import discard, in_parameters
from prefect_collect.job_folder.result import TaskResult
from prefect_collect.pages.running_job import Heading
from prefect_collect.runs.labels import ATTEMPT, EXPORT_WHEN, QUEUED, SOURCE, export_tag, label_of, set_labels, tag
from prefect_collect.runs.refusals import prefect_error
from prefect_collect.runs.running_sessions import let_go
from prefect_collect.runs.source_queue import SourceQueue
from prefect_collect.runs.states import put, put_unless_canceled, state_of
from prefect_collect.runs.turn import in_infrastructure
from prefect_collect.sources.query import Query
from prefect_collect.statuses import JobStatus, NextStep, require_step
from prefect_collect.storable import require_storable, unstorable
from prefect_collect.stores.os_errors import store_error
from prefect_collect.threads.pool import in_background
from prefect_collect.threads.progress import Progress, announce
from prefect_collect.threads.stop import Stop

_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


@dataclass(frozen=True)
class StartedJob(RunningJob):
    """A job that this process has started to run."""

    @property
    def who(self) -> str:
        """Return the name for the custody log: the process's user, and who or what made the run, if Prefect knows."""
        maker = self.run.created_by.display_value if self.run.created_by is not None else None
        return f"{operator()} for prefect:{maker}" if maker else operator()

    @property
    def stop(self) -> Stop:
        """Return the signal that tells the work to stop."""
        return self.session.stop

    def block_id(self, parameter: str, block: Block) -> str:
        """Return the id of the block document that the job got as that parameter; a block without one is saved."""
        reference = self.run.parameters.get(parameter)
        named = reference.get("$ref") if isinstance(reference, dict) else None
        return str((named.get("block_document_id") if isinstance(named, dict) else named) or saved(block))

    def heading(self) -> Heading:
        """Return the heading of the job's pages."""
        return heading(
            self.job_id, self.kind, self.run.name, self.source, has_deployment=self.run.deployment_id is not None
        )

    def guarded(self, work: Callable[[], State[Any]]) -> State[Any]:
        """Do the work and return its final state; an error that keeps the job from running makes it Failed."""
        try:
            require_storable(_parameters(), "")  # on SQLite Prefect takes a run with what PostgreSQL refuses
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
            refusal = _refusal(error)
            if refusal is not None:
                return self.refused(refusal)
            if unstorable(str(error)):  # Prefect's engine puts it into the state in which the run ends
                raise RuntimeError(one_line(f"{type(error).__name__}: {error}")) from error
            raise

    def pin(self, **places: str) -> None:
        """Keep the whole locations of its places in the run's parameters.

        A relative path, or the default store, would mean another place to another process. `places` are parameters;
        those that are blocks already name the same place in every process, and are kept. The report of a retry (`only`)
        is removed, as it is for one attempt.
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

    def pin_query(self, folder: JobFolder, kept: Query) -> None:
        """Make the run's parameters name the job's own file of patterns, and remove the file it was created with."""
        if kept.patterns is None:
            return
        given, named = self.run.parameters, in_parameters(folder, kept).to_json()
        if given.get("query") != named:
            with get_client(sync_client=True) as client:
                client.update_flow_run(self.run.id, parameters={**given, "query": named})
                self.session.run = client.read_flow_run(self.run.id)
        discard(folder.store, given.get("query"))

    def keep_log(self, folder: JobFolder) -> None:
        """Record in the custody log what a user asks of the job by Prefect's own buttons."""
        by = {"by": "Prefect's UI or API"}
        if self.session.asked:
            custody_events.record_event(folder, self.session.asked, by)
        # In the background, as the watcher must not wait for a store.
        self.session.canceled_in_prefect = lambda: in_background(
            custody_events.record_event, folder, "cancel-requested", by
        )

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

    def require_exportable(self, collection: str) -> None:
        """Raise ActionNotAllowed if the collection's status does not offer Export; called before an export is bound."""
        with get_client(sync_client=True) as client:
            require_exportable(client, collection)

    def require_collected(self) -> None:
        """Put an export back to Awaiting collection if it was started before its collection was done.

        Called before an export is bound. Raises Pause then; JobNotFound if the collection was deleted.
        """
        if not label_of(self.run, EXPORT_WHEN):
            return
        with get_client(sync_client=True) as client:
            done = collection_is_done(client, self.run)
            if done is None:
                raise JobNotFound(COLLECTION_DELETED)
            if not done:
                state = awaiting_state("Its collection is not completed yet, so it was not started.")
                let_go(self.run.id)
                set_labels(client, self.run.id, {QUEUED: ""})
                put(client, self.run.id, state)
                publish_status(self.kind, JobStatus.AWAITING_COLLECTION, self.run, state.message or "")
                raise Pause("The export awaits its collection.", state=state)

    def make_export(self, wanted: AutoExport) -> None:
        """Make the export that awaits this collection, unless it is there."""
        with get_client(sync_client=True) as client:
            ensure_export(client, self.run, wanted, self.run.parameters.get("store") or "", self.source)

    def of_source(self, source: str, collection: str) -> StartedJob:
        """Return the job with its data source, which an export gets from its collection."""
        with get_client(sync_client=True) as client:
            set_labels(client, self.run.id, {SOURCE: source})
            tag(client, self.run, export_tag(collection))
            self.session.run = client.read_flow_run(self.run.id)
        return replace(self, source=source)

    def enter(self) -> bool:
        """Wait for the job's turn; False if it was canceled meanwhile. Raises Pause if its process is to end."""
        queue = SourceQueue(self.kind, self.source)
        if not label_of(self.run, QUEUED):  # else it was told when it was put into the queue
            publish_status(self.kind, JobStatus.QUEUED, self.run, source=self.source)
        try:
            with get_client(sync_client=True) as client:
                if not in_infrastructure(self.run.id):  # else a recovery runs
                    recover_lost(client)
                entered = self.session.enter(client, queue, self._waits, partial(recover_slot_holders, client, queue))
        except Pause:
            show_queue(self.kind, self.source, self.run)
            let_go(self.run.id)
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
        """Give the running job's state its documented name."""
        self.session.attempt = attempt
        self.session.wait_for_server()
        with get_client(sync_client=True) as client:
            set_labels(client, self.run.id, {ATTEMPT: str(attempt)})
            if not put_unless_canceled(client, self.run.id, state_of(self.kind, JobStatus.IN_PROGRESS)):
                self.session.hear_cancel(client.read_flow_run(self.run.id))
                return
        publish_status(self.kind, JobStatus.IN_PROGRESS, self.run, source=self.source)


def _parameters() -> dict[str, Any]:
    """Return what the flow was called with, as Prefect's UI, a schedule or a caller gave it."""
    context = FlowRunContext.get()
    return {} if context is None else dict(context.parameters or {})


def _refusal(error: Exception) -> CollectError | None:
    """Return the error for a job that cannot run because Prefect refused a request, or a folder is full; else None."""
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        return store_error(error, os.fspath(error.filename or tempfile.gettempdir()))
    found = prefect_error(error)
    return None if found is None or found.transient else found


class PutBack(Exception):
    """The run was started although its status does not allow it; carries the state to put it back to."""

    def __init__(self, state: State[Any]) -> None:
        super().__init__(state.message)
        self.state = state
