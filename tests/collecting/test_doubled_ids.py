"""Ids are unique in a job: an item that a source lists twice is collected once, with a warning."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_collect.codes import Failure
from prefect_collect.collecting.closing import close_lost_attempts
from prefect_collect.collecting.incremental import since_options
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.job_folder.id_sets import UniqueIds
from prefect_collect.job_folder.lifecycle import claim_attempt
from prefect_collect.job_folder.parquet import part_bytes, read_part
from prefect_collect.sources import Item, Listed, ListingEnd
from prefect_collect.statuses import JobStatus
from prefect_collect.verification import verify_job
from tests.examples import examples
from tests.support.memory_source import MemorySource, Thing
from tests.support.memory_store import Killed, MemoryStore
from tests.support.run_attempts import attempt, check_account, enter_all, held, new_job, unsuccessful

pytestmark = pytest.mark.usefixtures("small_shards")


class Repeating(MemorySource):
    """A source that lists the items in `again` again: right after the first, and at the end."""

    again: tuple[str, ...] = ()

    def items(self) -> Iterator[Listed]:
        """Yield all items, some of them three times."""
        given = 0
        for listed in super().items():
            if isinstance(listed, ListingEnd):
                for id_ in self.again:
                    yield replace(self._item(id_), path=f"./{id_}", etag="another")
                    given += 1
                yield ListingEnd(listed.proof, items=given)
                return
            yield listed
            given += 1
            if listed.id in self.again:
                yield listed
                given += 1


def repeating(count: int, *again: str) -> Repeating:
    """Return a source of that many good items."""
    source = Repeating({f"good/{n:02}": Thing("good", b"content %d" % n) for n in range(count)})
    source.again = again
    return source


def test_an_id_that_is_listed_again() -> None:
    """In one shard or several, or with another path, the id is collected once, as listed first, with a warning."""
    source = repeating(20, "good/03", "good/17")
    folder = new_job(MemoryStore(), source)
    result = attempt(folder, source, workers=3)
    check_account(folder)
    assert (result.status, result.counts.found) == (JobStatus.SUCCESSFULLY_COMPLETED, 20)
    assert set(source.given.values()) == {1}
    assert held(folder)["good/03"]["original_path"] == "good/03"
    (warning,) = result.warnings
    assert "4 items under ids that it had listed before" in warning
    assert "good/03" in warning
    assert "good/17" in warning
    assert verify_job(folder).valid
    later = new_job(folder.store, source, options=since_options(folder.store, replace(folder.record(), job_id="new")))
    again = attempt(later, source)
    assert (again.counts.found, again.counts.skipped) == (20, 20)
    assert "4 items under ids" in " ".join(again.warnings)


def test_a_listing_that_only_repeats_itself() -> None:
    """A shard without any new id is not made; what is listed after it is collected."""
    source = repeating(2, *["good/00"] * 50)
    folder = new_job(MemoryStore(), source)
    result = attempt(folder, source)
    check_account(folder)
    assert (result.counts.found, result.counts.succeeded) == (2, 2)
    assert "51 items" in result.warnings[0]


@pytest.mark.parametrize("die_after", [10, 15, 20])
def test_doubled_ids_of_an_attempt_that_was_killed(die_after: int) -> None:
    """Closing a lost attempt warns of doubled ids if its listing reached its end; no item is held twice."""
    source = repeating(8, "good/03", "good/05")
    store = MemoryStore(die_after=die_after)
    with pytest.raises(Killed):
        attempt(new_job(store, source, "job"), source)
    copy = store.copy()
    folder = JobFolder(copy, "job")
    was_listed = folder.inventory_totals(1) is not None
    closed = close_lost_attempts(folder, folder.record(), claim_attempt(folder))
    assert [bool(result.warnings) for result in closed] == [was_listed] * len(closed)
    result = attempt(JobFolder(copy, "job"), source)
    check_account(folder)
    assert (result.counts.found, result.counts.succeeded) == (8, 8)


def test_a_folder_that_is_opened_up_in_a_retry() -> None:
    """Items that a retry finds in a failed folder, and other shards already hold, are not collected again."""
    source = MemorySource({f"a/{n}": Thing("good", b"x") for n in range(3)})
    whole = source.items

    def items() -> Iterator[Listed]:
        yield Item("a/0", "a/0", 1)
        yield Item("a/", "a/", failure=Failure("access_denied", "Not allowed. [a/]"))
        yield Item("b/", "b/", failure=Failure("access_denied", "Not allowed. [b/]"))
        yield ListingEnd("all")

    def relist(item: Item) -> Iterator[Listed]:
        for listed in [*whole(), *whole()]:
            if isinstance(listed, Item):
                yield replace(listed, expands=item.id)
        yield ListingEnd("all")

    source.items, source.relist = items, relist  # type: ignore[method-assign, assignment]
    folder = new_job(MemoryStore(), source)
    attempt(folder, source)
    result = attempt(folder, source)
    check_account(folder)
    assert (result.counts.found, result.counts.succeeded) == (3, 3)
    assert set(source.given.values()) == {1}
    assert verify_job(folder).valid


def test_a_source_that_gives_another_item_than_it_was_asked_for() -> None:
    """A retry does not accept it, because it may be held already. The item that was asked for fails."""
    source = MemorySource({"good": Thing("good", b"x"), "denied": Thing("denied", b"y")})
    folder = new_job(MemoryStore(), source)
    attempt(folder, source)
    source.relist = lambda item: iter([Item("good", "good")])  # type: ignore[method-assign]
    result = attempt(folder, source)
    check_account(folder)
    assert (result.counts.found, result.counts.succeeded, source.given["good"]) == (2, 1, 1)
    assert unsuccessful(folder)["denied"]["error_code"] == "invalid_item"


def rewritten(store: MemoryStore, name: str, change: Callable[[pa.Table], pa.Table]) -> list[str]:
    """Return what verifying finds after a table of the job was changed, and a new custody log vouches for it."""
    copy = store.copy()
    table = read_part(copy, f"job/{name}")
    copy.blobs[f"job/{name}"] = bytes(part_bytes(change(table).replace_schema_metadata(table.schema.metadata)))
    for key in [key for key in copy.blobs if key.startswith(("job/custody/", "job/evidence/"))]:
        del copy.blobs[key]
    enter_all(JobFolder(copy, "job"))
    return [problem.what for problem in verify_job(JobFolder(copy, "job")).problems]


def test_verify_finds_what_is_doubled() -> None:
    """Found are an id twice in inventory, ledger, manifest or report, or in two of them, and bytes of two items."""
    source = MemorySource({f"good/{n}": Thing("good", b"x" * n) for n in range(5)} | {"denied": Thing("denied")})
    store = MemoryStore()
    attempt(new_job(store, source, "job"), source)
    manifest = "manifest/0001.parquet"
    assert rewritten(store, manifest, lambda table: table) == []

    def doubled(table: pa.Table) -> pa.Table:
        return pa.concat_tables([table, table.slice(0, 1)]).combine_chunks()

    def renamed(table: pa.Table) -> pa.Table:
        ids = ["good/4" if id_ == "good/2" else id_ for id_ in table["item_id"].to_pylist()]
        return table.set_column(0, table.schema.field(0), pa.array(ids))

    def placed(table: pa.Table) -> pa.Table:
        row = table.schema.get_field_index("entry_offset")
        offsets = table["entry_offset"].to_pylist()
        return table.set_column(row, table.schema.field(row), pa.array([offsets[0], *offsets[:1], *offsets[2:]]))

    ledger = "ledger/0001/part-00001.parquet"
    assert "it holds good/4, which occurs twice in the attempt" in rewritten(store, ledger, renamed)
    assert "it holds good/0, which manifest or error report already hold" in rewritten(store, manifest, doubled)
    found = rewritten(store, "reports/0001/errors.parquet", doubled)
    assert "it holds denied, which manifest or error report already hold" in found
    assert any("also belong to another item" in what for what in rewritten(store, ledger, placed))


def test_verify_finds_a_job_that_collected_an_id_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job of a version without unique ids, in which everything else agrees, is found too."""
    monkeypatch.setattr(UniqueIds, "add", lambda self, ids: [])
    source = repeating(4, "good/02")
    store = MemoryStore()
    attempt(new_job(store, source, "job"), source)
    monkeypatch.undo()
    problems = {problem.path for problem in verify_job(JobFolder(store, "job")).problems}
    assert {"ledger/0001/part-00001.parquet", "manifest/0001.parquet"} <= problems


