"""Run a job by Prefect's engine, and end the job if the engine could not set its final state.

The engine sets the final state of a flow once, and calls no hook if Prefect refuses it: the run was deleted, canceled
or ended by a user a moment before, or the server failed. Without this module the process, if it lives on, would hold
the job's slot, and give signs of life for a job that has ended.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
from collections.abc import Callable
from contextlib import nullcontext, suppress
from contextvars import ContextVar
from math import inf
from time import sleep
from typing import Any, Final, Literal

import httpx
import stamina
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.context import SyncClientContext
from prefect.exceptions import Abort, ObjectNotFound, TerminationSignal
from prefect.flow_engine import run_flow
from prefect.logging import get_logger
from prefect.states import Crashed

from prefect_collect.artifacts.job_page import show_places
from prefect_collect.errors import JobInterrupted
from prefect_collect.escaping import one_line
from prefect_collect.flows.auto_exports import follow_up
from prefect_collect.flows.recover_jobs import job_crashed
from prefect_collect.flows.running_job._end_states import is_published, keep_settled, put_published_end
from prefect_collect.flows.running_job._ownership import for_engine
from prefect_collect.runs.garbage import new_garbage_only
from prefect_collect.runs.job_end import give_slot_on, job_ended, kind_of
from prefect_collect.runs.labels import is_ours
from prefect_collect.runs.refusals import prefect_error
from prefect_collect.runs.server import SOON, Unreached, trying_once, wait_for_server
from prefect_collect.runs.session import Session, release_session
from prefect_collect.runs.states import put
from prefect_collect.statuses import JobStatus
from prefect_collect.threads.pool import in_background

_AGAIN: Final = 15.0
"""Seconds between two tries to publish a job's end to a server that answers, but refuses it."""

_begun: ContextVar[list[Session] | None] = ContextVar("jobs begun", default=None)
_log = get_logger("prefect_collect")


def run_job(
    flow: Any,
    run: FlowRun | Callable[[], FlowRun] | None,
    *,
    return_type: Literal["state", "result"],
    **options: Any,
) -> Any:
    """Run a job flow in this process, and return its state, or its result, as Prefect's `run_flow` does.

    If the engine could not set the job's final state, but it was set afterwards, that state is returned. An error of
    the engine is raised; JobInterrupted if Ctrl-C ended the process before the job's end was published, or came too
    late to cancel the job.

    Args:
        flow: The job's flow.
        run: The job's run, or what creates it; None for a job that another flow calls: the engine creates its run.
        return_type: What to return.
        options: More arguments of `run_flow`.
    """
    sessions: list[Session] = []
    before = sys.exception()
    token = _begun.set(sessions)
    state: Any = None
    failure: BaseException | None = None
    number, made, is_reported = 0, None, True
    try:
        # The engine, and all that the job asks Prefect for, use the one client that is made here.
        with SyncClientContext.get_or_create(), new_garbage_only():
            made = run() if callable(run) else run
            state = run_flow(for_engine(flow, made), flow_run=made, return_type="state", **options)
    except (Exception, Unreached) as error:
        failure, number = error, _signal_of(error, before)
        if number:
            _wait_no_more(sessions)
    except Abort:
        if not any(session.ended for session in sessions):
            raise
    except KeyboardInterrupt:
        _wait_no_more(sessions)
        number = signal.SIGINT
    except (SystemExit, TerminationSignal):
        _wait_no_more(sessions)
        raise
    finally:
        _begun.reset(token)
        for session in sessions:
            if not _end_unpublished(session):
                is_reported = False
                with suppress(RuntimeError):  # no more threads can be started: the recovery flow does it
                    in_background(_end_later, session, name="end later")
    for session in sessions:
        if session.interrupts.came_late or session.published is not JobStatus.CANCELED:
            number = number or session.interrupts.number
        is_aborted = state is None and failure is None
        if session.ended is not None and (
            return_type == "state" or is_aborted or _is_aftermath(session, state, failure)
        ):
            state, failure = session.ended, None
        elif state is not None and state.data is None and session.final is not None and is_published(session, state):
            # The server's first answer was lost, and the repeated one lacks the value that the flow returned.
            state = state.model_copy(update={"data": session.final.data})
    if number:
        _end_by(number, "" if made is None else str(made.id), is_reported=is_reported)
    if failure is not None:
        raise (failure.__cause__ or failure) if isinstance(failure, Unreached) else failure
    return state if return_type == "state" else state.result(raise_on_failure=True)


