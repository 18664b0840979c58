"""Each state of Prefect's means a status, and each status is a state of Prefect's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_collect.statuses import (
    SKIPPED_STATE,
    STATUS_OF_TASK,
    TASK_OF_STATUS,
    JobKind,
    JobStatus,
    Statuses,
    TaskStatus,
    from_prefect_state,
    job_statuses,
    next_steps,
    to_prefect_state,
)
from tests.statuses.documented_jobs import JOB_PAIRS, C, E
from tests.support.process_fork import run_fork

PREFECT_TYPES = (
    *("SCHEDULED", "PENDING", "RUNNING", "COMPLETED", "FAILED", "CANCELLED", "CRASHED", "PAUSED", "CANCELLING"),
)
PREFECT_NAMES = (
    *("Scheduled", "Late", "AwaitingRetry", "AwaitingConcurrencySlot", "Resuming", "Pending", "Submitting"),
    *("InfrastructurePending", "NotReady", "Running", "Retrying", "Cancelling", "Paused", "Suspended", "Completed"),
    *("Cached", "RolledBack", "Failed", "TimedOut", "Crashed", "Cancelled", "Skipped"),
)


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
