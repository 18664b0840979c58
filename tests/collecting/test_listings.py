"""A listing is complete only if its source proved it: whole jobs over sources with unusual ends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy
import pytest

from prefect_collect.codes import Failure
from prefect_collect.job_folder import store_keys
from prefect_collect.sources import Item, Listed, ListingEnd
from prefect_collect.statuses import JobStatus
from tests.support.memory_source import MemorySource, Thing
from tests.support.memory_store import MemoryStore
from tests.support.run_attempts import attempt, check_account, held, job_rows, new_job, unsuccessful

ENDS: dict[str, list[Any]] = {
    "none": [],
    "without a proof": [ListingEnd("  ")],
    "a proof that is no text": [ListingEnd(None)],  # type: ignore[arg-type]
    "twice": [ListingEnd("all"), ListingEnd("all")],
    "with an item after it": [ListingEnd("all"), Item("late", "late")],
    "a number that is none": [ListingEnd("the server counts", items="6")],  # type: ignore[arg-type]
    "half a number": [ListingEnd("the server counts", items=6.0)],  # type: ignore[arg-type]
    "another count": [ListingEnd("the server counts", items=7)],
}


def ending(source: MemorySource, ends: list[Listed]) -> MemorySource:
    """Make a source end its listings with these items."""
    whole = source.items

    def items() -> Iterator[Listed]:
        yield from (listed for listed in whole() if isinstance(listed, Item))
        yield from ends

    source.items = items  # type: ignore[method-assign]
    return source


def things(number: int) -> dict[str, Thing]:
    """Return so many good items."""
    return {f"good/{n:03d}": Thing("good", b"data %d" % n) for n in range(number)}


@pytest.mark.parametrize("found", [0, 6])
@pytest.mark.parametrize("how", ENDS)
def test_a_listing_that_does_not_prove_its_end(how: str, found: int) -> None:
    """The job is never Successfully completed: it is Failed if nothing was listed, else Partially completed.

    Its row in the error report tells the author of the source what to yield, and a retry lists the source again.
    """
    source = MemorySource(things(found))
    good = source.items
    folder = new_job(MemoryStore(), ending(source, ENDS[how]))
    result = attempt(folder, source)
    check_account(folder)
    assert result.status is (JobStatus.PARTIALLY_COMPLETED if found else JobStatus.FAILED)
    assert (result.counts.found, result.counts.succeeded) == (found, found)
    assert (job_rows(folder), result.listing_complete) == (["enumeration_failed"], False)
    (row,) = [row for row in result.unsuccessful.to_arrow().to_pylist() if row["item_id"] is None]
    assert "ListingEnd" in row["message"] or "states 7 items" in row["message"]
    source.items = good  # type: ignore[method-assign]
    result = attempt(folder, source)
    check_account(folder)
    assert (result.status, result.counts.found) == (JobStatus.SUCCESSFULLY_COMPLETED, found)


def test_the_proof_is_kept() -> None:
    """The source's proof is in the end of the inventory, with the number that it states."""
    source = ending(MemorySource(things(3)), [ListingEnd("EXISTS said 3", items=3)])
    folder = new_job(MemoryStore(), source)
    assert attempt(folder, source).status is JobStatus.SUCCESSFULLY_COMPLETED
    end = json.loads(folder.store.read(store_keys.inventory_end_key(folder.job_id, 1)))
    assert (end["proof"], end["stated_items"], end["items"], end["listed"]) == ("EXISTS said 3", 3, 3, True)


