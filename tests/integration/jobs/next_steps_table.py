"""What each cell of the table of statuses and next steps promises, for collections and for exports."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from prefect_collect import jobs
from prefect_collect.cli import run
from prefect_collect.errors import ActionNotAllowed, JobNotFound
from prefect_collect.job_folder import custody_log, store_keys
from prefect_collect.job_folder.acting import operator
from prefect_collect.statuses import (
    TASK_OF_STATUS,
    JobKind,
    JobStatus,
    NextStep,
    TaskStatus,
    job_statuses,
    next_steps,
    require_transition,
)
from tests.integration.jobs.every_status import Desk, one_behind_another, reach, take, when

_NOT_RUN = {
    JobKind.COLLECTION: (JobStatus.DRAFTED, JobStatus.QUEUED, JobStatus.IN_PROGRESS),
    JobKind.EXPORT: (JobStatus.AWAITING_COLLECTION, JobStatus.QUEUED, JobStatus.IN_PROGRESS, JobStatus.FAILED),
}
"""The statuses in which no attempt has ended; an export that fails here was refused before its first attempt."""

READS: Final = (NextStep.PREVIEW, NextStep.EXPORT, NextStep.DOWNLOAD)
"""The steps that leave the job as it is."""

Checks = Mapping[NextStep, Callable[[Desk, jobs.Job, Any], None]]


def arguments(step: NextStep, job: str, store: str, to: Path, home: Path) -> list[str]:
    """Return the command that takes the step: an export goes to `to`, a package is downloaded to `home`."""
    more = {
        NextStep.DELETE: ["--yes"],
        NextStep.EXPORT: ["--to", str(to)],
        NextStep.DOWNLOAD: ["--to", str(home)],
    }
    return [step.value.lower(), job, "--store", store, *more.get(step, [])]


def commanded(words: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Run a command in this process; return its exit code, and what it prints to standard output and error.

    Prefect logs nothing during it, as in a process of a command.
    """
    logging.disable(logging.CRITICAL)
    try:
        capsys.readouterr()
        return run(words), *capsys.readouterr()
    finally:
        logging.disable(logging.NOTSET)


def check_other_steps(
    desk: Desk, job: jobs.Job, checks: Checks, capsys: pytest.CaptureFixture[str], *, reads_by_command: bool = False
) -> None:
    """Assert that a job refuses each step that its status does not offer, that reading works, and that it stays so.

    Python takes all steps that are refused, the command line one of them: in each status another. The steps that read
    are taken from Python, or (`reads_by_command`) by the command.
    """
    kind, status = job.kind, job.status
    assert status is not None
    assert job.next_steps == next_steps(kind, status)
    refused = [step for step in NextStep if step not in job.next_steps]
    for step in refused:
        _check_refused(desk, job, status, step)
    turn = list(job_statuses(kind)).index(status) - 1
    steps = list(NextStep)
    [by_command, *_] = [step for step in steps[turn:] + steps[:turn] if step in refused]
    _check_refused_by_command(desk, job, status, by_command, capsys)
    for step in READS:
        if step not in refused and reads_by_command:
            _check_read_by_command(desk, job, step, checks, capsys)
        elif step not in refused:
            checks[step](desk, job, take(desk, job, step))
    assert jobs.get(job.id).status is status


def canceled_one_behind_another(
    desk: Desk, kind: JobKind, checks: Checks, capsys: pytest.CaptureFixture[str]
) -> tuple[jobs.Job, jobs.Job]:
    """Cancel a job that is Queued, then the one In progress before it, with a check of all steps in each status.

    Return both as they are then: the one that was queued, and the one that ran.
    """
    running, queued = one_behind_another(desk, kind)
    check_other_steps(desk, running, checks, capsys)
    check_other_steps(desk, queued, checks, capsys)
    for job in (queued, running):
        checks[NextStep.CANCEL](desk, job, take(desk, job, NextStep.CANCEL))
    canceled = jobs.get(running.id)
    check_other_steps(desk, canceled, checks, capsys)
    return jobs.get(queued.id), canceled


def _check_read_by_command(
    desk: Desk, job: jobs.Job, step: NextStep, checks: Checks, capsys: pytest.CaptureFixture[str]
) -> None:
    own = replace(desk, folder=desk.folder / "command")
    words = arguments(step, job.id, desk.store, own.out, own.folder / "home")
    code, out, err = commanded([*words, "--json"], capsys)
    assert code == 0, err
    given: Any
    if step is NextStep.DOWNLOAD:
        [given] = (own.folder / "home").iterdir()
    else:
        given = json.loads(out)["items"] if step is NextStep.PREVIEW else None
    checks[step](own, job, given)


