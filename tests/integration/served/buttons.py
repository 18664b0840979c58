"""The buttons of Prefect's UI, as the requests that they send (3.8: `ui-v2/src/api/flow-runs`, and its dialogs)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from prefect.client.orchestration import get_client

from prefect_collect import jobs


def resume(job: jobs.Job) -> str:
    """Press Resume of a paused run; return the server's answer: ACCEPT, REJECT, ABORT."""
    return str(_post(job, "resume", None)["status"])


def cancel(job: jobs.Job) -> None:
    """Press Cancel of a run that runs, waits or is paused."""
    _set(job, {"type": "CANCELLING", "name": "Cancelling"})


def pause(job: jobs.Job) -> None:
    """Press Pause of a run that runs."""
    until_then = (datetime.now(UTC) + timedelta(seconds=300)).isoformat()
    details = {"pause_timeout": until_then, "pause_reschedule": True}
    _set(job, {"type": "PAUSED", "name": "Suspended", "state_details": details})


def retry(job: jobs.Job) -> None:
    """Press Retry of a deployment's run that has ended."""
    _set(job, {"type": "SCHEDULED", "name": "AwaitingRetry", "message": "Retry from the UI"})


def change_state(job: jobs.Job, type_: str) -> None:
    """Press Change state of a run."""
    _set(job, {"type": type_})


def delete(job: jobs.Job) -> None:
    """Press Delete of a run."""
    with get_client(sync_client=True) as client:
        client._client.delete(f"/flow_runs/{job.id}")


def _set(job: jobs.Job, state: dict[str, Any]) -> None:
    _post(job, "set_state", {"state": state, "force": True})


def _post(job: jobs.Job, what: str, body: Any) -> Any:
    with get_client(sync_client=True) as client:
        return client._client.post(f"/flow_runs/{job.id}/{what}", json=body).json()
