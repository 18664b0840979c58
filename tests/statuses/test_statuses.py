"""The status model, compared with the specification's own text (copied verbatim to tests/data/)."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from itertools import islice, product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_collect import statuses
from prefect_collect.errors import ActionNotAllowed, StatusError, TransitionNotAllowed
from prefect_collect.statuses import (
    ENDED_TASK_STATUSES,
    SKIPPED_STATE,
    STATUS_OF_TASK,
    TASK_OF_STATUS,
    TERMINAL_JOB_STATUSES,
    TERMINAL_TASK_STATUSES,
    JobKind,
    JobStatus,
    LifecycleStatus,
    NextStep,
    SnapshotGroup,
    Statuses,
    TaskStatus,
    definition,
    from_prefect_state,
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
from tests.support.process_fork import run_fork

DATA = Path(__file__).parents[1] / "data"
TASK_TEXT = (DATA / "task-statuses.md").read_text(encoding="utf-8")
C, E = JobKind.COLLECTION, JobKind.EXPORT

PREFECT_TYPES = (
    *("SCHEDULED", "PENDING", "RUNNING", "COMPLETED", "FAILED", "CANCELLED", "CRASHED", "PAUSED", "CANCELLING"),
)
PREFECT_NAMES = (
    *("Scheduled", "Late", "AwaitingRetry", "AwaitingConcurrencySlot", "Resuming", "Pending", "Submitting"),
    *("InfrastructurePending", "NotReady", "Running", "Retrying", "Cancelling", "Paused", "Suspended", "Completed"),
    *("Cached", "RolledBack", "Failed", "TimedOut", "Crashed", "Cancelled", "Skipped"),
)


def _job_rows() -> list[tuple[JobKind, str, str, str]]:
    """Return every row of the two job tables: kind, status, definition, next steps."""
    rows, kind = [], C
    for line in (DATA / "job-statuses.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("Export Job Statuses"):
            kind = E
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("|") and cells[0] != "Status" and not cells[0].startswith("---"):
            rows.append((kind, cells[0], cells[1], cells[2]))
    return rows


JOB_ROWS = _job_rows()
JOB_PAIRS = [(kind, status) for kind in JobKind for status in job_statuses(kind)]


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


@pytest.mark.parametrize(("kind", "status"), JOB_PAIRS)
def test_prefect_states_round_trip(kind: JobKind, status: JobStatus) -> None:
    """A status gives a Prefect state with its name, and that state gives the same status."""
    state = to_prefect_state(kind, status)
    assert state.type in PREFECT_TYPES
    assert state.name == status
    assert from_prefect_state(kind, state.type, state.name) == Statuses(status, TASK_OF_STATUS[status])


@pytest.mark.parametrize("kind", list(JobKind))
@pytest.mark.parametrize(
    ("type", "names", "job", "task"),
    [
        (
            "SCHEDULED",
            "Scheduled Late AwaitingConcurrencySlot AwaitingRetry Resuming",
            JobStatus.QUEUED,
            TaskStatus.PENDING,
        ),
        ("PENDING", "Pending Submitting InfrastructurePending NotReady", JobStatus.QUEUED, TaskStatus.PENDING),
        ("RUNNING", "Running Retrying", JobStatus.IN_PROGRESS, TaskStatus.IN_PROGRESS),
        ("CANCELLING", "Cancelling", JobStatus.IN_PROGRESS, TaskStatus.IN_PROGRESS),
        ("PAUSED", "Paused Suspended", JobStatus.IN_PROGRESS, TaskStatus.IN_PROGRESS),
        ("COMPLETED", "Completed Cached", JobStatus.SUCCESSFULLY_COMPLETED, TaskStatus.COMPLETED),
        ("CRASHED", "Crashed TimedOut", JobStatus.FAILED, TaskStatus.FAILED),
        ("FAILED", "Failed TimedOut", JobStatus.FAILED, TaskStatus.FAILED),
        ("CANCELLED", "Cancelled", JobStatus.CANCELED, TaskStatus.CANCELED),
        ("CANCELLED", "Skipped", JobStatus.CANCELED, TaskStatus.SKIPPED),
    ],
)
def test_prefects_own_states(kind: JobKind, type: str, names: str, job: JobStatus, task: TaskStatus) -> None:
    """Each state that Prefect makes by itself has the status that the design gives it, for both kinds."""
    for name in names.split():
        found = from_prefect_state(kind, type, name)
        assert (found.job, found.task) == (job, task)


def test_a_name_counts_only_with_its_own_type_and_kind() -> None:
    """The type decides: a name that belongs to another type or kind changes nothing."""
    assert from_prefect_state(C, "PENDING", "Awaiting collection").job is JobStatus.QUEUED
    assert from_prefect_state(E, "PAUSED", "Drafted").job is JobStatus.IN_PROGRESS
    assert from_prefect_state(C, "RUNNING", "Drafted").job is JobStatus.IN_PROGRESS
    assert from_prefect_state(C, "FAILED", "Successfully completed").job is JobStatus.FAILED
    assert from_prefect_state(C, "FAILED", "Skipped").task is TaskStatus.FAILED
    assert from_prefect_state(C, "COMPLETED", "failed").job is JobStatus.SUCCESSFULLY_COMPLETED


def test_prefects_own_states_carry_a_note() -> None:
    """One of Prefect's own states gives a note for users; a documented state needs none."""
    assert from_prefect_state(C, "CANCELLING", "Cancelling").note == "being canceled"
    assert from_prefect_state(C, SKIPPED_STATE.type, SKIPPED_STATE.name).note
    assert not any(from_prefect_state(kind, type, status).note for kind in JobKind for type in PREFECT_TYPES
                   for status in JobStatus)  # fmt: skip


