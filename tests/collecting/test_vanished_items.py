"""A retry says what the source does not list any more of what the job had found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from prefect_collect.codes import Failure
from prefect_collect.job_folder.result import TaskResult
from prefect_collect.sources import Item, Listed, ListingEnd
from prefect_collect.statuses import JobStatus
from tests.support.memory_source import MemorySource, Thing
from tests.support.memory_store import MemoryStore
from tests.support.run_attempts import attempt, check_account, new_job


@dataclass
class Lines(MemorySource):
    """A list some of whose lines cannot be understood."""

    bad: list[int] = field(default_factory=list)
    is_closed: bool = False

    def items(self) -> Iterator[Listed]:
        """List what can be understood, then the other lines, which have no usable id."""
        yield from (self._item(id_) for id_ in sorted(self.things))
        if self.is_closed:
            yield Item("more/", "more/", failure=Failure("access_denied", "Not allowed to look. [more/]"))
        for number in self.bad:
            yield Item("", f"line {number}", failure=Failure("invalid_item", f"Line {number} is wrong."))
        yield ListingEnd("the list was read to its end")


def test_a_list_that_was_corrected() -> None:
    """Lines that are taken out of a list leave the account, and the result says which, and how many items there were;
    so it says that the list does not name any more what the job holds. What stays wrong is no such line.
    """
    source = Lines({id_: Thing(data=b"x") for id_ in "abc"}, bad=[4, 5, 6])
    job = new_job(MemoryStore(), source)
    assert attempt(job, source).notes == ()
    del source.things["c"]
    source.bad = [4]
    result = attempt(job, source)
    check_account(job)
    assert (result.counts.found, result.counts.succeeded, result.counts.failed) == (4, 3, 1)
    assert result.notes == (
        "1 item that the job holds is not listed by the source any more; the job keeps what it has collected.",
        "Of what earlier attempts could not collect, 2 are not listed by the source in that form any more, and not "
        "counted: line 5, line 6. The job had found 6 items, and counts 4 now.",
    )


def test_a_line_that_was_mended() -> None:
    """A line that was mended is another item, so that as many are counted as before; both numbers are said."""
    source = Lines({"a": Thing(data=b"x")}, bad=[2])
    job = new_job(MemoryStore(), source)
    attempt(job, source)
    source.bad, source.things["b"] = [], Thing(data=b"y")
    result = attempt(job, source)
    check_account(job)
    assert result.status is JobStatus.SUCCESSFULLY_COMPLETED
    [note] = result.notes
    assert "line 2" in note
    assert note.endswith("The job had found 2 items, and counts 2 now.")


def _retried(source: Lines, **query: Any) -> tuple[TaskResult, TaskResult]:
    """Return the results of a job by a query, and of its retry after "a" has become longer and "b" is gone."""
    job = new_job(MemoryStore(), source, query=query)
    first = attempt(job, source)
    source.things["a"] = Thing(data=b"longer")
    source.things.pop("b", None)
    second = attempt(job, source)
    check_account(job)
    return first, second


def test_a_query_of_what_may_change() -> None:
    """What the job holds may still be there, and not be taken any more, if the query is of times or sizes."""
    _, retried = _retried(Lines({"a": Thing(data=b"x"), "b": Thing(data=b"x")}, bad=[3]), max_size=2)
    assert retried.notes == (
        "2 items that the job holds are not listed by the source any more, or not with a time and size that the query "
        "takes; the job keeps what it has collected.",
    )


def test_a_folder_that_failed() -> None:
    """What a folder holds that cannot be listed is not known, so nothing is said to be not listed any more."""
    source = Lines({"a": Thing(data=b"x"), "b": Thing(data=b"x")}, bad=[3], is_closed=True)
    assert _retried(source)[1].notes == ()


def test_an_item_that_the_query_takes_no_more() -> None:
    """What failed, and is not listed any more, is read as it is now: its earlier listing says nothing of it."""
    first, retried = _retried(Lines({"a": Thing("denied", b"x")}, bad=[3]), max_size=2)
    assert (first.counts.succeeded, retried.counts.succeeded) == (0, 1)
