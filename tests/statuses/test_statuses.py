"""The statuses of jobs and their tasks are those of the documentation, with their transitions and next steps."""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import islice, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_collect import statuses
from prefect_collect.errors import ActionNotAllowed, StatusError, TransitionNotAllowed
from prefect_collect.statuses import (
    ENDED_TASK_STATUSES,
    STATUS_OF_TASK,
    TASK_OF_STATUS,
    TERMINAL_JOB_STATUSES,
    TERMINAL_TASK_STATUSES,
    JobKind,
    JobStatus,
    LifecycleStatus,
    NextStep,
    SnapshotGroup,
    TaskStatus,
    definition,
    guidance,
    job_statuses,
    job_transitions,
    next_steps,
    poll_delays,
    require_step,
    require_task_transition,
    require_transition,
    should_poll,
    snapshot_group,
    task_transitions,
    to_prefect_state,
)
from tests.statuses.documented_jobs import DATA, JOB_PAIRS, JOB_ROWS, C, E

TASK_TEXT = (DATA / "task-statuses.md").read_text(encoding="utf-8")


def test_the_job_tables_are_read_whole() -> None:
    """The copy of the specification has the 7 rows of each table, so that the tests below test something."""
    assert [kind for kind, *_ in JOB_ROWS] == [C] * 7 + [E] * 7


@pytest.mark.parametrize(("kind", "status", "means", "todo"), JOB_ROWS)
def test_every_row_of_the_job_tables(kind: JobKind, status: str, means: str, todo: str) -> None:
    """Each documented job status exists for its kind with the documented definition, guidance and next steps."""
    found = JobStatus(status)
    assert definition(kind, found) == means
    assert guidance(kind, found) == todo
    first_sentence = todo.split(". ")[0]
    documented = [word for word in re.findall(r"[A-Z][a-z]+", first_sentence) if word in set(NextStep)]
    assert [str(step) for step in next_steps(kind, found)] == documented


def test_no_status_but_the_documented_ones() -> None:
    """A kind has the statuses of its table, in their order; the two tables together have all statuses."""
    for kind in JobKind:
        assert [str(status) for status in job_statuses(kind)] == [row[1] for row in JOB_ROWS if row[0] is kind]
    assert {row[1] for row in JOB_ROWS} == set(JobStatus)


def test_the_thirteen_documented_task_statuses() -> None:
    """The values of TaskStatus and LifecycleStatus are together the documented 13, in no other spelling."""
    listed = re.findall(r"(?m)^([A-Z_]+)\(value:'([A-Z_]+)'\)", TASK_TEXT)
    assert len(listed) == 13
    assert {name for name, _ in listed} == {*TaskStatus.__members__, *LifecycleStatus.__members__}
    assert {value for _, value in listed} == {*map(str, TaskStatus), *map(str, LifecycleStatus)}
    assert not set(map(str, TaskStatus)) & set(map(str, LifecycleStatus))


@pytest.mark.parametrize("kind", JobKind)
def test_a_job_without_a_report_names_none(kind: JobKind) -> None:
    """Of a job that failed before any attempt had a result, neither definition nor guidance leads to a report."""
    for status in job_statuses(kind):
        assert "report" not in definition(kind, status, has_report=False) + guidance(kind, status, has_report=False)
    assert definition(kind, JobStatus.FAILED, has_report=False).endswith(("collected.", "exported."))
    assert guidance(kind, JobStatus.FAILED, has_report=False).endswith("after reviewing the error message.")


def test_task_definitions_are_the_documented_ones() -> None:
    """Each task and lifecycle status has the specification's definition, word for word."""
    values = TASK_TEXT.split("Values: ")[1].split(" Terminal Statuses:")[0]
    found = dict(re.findall(r"([A-Z_]{5,}): (.*?)(?= [A-Z_]{5,}: |$)", values))
    assert found == {str(status): status.definition for status in (*TaskStatus, *LifecycleStatus)}