def _wait_no_more(begun: list[Session]) -> None:
    for session in begun:
        session.is_left = True


def _signal_of(error: BaseException | None, before: BaseException | None) -> int:
    """Return the number of the signal that caused the error; 0 if none did.

    `before` is the exception that the job's caller was handling; it and its causes do not count.
    """
    while error is not None and error is not before:
        if isinstance(error, KeyboardInterrupt):
            return signal.SIGINT
        if isinstance(error, TerminationSignal):
            return error.signal
        error = error.__cause__ or error.__context__
    return 0


def _end_by(number: int, job_id: str, *, is_reported: bool) -> None:
    """End the process as the signal would have ended it if no job had been under way."""
    if number == signal.SIGINT:
        message = f"The end of the job could not be reported to Prefect's server. [job={job_id}]"
        raise JobInterrupted("" if is_reported else message, job_id)
    os.kill(os.getpid(), number)
    raise TerminationSignal(number)


def _is_aftermath(session: Session, state: Any, failure: BaseException | None) -> bool:
    """Return whether the error only concerns the publishing of the job's end; any other error is to be raised."""
    if session.published is not None:
        return True
    raised = failure if state is None else state.result(raise_on_failure=False)
    return isinstance(raised, BaseException) and prefect_error(raised) is not None


def ensure_end(session: Session) -> None:
    """Have the job ended, if the engine does not do it, at the end of `run_job` or of the worker's process."""
    begun = _begun.get()
    if begun is None:
        atexit.register(_end_unpublished, session)
    else:
        begun.append(session)


def _end_unpublished(session: Session) -> bool:
    """End a job whose session is still registered although its flow has ended, as its evidence says.

    Return whether the job has ended in Prefect too.
    """
    if not release_session(session):
        return True
    try:
        session.wait_for_server()
        is_brief = session.is_left or session.interrupts.came_late
        http = {"timeout": SOON} if is_brief else {}
        with trying_once() if is_brief else nullcontext():
            for attempt in stamina.retry_context(
                on=httpx.HTTPStatusError, attempts=1 if is_brief else 4, timeout=15.0, wait_initial=0.2
            ):
                with (
                    attempt,
                    get_client(httpx_settings=http, sync_client=True) as client,
                ):
                    _settle(client, session)
    except (Exception, Unreached) as error:  # it must not replace the flow's own value or error
        _log.warning(
            "The end of job %s is left to the next job, or the recovery: %s", session.run.id, one_line(str(error))
        )
        return False
    return True


def _end_later(session: Session) -> None:
    """End the job when Prefect's server answers again, as long as this process lives, in the background.

    Other processes do not recover the job while this process lives.
    """
    while True:
        wait_for_server(str(session.run.id), lambda: inf)
        try:
            with get_client(sync_client=True) as client:
                return _settle(client, session)
        except Exception as error:
            _log.warning(
                "The end of job %s could not be reported to Prefect's server, and is reported again later: %s",
                session.run.id,
                one_line(str(error)),
            )
        sleep(_AGAIN)


def _settle(client: SyncPrefectClient, session: Session) -> None:
    try:
        run = client.read_flow_run(session.run.id)
    except ObjectNotFound:
        give_slot_on(client, session)
        return
    if not is_ours(run):
        if run.state is not None and run.state.is_final():
            job_ended(run.id, follow_up, show_places, lease=session.lease)
        else:
            give_slot_on(client, session)
        return
    kind = kind_of(client, run)
    if kind is not None and put_published_end(client, run, kind, session):
        job_ended(run.id, follow_up, show_places, lease=session.lease)
        return
    put(client, run.id, Crashed(message="The end of the job could not be reported to Prefect's server."))
    job_crashed(client, run.id)
    if kind is not None:
        keep_settled(client, run.id, kind, session)
