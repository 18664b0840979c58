"""A retry says what the source does not list any more of what the job had found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from prefect_collect.codes import Failure
from prefect_collect.job_folder.result import TaskResult
from prefect_collect.sources import Item, Listed, ListingEnd
from prefect_collect.statuses import JobStatus
from prefect_collect.verification import verify_job
from tests.support.memory_source import Kind, MemorySource, Thing
from tests.support.memory_store import MemoryStore
from tests.support.run_attempts import attempt, check_account, held, new_job, unsuccessful


@dataclass
class Lines(MemorySource):
    """A list some of whose lines cannot be understood."""

    bad: list[int] = field(default_factory=list)
    is_closed: bool = False
    names: dict[str, str] = field(default_factory=dict)

    def _item(self, id_: str) -> Item:
        return replace(super()._item(id_), path=self.names.get(id_, id_))

    def relist(self, item: Item) -> Iterator[Item]:
        """Yield the item of a line; if it is gone, the first one of its name."""
        same = [id_ for id_ in sorted(self.things) if self.names.get(id_, id_) == item.path]
        yield from (self._item(id_) for id_ in ([item.id] if item.id in self.things else same[:1]))

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
        "counted: line 5, line 6. The job had found 6 items, and counts 4 since attempt 2.",
    )
    source.bad = []
    last = attempt(job, source)
    check_account(job)
    assert last.counts.found == 3
    assert last.notes[1:] == (
        result.notes[1],
        "Of what earlier attempts could not collect, 1 is not listed by the source in that form any more, and not "
        "counted: line 4. The job had found 4 items, and counts 3 since attempt 3.",
    )
    assert attempt(job, source).notes[-2:] == last.notes[1:], "it is said of later attempts too"


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
    assert note.endswith("The job had found 2 items, and counts 2 since attempt 2.")


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


ANEW_OR_LOOKED_UP = pytest.mark.parametrize("bad", [[9], []], ids=["listed anew", "looked up"])


@ANEW_OR_LOOKED_UP
def test_a_line_whose_address_was_corrected(bad: list[int]) -> None:
    """An item that failed leaves the account if the source has a new one of its path, which is collected in its place;
    so whether the retry lists the source anew or looks up what failed.
    """
    things = {"a": Thing(data=b"x"), "b.tx": Thing("denied"), "c.tx": Thing("denied")}
    source = Lines(things, bad=bad, names={"b.tx": "b", "b.txt": "b"})
    job = new_job(MemoryStore(), source)
    attempt(job, source)
    del things["b.tx"], things["c.tx"]
    things["b.txt"] = Thing(data=b"y")
    result = attempt(job, source)
    check_account(job)
    assert (result.counts.found, result.counts.succeeded) == (3 + len(bad), 2)
    assert held(job).keys() == {"a", "b.txt"}
    assert unsuccessful(job)["c.tx"]["error_code"] == "not_found"
    assert [f"counted: b. The job had found {3 + len(bad)} items" in note for note in result.notes] == [True]
    assert verify_job(job).valid


@ANEW_OR_LOOKED_UP
@pytest.mark.parametrize("other", ["good", "denied"])
def test_a_line_of_another_item_with_the_name(bad: list[int], other: Kind) -> None:
    """An item that the job had found already takes the place of none of its name: both are accounted for."""
    things = {"a": Thing(other, b"x"), "b": Thing("denied")}
    source = Lines(things, bad=bad, names={"a": "name", "b": "name"})
    job = new_job(MemoryStore(), source)
    attempt(job, source)
    del things["b"]
    result = attempt(job, source)
    check_account(job)
    assert result.counts.found == 2 + len(bad)
    assert unsuccessful(job)["b"]["error_code"] == "not_found"


def test_two_lines_that_became_one() -> None:
    """A new item takes the place of one of its path alone, and the other one stays in the account."""
    things = {"a": Thing("denied"), "b": Thing("denied")}
    source = Lines(things, names=dict.fromkeys("abc", "name"))
    job = new_job(MemoryStore(), source)
    attempt(job, source)
    things.clear()
    things["c"] = Thing(data=b"x")
    result = attempt(job, source)
    check_account(job)
    assert (result.counts.found, result.counts.succeeded, result.counts.failed) == (2, 1, 1)
