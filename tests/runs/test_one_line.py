"""Texts that Prefect gets of a job are one line, whatever names are in them."""

from __future__ import annotations

from prefect_collect.runs.events import _payload, _resource
from prefect_collect.runs.source_queue import SourceQueue
from prefect_collect.runs.states import parked_state, skipped_state, state_of
from prefect_collect.statuses import JobKind, JobStatus

FORGED = "a\nINFO | forged\x1b[2J\u202e\x9b"
LINE = "a\\nINFO | forged\\x1b[2J\\u202e\\x9b"


def test_states_and_queues() -> None:
    """Messages of states, and the names of a queue's tag and limit, are one line."""
    kind = JobKind.COLLECTION
    assert state_of(kind, JobStatus.FAILED, FORGED).message == LINE
    assert skipped_state(FORGED).message == LINE
    assert parked_state(kind, FORGED).message == LINE
    assert SourceQueue(kind, FORGED).name == f"collection:{LINE}"
    assert SourceQueue.named(SourceQueue(kind, FORGED).name) == SourceQueue(kind, LINE)


def test_events() -> None:
    """Name, source and message of an event are one line."""
    resource = _resource(JobKind.EXPORT, JobStatus.FAILED, "j", FORGED, FORGED)
    assert (resource["prefect.resource.name"], resource["prefect-collect.source"]) == (LINE, LINE)
    assert _payload(FORGED, None) == {"message": LINE}
