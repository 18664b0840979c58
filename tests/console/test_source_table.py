"""The page of sources: the last collections and success rates of each."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from prefect_collect.console.job_row import JobRow
from prefect_collect.console.source_table import BARS, PLOT_HEIGHT, source_rows
from prefect_collect.jobs import CollectionSchedule, SavedSource
from prefect_collect.statuses import JobKind, JobStatus, LifecycleStatus

START = datetime(2026, 1, 1, tzinfo=UTC)
DOCS = SavedSource(UUID(int=1), "file-source/docs", "File Source", "docs", "/srv/docs", LifecycleStatus.ACTIVE)
MAIL = replace(DOCS, id=UUID(int=2), reference="file-source/mail", name="mail")


def job(number: int, status: JobStatus, rate: float | None = None, **changes: object) -> JobRow:
    """Return a collection of DOCS that was created so many hours after the start."""
    created = START + timedelta(hours=number)
    row = JobRow(
        str(number),
        JobKind.COLLECTION,
        f"job {number}",
        "docs",
        status,
        "",
        created,
        created,
        created,
        1,
        1,
        "",
        "",
        rate,
    )
    return replace(row, **changes)  # type: ignore[arg-type]


def test_a_source_with_its_jobs() -> None:
    """The newest collections, the rates of those that ended, oldest first, its schedules and its limits."""
    rows = [
        job(1, JobStatus.SUCCESSFULLY_COMPLETED),
        job(2, JobStatus.PARTIALLY_COMPLETED, 50.0),
        job(3, JobStatus.FAILED),
        job(4, JobStatus.CANCELED, 10.0),
        job(5, JobStatus.QUEUED),
        job(6, JobStatus.SUCCESSFULLY_COMPLETED, 100.0, kind=JobKind.EXPORT),
        job(7, JobStatus.SUCCESSFULLY_COMPLETED, 100.0, source="mail"),
    ]
    mine = CollectionSchedule(UUID(int=9), UUID(int=8), "d", "cron 0 3 * * *", "UTC", True, _of(DOCS))
    other = replace(mine, id=UUID(int=10), parameters={"source": "?"})
    docs, mail = source_rows([DOCS, MAIL], rows, [mine, other], {(JobKind.COLLECTION, "docs"): 3})
    assert [row.id for row in docs.last] == ["5", "4", "3"]
    assert [(bar.row.id, bar.rate) for bar in docs.bars] == [("1", 100.0), ("2", 50.0), ("3", 0.0)]
    assert [bar.height for bar in docs.bars] == [PLOT_HEIGHT, PLOT_HEIGHT / 2, 1.0]
    assert docs.schedules == (mine,)
    assert docs.limits == {JobKind.COLLECTION: 3, JobKind.EXPORT: 1}
    assert docs.open == 1
    assert "newest 0.0 %" in docs.summary
    assert "average 50.0 %" in docs.summary
    assert [row.id for row in mail.last] == ["7"]


def _of(source: SavedSource) -> dict[str, object]:
    return {"source": {"$ref": {"block_document_id": str(source.id)}}}


def test_a_plot_of_the_newest() -> None:
    """Of many collections the newest are drawn; of a source without any, the summary says so."""
    rows = [job(number, JobStatus.SUCCESSFULLY_COMPLETED, 99.0) for number in range(BARS + 5)]
    [docs] = source_rows([DOCS], rows, [], {})
    assert [bar.row.id for bar in docs.bars] == [str(number) for number in range(5, BARS + 5)]
    assert source_rows([MAIL], rows, [], {})[0].summary == "No collection has ended yet."


def test_a_block_that_cannot_be_read() -> None:
    """A source without a known name has no jobs: not those of jobs whose source is not known."""
    broken = replace(DOCS, name="", problem="It cannot be read.")
    [row] = source_rows([broken], [job(1, JobStatus.FAILED, source="")], [], {})
    assert (row.last, row.bars, row.open) == ((), (), 0)


@pytest.mark.parametrize("lifecycle", LifecycleStatus)
def test_what_a_lifecycle_means(lifecycle: LifecycleStatus) -> None:
    """It is said of each in terms of the source's jobs."""
    [row] = source_rows([replace(DOCS, lifecycle=lifecycle)], [], [], {})
    starts = lifecycle is LifecycleStatus.ACTIVE
    assert row.meaning.startswith("Jobs start on this source" if starts else "No job starts on this source")
