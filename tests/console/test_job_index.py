"""The index of jobs shows no job again that was deleted here."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from prefect_collect import jobs
from prefect_collect.console.job_index import JobIndex
from prefect_collect.console.job_row import JobRow
from prefect_collect.statuses import JobKind, JobStatus

_ENDED = JobRow(
    "0194c1b0", JobKind.COLLECTION, "docs", "docs", JobStatus.FAILED, "", None, None, None, 0, 0, queued="", queue=""
)


class _SlowIndex(JobIndex):
    """An index whose looks read one job that has ended, and show it when the test lets them."""

    def __init__(self) -> None:
        super().__init__(patience=0.01)
        self.reads, self.shows = threading.Semaphore(0), threading.Semaphore(0)

    def _prefect(self) -> Any:
        return None

    def _update(self, client: Any) -> None:
        rows = {_ENDED.id: _ENDED}
        self.reads.release()
        assert self.shows.acquire(timeout=30)
        self._show(rows)


def end_look(index: _SlowIndex) -> None:
    """Let the look show what it read, and wait for its end: it lists sources, which the test has in its hand."""
    look = index._look
    assert look is not None
    index.shows.release()
    look.join(30)


def test_a_job_that_was_deleted_does_not_come_back_with_a_look_that_had_read_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A look that takes longer than a request waits may have read a job before it was deleted: the table does not show
    it again, and the next look follows at once.
    """
    monkeypatch.setattr(jobs, "list_sources", list)
    index = _SlowIndex()
    assert index.rows() == {}
    assert index.reads.acquire(timeout=30)
    index.expire(_ENDED.id)
    end_look(index)
    assert index.rows() == {}
    assert index.reads.acquire(timeout=30), "no other look followed"
    end_look(index)
