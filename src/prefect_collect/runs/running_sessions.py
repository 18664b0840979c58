"""The sessions of the jobs that this process runs, by the id of their run."""

from __future__ import annotations

from uuid import UUID

from prefect_collect.runs.session import Session

_sessions: dict[UUID, Session] = {}


def hold(session: Session) -> None:
    """Register the session of a job that this process runs, until `job_ended` or `let_go`."""
    _sessions[session.run.id] = session


def held(run_id: UUID) -> Session | None:
    """Return the session of the job in this process; None if this process does not run the job."""
    return _sessions.get(run_id)


def let_go(run_id: UUID) -> Session | None:
    """End and unregister the job's session without giving its slot back; return it, or None if there was none."""
    session = _sessions.pop(run_id, None)
    if session is not None:
        session.end()
        session.interrupts.restore()
    return session