def test_an_odd_proof_is_kept_too() -> None:
    """A number of another library, half of a character and a long text are recorded, and read again by a retry."""
    end = ListingEnd("\ud800" + "x" * (5 << 20), items=numpy.int64(3))  # type: ignore[arg-type]
    source = ending(MemorySource({**things(2), "odd": Thing("denied")}), [end])
    folder = new_job(MemoryStore(), source)
    assert attempt(folder, source).status is JobStatus.PARTIALLY_COMPLETED
    totals = folder.inventory_totals(1)
    assert totals is not None
    assert (totals["stated_items"], totals["proof"][:9], len(totals["proof"])) == (3, r"\ud800xxx", 4_000)
    source.things["odd"] = Thing("good", b"mended")
    assert attempt(folder, source).status is JobStatus.SUCCESSFULLY_COMPLETED
    check_account(folder)


def test_a_stated_number_is_of_what_the_source_lists() -> None:
    """It is not compared with what the query selects; and reaching a limit is a proof of its own."""
    source = ending(MemorySource(things(9)), [ListingEnd("it counts", items=9)])
    for query, found in (({"include": ["00[0-3]"]}, 4), ({"limit": 2}, 2)):
        folder = new_job(MemoryStore(), source, query=query)
        result = attempt(folder, source)
        assert (result.status, result.counts.found) == (JobStatus.SUCCESSFULLY_COMPLETED, found)
        end = json.loads(folder.store.read(store_keys.inventory_end_key(folder.job_id, 1)))
        assert end["proof"] == ("it counts" if "include" in query else "the limit of 2 items was reached")


@pytest.mark.parametrize("proven", [True, False])
def test_a_folder_that_is_listed_again(proven: bool) -> None:
    """A folder that could not be listed is replaced by its items only if the source proves that they are all."""
    source = MemorySource(things(2))
    whole = source.items
    closed = Item("dir/", "dir/", failure=Failure("access_denied", "Not allowed. [dir/]"))
    source.items = lambda: iter([*(i for i in whole() if isinstance(i, Item)), closed, ListingEnd("all")])  # type: ignore[method-assign]
    folder = new_job(MemoryStore(), source)
    assert attempt(folder, source).status is JobStatus.PARTIALLY_COMPLETED
    source.things |= {f"dir/{n}": Thing("good", b"in it") for n in range(3)}

    def relist(item: Item) -> Iterator[Listed]:
        for n in range(3):
            yield replace(source._item(f"dir/{n}"), expands="dir/")
        if proven:
            yield ListingEnd("the folder was read to its end")

    source.relist = relist  # type: ignore[method-assign, assignment]
    result = attempt(folder, source)
    check_account(folder)
    assert held(folder).keys() == {"good/000", "good/001", "dir/0", "dir/1", "dir/2"}
    if proven:
        assert result.status is JobStatus.SUCCESSFULLY_COMPLETED
    else:
        assert result.status is JobStatus.PARTIALLY_COMPLETED
        row = unsuccessful(folder)["dir/"]
        assert row["error_code"] == "enumeration_failed"
        assert "ListingEnd" in row["message"]


def test_a_listing_that_was_not_proven_is_no_base_of_an_incremental_job() -> None:
    """The next incremental job ignores a job whose listing was not proven, and compares with an earlier one."""
    from prefect_collect.collecting.incremental import last_jobs

    store = MemoryStore()
    source = MemorySource(things(2))
    whole = new_job(store, source)
    attempt(whole, source)
    ending(source, [])
    cut_off = new_job(store, source)
    assert attempt(cut_off, source).status is JobStatus.PARTIALLY_COMPLETED
    new = new_job(store, source)
    assert last_jobs(store, new.record()) == [cut_off.job_id, whole.job_id]


def test_what_a_listing_gave_before_it_broke_off_again_is_collected() -> None:
    """A later attempt lists the source again if the first never reached its end, and collects what it gets."""
    source = MemorySource(things(6), breaks_after=0)
    folder = new_job(MemoryStore(), source)
    assert attempt(folder, source).status is JobStatus.FAILED
    source.breaks_after = 4
    result = attempt(folder, source)
    check_account(folder)
    assert (result.status, result.counts.succeeded) == (JobStatus.PARTIALLY_COMPLETED, 4)