def test_terminal_task_statuses_are_the_documented_four() -> None:
    """The four terminal statuses of the specification end polling; SKIPPED never changes either."""
    listed = TASK_TEXT.split("Terminal Statuses: ")[1].split(" are terminal")[0]
    assert set(listed.split(", ")) == TERMINAL_TASK_STATUSES
    assert {status for status in TaskStatus if status.is_terminal} == TERMINAL_TASK_STATUSES
    assert {status for status in TaskStatus if status.is_ended} == TERMINAL_TASK_STATUSES | {TaskStatus.SKIPPED}


def test_polling_is_as_documented() -> None:
    """Poll in the documented three statuses, stop at the documented four, and back off from 1 s to 30 s by doubling."""
    poll = TASK_TEXT.split("Poll tasks in ")[1].split(" states")[0]
    assert {status for status in TaskStatus if should_poll(status)} == set(re.findall("[A-Z_]+", poll))
    stop = TASK_TEXT.split("Stop polling when task reaches ")[1].split(" - ")[0]
    assert set(re.findall(r"[A-Z_]{3,}", stop)) == TERMINAL_TASK_STATUSES
    assert "(1s → 30s)" in TASK_TEXT
    assert list(islice(poll_delays(), 8)) == [1, 2, 4, 8, 16, 30, 30, 30]


def test_partially_completed_is_shown_as_completed() -> None:
    """The Collections Snapshot counts Partially completed under Completed, as both tables say; others separately."""
    for kind, status, means, _ in JOB_ROWS:
        shown = re.search(r"show in the (\w+) status in the Collections Snapshot", means)
        if shown:
            assert snapshot_group(JobStatus(status)) == shown[1], kind
        elif status == "Successfully completed":
            assert snapshot_group(JobStatus(status)) is SnapshotGroup.COMPLETED
        else:
            assert snapshot_group(JobStatus(status)) == status
    assert {snapshot_group(status) for status in JobStatus} == set(SnapshotGroup)


@pytest.mark.parametrize(("kind", "status"), JOB_PAIRS)
def test_a_step_is_allowed_exactly_if_listed(kind: JobKind, status: JobStatus) -> None:
    """A listed step passes; any other raises, with the status and everything that is allowed in the message."""
    for step in NextStep:
        if step in next_steps(kind, status):
            require_step(kind, status, step)
        else:
            with pytest.raises(ActionNotAllowed) as caught:
                require_step(kind, status, step)
            assert all(word in str(caught.value) for word in (status, step, *next_steps(kind, status)))


def test_a_refusal_reads_well() -> None:
    """The messages are sentences that say what was refused and what is possible instead."""
    with pytest.raises(ActionNotAllowed) as step:
        require_step(C, JobStatus.SUCCESSFULLY_COMPLETED, NextStep.RETRY)
    assert str(step.value) == (
        "A collection job that is 'Successfully completed' does not offer 'Retry'; it offers 'Preview', 'Export' or "
        "'Delete'. [kind=collection, status=Successfully completed]"
    )
    with pytest.raises(TransitionNotAllowed, match=r"from 'Successfully completed' to 'Queued'; it can go nowhere"):
        require_transition(E, JobStatus.SUCCESSFULLY_COMPLETED, JobStatus.QUEUED)
    with pytest.raises(
        TransitionNotAllowed, match="An export job cannot go from 'Canceled' to 'Failed'; it can go to "
    ):
        require_transition(E, JobStatus.CANCELED, JobStatus.FAILED)


@pytest.mark.parametrize(("kind", "status"), [(C, JobStatus.AWAITING_COLLECTION), (E, JobStatus.DRAFTED)])
def test_a_status_of_the_other_kind_is_refused(kind: JobKind, status: JobStatus) -> None:
    """Collections never await a collection and exports are never drafted: every function raises StatusError for it."""
    for ask in (definition, guidance, next_steps, job_transitions, to_prefect_state):
        with pytest.raises(StatusError, match=f"{status}"):
            ask(kind, status)
    with pytest.raises(StatusError):
        require_step(kind, status, NextStep.DELETE)
    with pytest.raises(StatusError):
        require_transition(kind, JobStatus.QUEUED, status)


