"""What the console shows of jobs that were deleted in Prefect."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from prefect_collect.console.access import Session
from prefect_collect.console.deleted_table import MOST_ROWS, DeletedTable, deleted_table
from prefect_collect.console.pages import Pages
from prefect_collect.console.roles import Role
from prefect_collect.job_folder.deleted_jobs import DeletedJob, Origin
from prefect_collect.jobs import DeletedJobs
from prefect_collect.statuses import JobKind, JobStatus

AT = datetime(2026, 11, 29, 12, tzinfo=UTC)
HOSTILE = "<img src=x onerror=alert(1)> \u202etxt"


def job(number: int = 0, **changed: Any) -> DeletedJob:
    """Return a job."""
    fields: dict[str, Any] = {
        "job_id": f"01900000-0000-7000-8000-{number:012d}", "kind": JobKind.COLLECTION, "name": f"mail {number}",
        "source": "mail", "custodian": "", "status": JobStatus.SUCCESSFULLY_COMPLETED,
        "created": AT - timedelta(days=number), "items": 7, "bytes": 70, "store": "/staging", "origin": Origin.HERE,
    }  # fmt: skip
    return DeletedJob(**{**fields, **changed})


def page(table: DeletedTable, role: Role = Role.OPERATE) -> str:
    """Return the part of the page."""
    return Pages().text("_deleted.html", session=Session("anna", role, ""), table=table, message="")


def test_of_many_the_newest_are_shown() -> None:
    """A store that another server shares may have thousands of jobs without a run: a page of them is shown."""
    found = DeletedJobs(tuple(job(n, is_kept=n % 2 == 1) for n in range(4 * MOST_ROWS)), AT, ())
    table = deleted_table(found)
    assert [one.name for one in table.rows] == [f"mail {2 * n}" for n in range(MOST_ROWS)]
    assert (table.more, len(table.kept), table.kept_total) == (MOST_ROWS, MOST_ROWS, 2 * MOST_ROWS)
    shown = page(table)
    assert f"{MOST_ROWS} older jobs are shown when you have decided on these" in shown
    assert shown.count("Delete evidence</button>") == MOST_ROWS


def test_nothing_is_shown_of_nothing() -> None:
    """Without such jobs the page has no section for them."""
    assert page(deleted_table(DeletedJobs((), AT, ()))).strip() == ""


def test_what_could_not_be_read_is_named() -> None:
    """A store that cannot be read is named, and so is a run that may be on another server."""
    shown = page(deleted_table(DeletedJobs((job(origin=Origin.ELSEWHERE),), AT, ("The store is away. [s3://b]",))))
    assert "Not known to this Prefect server" in shown
    assert "The store is away. [s3://b]" in shown


@pytest.mark.parametrize("role", Role)
def test_names_are_data_and_only_operators_have_choices(role: Role) -> None:
    """Names are shown as text in every place; both buttons are disabled for a user who may only look."""
    hostile: dict[str, Any] = dict.fromkeys(("name", "source", "custodian", "store", "problem"), HOSTILE)
    shown = page(deleted_table(DeletedJobs((job(**hostile), job(1, is_kept=True, **hostile)), AT, (HOSTILE,))), role)
    assert "<img" not in shown
    assert shown.count("&lt;img") >= 10
    assert ("disabled>Keep</button>" in shown, "disabled>Delete evidence" in shown) == (role is Role.VIEW,) * 2
    dialog = Pages().text("_delete_evidence.html", session=Session("anna", role, ""), job=job(**hostile))
    assert "<img" not in dialog
