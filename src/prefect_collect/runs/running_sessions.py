"""The jobs that this process runs, by the id of their run."""

from __future__ import annotations

from uuid import UUID

from prefect_collect.runs.session import Session

_sessions: dict[UUID, Session] = {}


def hold(session: Session) -> None:
    """Remember this process's hold on a job, until `job_ended`."""
    _sessions[session.run.id] = session


def held(run_id: UUID) -> Session | None:
    """This process's hold on the job; None if it has none."""
    return _sessions.get(run_id)


def let_go(run_id: UUID) -> Session | None:
    """Look after the job's run no more, and leave its slot as it is; gives the hold on it that this process had."""
    session = _sessions.pop(run_id, None)
    if session is not None:
        session.end()
        session.interrupts.restore()
    return session