@settings(max_examples=examples(50), deadline=None)
@given(
    batches=st.lists(st.lists(st.text(st.characters(), max_size=3), max_size=40), max_size=20),
    many=st.integers(0, 3).map(lambda power: 10**power),
)
def test_unique_ids_are_a_set(batches: list[list[str]], many: int) -> None:
    """In any batches of any texts, exactly the repeated ones are found while the table grows."""
    ids, known = UniqueIds(), set[str]()
    for batch in [*batches, [f"{n}" for n in range(10 * many)], *batches]:
        expected = []
        for row, id_ in enumerate(batch):
            if id_ in known:
                expected.append(row)
            known.add(id_)
        assert ids.add(batch) == expected
        assert len(ids) == len(known)


def test_ids_whose_first_hash_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Different ids that share the first of their two hashes, or a full bucket, count as different."""
    from prefect_collect.job_folder import id_sets

    whole = id_sets._hashes

    def alike(ids: Any) -> Any:
        high, low = whole(ids)
        high[:] = 7
        return high, low

    monkeypatch.setattr(id_sets, "_hashes", alike)
    ids = UniqueIds()
    for start in range(0, 600, 60):
        assert ids.add([f"{n}" for n in range(start, start + 60)]) == []
    assert ids.add([f"{n}" for n in range(590, 610)]) == list(range(10))
