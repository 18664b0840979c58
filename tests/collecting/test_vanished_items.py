"""A retry says what the source does not list any more of what the job had found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from prefect_collect.codes import Failure
from prefect_collect.sources import Item, Listed, ListingEnd
from prefect_collect.statuses import JobStatus
from tests.support.memory_source import MemorySource, Thing
from tests.support.memory_store import MemoryStore
from tests.support.run_attempts import attempt, check_account, new_job


@dataclass
class Lines(MemorySource):
    """A list some of whose lines cannot be understood."""

    bad: list[int] = field(default_factory=list)

    def items(self) -> Iterator[Listed]:
        """List what can be understood, then the other lines, which have no usable id."""
        yield from (self._item(id_) for id_ in sorted(self.things))
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