@pytest.mark.parametrize("kind", list(JobKind))
def test_a_job_transition_is_allowed_exactly_if_listed(kind: JobKind) -> None:
    """A listed change passes, as does none for a job that has not ended; any other raises and lists what is allowed."""
    for old, new in product(job_statuses(kind), repeat=2):
        if new in job_transitions(kind, old) or (new is old and not old.is_terminal):
            require_transition(kind, old, new)
        else:
            with pytest.raises(TransitionNotAllowed) as caught:
                require_transition(kind, old, new)
            assert all(word in str(caught.value) for word in (old, new, *job_transitions(kind, old)))


@pytest.mark.parametrize(("kind", "status"), JOB_PAIRS)
def test_job_transitions_follow_from_the_next_steps(kind: JobKind, status: JobStatus) -> None:
    """A status leads to a run exactly if it waits for one or offers Start or Retry; to Canceled if it offers Cancel."""
    leads, steps = set(job_transitions(kind, status)), set(next_steps(kind, status))
    restartable = bool(steps & {NextStep.START, NextStep.RETRY})
    waits = status in (JobStatus.QUEUED, JobStatus.AWAITING_COLLECTION)
    assert (JobStatus.IN_PROGRESS in leads) == (restartable or waits)
    assert (JobStatus.CANCELED in leads) == (NextStep.CANCEL in steps)
    if status is JobStatus.IN_PROGRESS:
        assert leads == TERMINAL_JOB_STATUSES | {JobStatus.QUEUED}
    if status.is_terminal:
        assert leads == ({JobStatus.QUEUED, JobStatus.IN_PROGRESS} if restartable else set())


def test_only_successfully_completed_is_left_by_nothing() -> None:
    """Only Successfully completed is final: every other status can change, by a user or by itself."""
    stuck = {status for kind, status in JOB_PAIRS if not job_transitions(kind, status)}
    assert stuck == {JobStatus.SUCCESSFULLY_COMPLETED}


@given(st.sampled_from(TaskStatus), st.sampled_from(TaskStatus))
def test_a_task_transition_is_allowed_exactly_if_listed(old: TaskStatus, new: TaskStatus) -> None:
    """A listed change passes; every other raises TransitionNotAllowed and names both statuses; an end is never left."""
    if new in task_transitions(old) or (new is old and not old.is_ended):
        require_task_transition(old, new)
        assert old not in ENDED_TASK_STATUSES
    else:
        with pytest.raises(TransitionNotAllowed) as caught:
            require_task_transition(old, new)
        assert all(word in str(caught.value) for word in (old, new, *task_transitions(old)))


def test_a_job_under_way_moves_its_task_along() -> None:
    """Every change that a job may make before it has ended, its attempt may make too: the two models agree."""
    for kind, old in JOB_PAIRS:
        for new in job_transitions(kind, old):
            if not old.is_terminal:
                require_task_transition(TASK_OF_STATUS[old], TASK_OF_STATUS[new])


def test_every_end_of_a_task_is_an_end_of_its_job() -> None:
    """Each end of an attempt gives one job status, and the four documented ends give the job's four ends."""
    assert set(STATUS_OF_TASK) == ENDED_TASK_STATUSES
    assert {STATUS_OF_TASK[task] for task in TERMINAL_TASK_STATUSES} == TERMINAL_JOB_STATUSES
    for task in TERMINAL_TASK_STATUSES:
        assert TASK_OF_STATUS[STATUS_OF_TASK[task]] is task


def test_statuses_do_not_import_prefect() -> None:
    """Importing the model must not import Prefect, in a fresh process."""
    code = "import sys, prefect_collect.statuses; sys.exit(any(m.split('.')[0] == 'prefect' for m in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_all_is_sorted_and_complete() -> None:
    """`__all__` lists all public names of the module, in isort order."""
    names = list(statuses.__all__)
    assert names == sorted(names, key=lambda n: (not n.isupper(), not n[0].isupper(), n))
    assert all(hasattr(statuses, name) for name in names)
