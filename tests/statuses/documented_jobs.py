"""The statuses of jobs in the documentation."""

from __future__ import annotations

from pathlib import Path

from prefect_collect.statuses import (
    JobKind,
    job_statuses,
)

DATA = Path(__file__).parents[1] / "data"
C, E = JobKind.COLLECTION, JobKind.EXPORT


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
