"""The documented statuses of jobs, tasks and data sources, their next steps and transitions, and Prefect's states.

A job's status is a pure function of its flow run's Prefect state (`from_prefect_state`, `to_prefect_state`). The next
steps of a job (`next_steps`) and the changes of its status (`require_transition`) are those of the specification's
tables. Retry and Start continue a job that has ended by a new attempt; an attempt, which is the specification's task,
never leaves its end. Nothing here imports Prefect.
"""

from __future__ import annotations

from prefect_collect.statuses._prefect_states import (
    SKIPPED_STATE,
    STATUS_OF_TASK,
    TASK_OF_STATUS,
    PrefectState,
    Statuses,
    from_prefect_state,
    to_prefect_state,
)
from prefect_collect.statuses._rules import (
    FIRST_POLL_DELAY,
    LONGEST_POLL_DELAY,
    POLLED_TASK_STATUSES,
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
    task_transitions,
)
from prefect_collect.statuses._words import (
    ENDED_TASK_STATUSES,
    TERMINAL_JOB_STATUSES,
    TERMINAL_TASK_STATUSES,
    JobKind,
    JobStatus,
    LifecycleStatus,
    NextStep,
    SnapshotGroup,
    TaskStatus,
    snapshot_group,
)

__all__ = [
    "ENDED_TASK_STATUSES",
    "FIRST_POLL_DELAY",
    "LONGEST_POLL_DELAY",
    "POLLED_TASK_STATUSES",
    "SKIPPED_STATE",
    "STATUS_OF_TASK",
    "TASK_OF_STATUS",
    "TERMINAL_JOB_STATUSES",
    "TERMINAL_TASK_STATUSES",
    "JobKind",
    "JobStatus",
    "LifecycleStatus",
    "NextStep",
    "PrefectState",
    "SnapshotGroup",
    "Statuses",
    "TaskStatus",
    "definition",
    "from_prefect_state",
    "guidance",
    "job_statuses",
    "job_transitions",
    "next_steps",
    "poll_delays",
    "require_step",
    "require_task_transition",
    "require_transition",
    "should_poll",
    "snapshot_group",
    "task_transitions",
    "to_prefect_state",
]