def test_an_unreadable_state_is_unknown() -> None:
    """No state, or a type that Prefect does not have, gives UNKNOWN and no job status."""
    for type in (None, "", "DONE", "running"):
        assert from_prefect_state(C, type, "In progress") == Statuses(None, TaskStatus.UNKNOWN)


NAMES = st.one_of(st.none(), st.sampled_from((*PREFECT_NAMES, *map(str, JobStatus))), st.text())


@given(st.sampled_from(JobKind), st.sampled_from(PREFECT_TYPES), NAMES, st.booleans())
def test_every_prefect_state_means_something(kind: JobKind, type: str, name: str | None, moving: bool) -> None:
    """Any type with any name gives a status that the kind has, and a task status that fits it; the same each time."""
    found = from_prefect_state(kind, type, name, moving_data=moving)
    assert found == from_prefect_state(kind, type, name, moving_data=moving)
    assert found.job is not None
    assert found.job in job_statuses(kind)
    assert next_steps(kind, found.job)
    if found.task is TaskStatus.PROCESSING:
        assert moving
        assert found.job is JobStatus.IN_PROGRESS
    elif found.task.is_ended:
        assert STATUS_OF_TASK[found.task] is found.job
    else:
        assert found.task is TASK_OF_STATUS[found.job]
    assert (found.job is JobStatus.IN_PROGRESS and moving) == (found.task is TaskStatus.PROCESSING)


@given(st.sampled_from(JobKind), st.sampled_from(PREFECT_TYPES), st.text())
def test_an_unknown_name_never_decides(kind: JobKind, type: str, name: str) -> None:
    """An undocumented name gives the status of the type alone."""
    if name not in {*PREFECT_NAMES, *map(str, JobStatus)}:
        assert from_prefect_state(kind, type, name) == from_prefect_state(kind, type, None)


@given(st.sampled_from(JobKind), st.one_of(st.none(), st.text()), NAMES)
def test_an_unknown_type_never_raises(kind: JobKind, type: str | None, name: str | None) -> None:
    """A type that is not Prefect's gives UNKNOWN with any name."""
    if type not in PREFECT_TYPES:
        assert from_prefect_state(kind, type, name) == Statuses(None, TaskStatus.UNKNOWN)


@given(st.sampled_from(JobKind), st.sampled_from(PREFECT_TYPES), NAMES)
def test_ends_agree_with_prefect(kind: JobKind, type: str, name: str | None) -> None:
    """A job has ended exactly if its state's type is terminal in Prefect: COMPLETED, FAILED, CRASHED or CANCELLED."""
    found = from_prefect_state(kind, type, name)
    assert found.job is not None
    assert found.job.is_terminal == (type in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")) == found.task.is_ended


def test_the_types_and_names_are_prefects() -> None:
    """Every state type of the installed Prefect is known, also as enumeration member, and so are its states' names."""

    def told() -> None:
        from prefect import states
        from prefect.client.schemas.objects import TERMINAL_STATES, StateType

        for type in StateType:
            for kind in JobKind:
                found = from_prefect_state(kind, type, None)
                assert found == from_prefect_state(kind, type.value, None), type
                assert found.job is not None, type
                assert found.job.is_terminal == (type in TERMINAL_STATES), type
        makers: list[Callable[[], Any]] = [
            states.Scheduled, states.Late, states.AwaitingRetry, states.AwaitingConcurrencySlot, states.Pending,
            states.Submitting, states.InfrastructurePending, states.Running, states.Retrying, states.Cancelling,
            states.Paused, states.Suspended, states.Completed, states.Failed, states.Crashed, states.Cancelled,
        ]  # fmt: skip
        print(" ".join(f"{state.type.value}:{state.name}" for state in (make() for make in makers)))

    done = run_fork(told)  # the other tests here do without Prefect
    assert done.code == 0, done.err.decode()
    made = [pair.split(":") for pair in done.out.decode().split()]
    assert {type for type, _ in made} == set(PREFECT_TYPES)
    assert {name for _, name in made} <= set(PREFECT_NAMES)


def test_statuses_do_not_import_prefect() -> None:
    """Importing the model must not import Prefect, in a fresh process."""
    code = "import sys, prefect_collect.statuses; sys.exit(any(m.split('.')[0] == 'prefect' for m in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_all_is_sorted_and_complete() -> None:
    """`__all__` lists all public names of the module, in isort order."""
    names = list(statuses.__all__)
    assert names == sorted(names, key=lambda n: (not n.isupper(), not n[0].isupper(), n))
    assert all(hasattr(statuses, name) for name in names)
