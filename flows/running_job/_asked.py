"""Record in the custody log what a user asks of a job by the buttons of Prefect's UI."""

from __future__ import annotations

from typing import Any, Final

from prefect.client.schemas.objects import State

from prefect_collect.job_folder import custody_events
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.runs.session import Session
from prefect_collect.statuses import JobStatus
from prefect_collect.threads.pool import in_background

_ASKED: Final = {"AwaitingRetry": "retry-requested", "Resuming": "start-requested"}


def asked_by(states: list[State[Any]]) -> str:
    """Return the custody event of the button of Prefect's UI that started the run; "" if it was started otherwise.

    A run that `prefect_collect.jobs` starts has a state called Queued.
    """
    due = [state.name for state in states if state.is_scheduled() or state.name == str(JobStatus.QUEUED)]
    return _ASKED.get(due[-1] or "", "") if due else ""


def keep_log(session: Session, folder: JobFolder) -> None:
    """Record in the custody log what a user asks of the job by Prefect's own buttons."""
    by = {"by": "Prefect's UI or API"}
    if session.asked:
        custody_events.record_event(folder, session.asked, by)
    # In the background, as the thread that watches the run must not wait for a store.
    session.canceled_in_prefect = lambda: in_background(custody_events.record_event, folder, "cancel-requested", by)