def _check_refused_by_command(
    desk: Desk, job: jobs.Job, status: JobStatus, step: NextStep, capsys: pytest.CaptureFixture[str]
) -> None:
    """Assert that it ends with 2 and one line, with the status and the steps it offers, and makes nothing."""
    words = arguments(step, job.id, desk.store, desk.folder / "new", desk.folder / "new home")
    code, out, err = commanded(words, capsys)
    assert (code, out, len(err.splitlines())) == (2, "", 1), err
    assert f"job that is {status.value!r} does not offer {step.value!r}; it offers" in err
    assert [each for each in job.next_steps if repr(each.value) not in err] == [], err
    assert not list(desk.folder.glob("new*"))


def _check_refused(desk: Desk, job: jobs.Job, status: JobStatus, step: NextStep) -> None:
    """Assert that the error names the status and the steps that it offers, and that the job stays as it is."""
    kind = job.kind
    assert job.status is status
    assert job.next_steps == next_steps(kind, status)
    tasks = {TASK_OF_STATUS[status], *({TaskStatus.PROCESSING} if status is JobStatus.IN_PROGRESS else ())}
    assert job.task_status in tasks
    before = len(custody_log.check_chain(job.folder).entries)
    with pytest.raises(ActionNotAllowed) as refused:
        take(desk, job, step)
    assert all(repr(str(word)) in str(refused.value) for word in (status, step, *job.next_steps)), refused.value
    after = jobs.get(job.id)
    assert (after.status, len(after.attempts)) == (status, len(job.attempts))
    assert len(custody_log.check_chain(job.folder).entries) == before


def check_offered(
    desk: Desk,
    kind: JobKind,
    status: JobStatus,
    step: NextStep,
    checks: Checks,
    take: Callable[[Desk, jobs.Job, NextStep], Any] = take,
) -> None:
    """Assert that the step leads to the status that the specification names."""
    job = reach(desk, kind, status)
    assert job.status is status
    assert len(job.attempts) == (0 if status in _NOT_RUN[kind] else 1)
    if status is JobStatus.CANCELED:
        desk.mend()
    checks[step](desk, job, take(desk, job, step))
    if step in (NextStep.START, NextStep.RETRY, NextStep.CANCEL):
        require_transition(kind, status, JobStatus.CANCELED if step is NextStep.CANCEL else JobStatus.QUEUED)


def going_on(desk: Desk, job: jobs.Job, step: NextStep, to: JobStatus) -> jobs.Job:
    """Take Start or Retry, which runs the job in this process; return the job, once it is seen to have that status."""
    require_transition(job.kind, job.status, JobStatus.QUEUED)  # type: ignore[arg-type]
    take(desk, job, step)
    again = jobs.get(job.id)
    assert (again.status, again.task_status) == (to, TASK_OF_STATUS[to]), again.message
    if to is not JobStatus.FAILED:
        assert again.result is not None
        assert again.result.attempt == len(again.attempts) > len(job.attempts)
    assert [result.status for result in again.attempts[: len(job.attempts)]] == [one.status for one in job.attempts]
    return again


def stopped(job: jobs.Job) -> jobs.Job:
    """Assert that the job is canceled, with a receipt if it had begun."""
    after = when(job, JobStatus.CANCELED)
    assert after.task_status is TaskStatus.CANCELED
    if job.status is JobStatus.QUEUED:
        assert after.folder.attempts() == []
        assert "before it was started" in after.message or "nothing was started" in after.message
    else:
        assert after.result is not None
        assert after.result.receipt is not None
    return after


def check_deleted(desk: Desk, job: jobs.Job, _: object) -> None:
    """Assert that Prefect has no run of the job, and its folder only the last custody event: who deleted it."""
    with pytest.raises(JobNotFound):
        jobs.get(job.id, desk.store)
    left = [blob.key for blob in job.folder.store.list(f"{job.id}/")]
    if job.kind is JobKind.EXPORT and job.status in _NOT_RUN[JobKind.EXPORT]:  # the job never had a folder
        assert left == []
    else:
        [entry] = custody_log.check_chain(job.folder).entries
        assert (entry.action, entry.who) == (custody_log.DELETED, operator())
        assert left == [store_keys.custody_key(job.id, entry.number)]
    assert job.id not in [one.id for one in jobs.list_jobs(store=desk.store)]
