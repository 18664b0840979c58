"""Runs that a schedule made, as jobs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from prefect.client.schemas.objects import FlowRun, State
from prefect.states import Completed, Scheduled

from prefect_collect.console.job_row import row_of
from prefect_collect.runs.job_runs import JobRuns
from prefect_collect.statuses import JobKind

MADE = datetime(2026, 1, 1, tzinfo=UTC)
DUE = MADE + timedelta(days=3)


@pytest.mark.parametrize(
    ("by_schedule", "state", "parameters", "shown"),
    [
        (True, Scheduled(scheduled_time=DUE), {"name": "nightly"}, ("nightly", DUE)),
        (True, Scheduled(scheduled_time=DUE), {}, ("refined-bobcat", DUE)),
        (True, Completed(), {"name": "nightly"}, ("refined-bobcat", DUE)),
        (False, Scheduled(scheduled_time=DUE), {"name": "nightly"}, ("refined-bobcat", MADE)),
    ],
)
def test_a_job_of_a_schedule(
    by_schedule: bool, state: State, parameters: dict[str, str], shown: tuple[str, datetime]
) -> None:
    """It was created when it was due, and has the name of its parameters until its run gets one; others are as made."""
    values = {
        "id": uuid4(), "flow_id": uuid4(), "name": "refined-bobcat", "created": MADE, "expected_start_time": DUE,
        "state": state, "auto_scheduled": by_schedule, "parameters": parameters,
    }  # fmt: skip
    run = FlowRun.model_validate(values)
    answer = run.model_dump(mode="json")
    found = JobRuns(lambda method, path, body=None: answer).run(UUID(str(run.id)))
    assert found is not None
    assert (found.name, found.created) == shown
    row = row_of(run, JobKind.COLLECTION)
    assert (row.name, row.created) == shown
