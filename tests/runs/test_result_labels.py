"""The labels from which a snapshot is made."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import FlowRun, State, StateType

from prefect_collect.job_folder.duplicate_counts import DuplicateCounts
from prefect_collect.job_folder.result import Counts, TaskResult
from prefect_collect.pages.snapshot import JobLine
from prefect_collect.runs.result_labels import job_lines, result_labels, success_rate
from prefect_collect.statuses import JobKind, JobStatus, TaskStatus
from tests.pages.test_snapshot import WHEN

COUNTS = Counts(found=3, succeeded=2, failed=1, bytes=2**60)
RESULT = TaskResult(
    "job", JobKind.COLLECTION, 1, TaskStatus.COMPLETED_WITH_ERRORS, JobStatus.PARTIALLY_COMPLETED, COUNTS, COUNTS,
    WHEN, WHEN,
)  # fmt: skip


def test_labels_become_a_line() -> None:
    """A job's labels and state hold all that the snapshot needs."""
    labels = {"prefect-collect.source": "docs", **result_labels(RESULT)}
    state: State[object] = State(type=StateType.COMPLETED, name="Partially completed")
    run = FlowRun(flow_id=uuid4(), state=state, labels=labels)
    [line] = job_lines([(run, JobKind.COLLECTION)])
    assert line == JobLine(JobKind.COLLECTION, JobStatus.PARTIALLY_COMPLETED, "docs", 2, 2**60)


def test_labels_count_duplicates() -> None:
    """Those of an export say how many items have the bytes of another, and how many are not delivered again."""
    result = replace(RESULT, kind=JobKind.EXPORT, duplicates=DuplicateCounts(5, 50, 1, 3, 30, "global"))
    run = FlowRun(flow_id=uuid4(), labels={**result_labels(result)})
    [line] = job_lines([(run, JobKind.EXPORT)])
    assert (line.duplicates, line.withheld) == (5, 3)


@pytest.mark.parametrize(("label", "number"), [("7", 7), (7, 7), ("-1", 0), ("many", 0), (1.5, 0), ("٣", 0)])
def test_labels_that_a_user_changed(label: object, number: int) -> None:
    """A label that is not a number counts as 0, without an error."""
    run = FlowRun.model_construct(flow_id=uuid4(), state=None, labels={"prefect-collect.items": label})
    [line] = job_lines([(run, JobKind.EXPORT)])
    assert line == JobLine(JobKind.EXPORT, None, "", number, 0)


def test_the_success_rate() -> None:
    """The label of the success rate is read back; one that a user has set to anything else counts as not known."""
    run = FlowRun(flow_id=uuid4(), labels={**result_labels(RESULT)})
    assert success_rate(run) == pytest.approx(200 / 3, abs=0.001)
    for label in ("all", True, -1, 101, "50"):
        changed = FlowRun.model_construct(flow_id=uuid4(), labels={"prefect-collect.success-rate": label})
        assert success_rate(changed) is None
    assert success_rate(FlowRun.model_construct(flow_id=uuid4(), labels={})) is None
