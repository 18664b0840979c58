"""Jobs that no worker can run again, as their run has no deployment."""

from __future__ import annotations

import pytest

from prefect_collect.console.pages import Pages
from prefect_collect.jobs import Job
from prefect_collect.statuses import JobKind, JobStatus, TaskStatus


class _Operator:
    may_operate = True


def _job(status: JobStatus, *, has_deployment: bool) -> Job:
    return Job(
        "j-1", JobKind.COLLECTION, "n", status, TaskStatus.UNKNOWN, "", created=None, place=None,
        has_deployment=has_deployment,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("status", "command"),
    [
        (JobStatus.PARTIALLY_COMPLETED, "retry"),
        (JobStatus.CANCELED, "start"),
        (JobStatus.SUCCESSFULLY_COMPLETED, None),
        (JobStatus.IN_PROGRESS, None),
    ],
)
def test_the_step_is_named_where_it_is_possible(status: JobStatus, command: str | None) -> None:
    """The console disables Start and Retry of such a job and names the command; of a job with a deployment it does not.

    Other steps stay enabled.
    """
    shown = Pages().text("_steps.html", job=_job(status, has_deployment=False), session=_Operator())
    assert _job(status, has_deployment=True).only_by_command == ""
    assert " disabled" not in Pages().text("_steps.html", job=_job(status, has_deployment=True), session=_Operator())
    if command is None:
        assert " disabled" not in shown
        assert "terminal" not in shown
        return
    [button] = [line for line in shown.splitlines() if " disabled" in line]
    assert f'id="menu-{command}"' in button
    assert f"<code>prefect-collect {command} j-1</code> in a terminal" in shown
