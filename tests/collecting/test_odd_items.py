"""One odd item never affects another: each field in turn, from the listing to the package."""

from __future__ import annotations

import array
import io
from asyncio import CancelledError
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from prefect_collect.collecting import shard
from prefect_collect.collecting.incremental import since_options
from prefect_collect.job_folder import store_keys
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.job_folder.result import TaskResult
from prefect_collect.packages import verify
from prefect_collect.sources import SMALL_ITEM, Content, Item, ListingEnd
from prefect_collect.sources.item_checks import NO_ID
from prefect_collect.sources.query import Query
from prefect_collect.statuses import JobStatus
from prefect_collect.stores import DirectoryStore
from prefect_collect.verification import verify_job
from tests.collecting.odd_values import BROKEN, INVALID, NO_ITEMS, RIGHT, WRONG, Mute, field, raises
from tests.examples import QUICK
from tests.support.memory_store import MemoryStore
from tests.support.odd_source import BYTES, GOOD, OddSource, as_it_is, odd_id
from tests.support.run_attempts import attempt, check_account, export, held, job_rows, new_job, unsuccessful


def run(source: OddSource, out: Path, **described: Any) -> tuple[JobFolder, TaskResult]:
    """Collect, export, and verify both; all items are found, the account adds up, and the good items succeed."""
    store = MemoryStore()
    folder = new_job(store, source, "job", **described)
    result = attempt(folder, source)
    check_account(folder)
    count = len(GOOD) + len(source.odd)
    assert result.counts.found == count
    assert set(GOOD) <= held(folder).keys()
    assert job_rows(folder) == []
    _, exported = export(folder, DirectoryStore(out))
    assert exported.status is JobStatus.SUCCESSFULLY_COMPLETED
    verified = verify_job(folder)
    assert verified.valid, verified.problems
    checked = verify(str(next(out.glob("*.zip"))))
    assert checked.valid, checked.problems
    assert len(result.successful.to_pandas()) + len(result.unsuccessful.to_pandas()) == count
    return folder, result


@pytest.mark.parametrize("has_id", [True, False])
def test_an_item_that_its_source_describes_wrongly(has_id: bool, tmp_path: Path) -> None:
    """With any odd field, the item is found and fails as `invalid_item`; the others are collected and exported.

    One source has an item for each odd value of each field, another one the items whose id is odd or that are none.
    """
    if has_id:
        odd = [field(name, value) for name, values in WRONG.items() if name != "id" for value in values]
    else:
        odd = [*(field("id", value) for value in WRONG["id"]), *NO_ITEMS]
    folder, result = run(OddSource(odd), tmp_path)
    rows = unsuccessful(folder)
    assert result.counts.failed == len(rows) == len(odd)
    assert {(row["error_code"], row["outcome"]) for row in rows.values()} == {("invalid_item", "failed")}
    assert rows.keys() == {odd_id(n) if has_id else f"{NO_ID}{n + 1}" for n in range(len(odd))}
    assert max(len(row["message"]) for row in rows.values()) < 900
    mended = OddSource([as_it_is] * len(odd))
    result = attempt(folder, mended)
    check_account(folder)
    assert (result.status, result.counts.found) == (JobStatus.SUCCESSFULLY_COMPLETED, len(GOOD) + len(odd))
    assert held(folder).keys() == {*GOOD, *(odd_id(n) for n in range(len(odd)))}


def test_unusual_items(tmp_path: Path) -> None:
    """Items with an unusable path, or a time in the year 1 or 9999, are still collected."""
    own: Callable[[Any], Any] = lambda item: type("Own", (Item,), {})(item.id, item.path, item.size)  # noqa: E731
    odd = [own, *(field(name, value) for name, values in RIGHT.items() for value in values)]
    _, result = run(OddSource(odd), tmp_path)
    assert result.status is JobStatus.SUCCESSFULLY_COMPLETED


@pytest.mark.parametrize("sized", [True, False], ids=["many", "one"])
@pytest.mark.parametrize("kind", ["invalid", *BROKEN])
def test_an_item_that_is_opened_wrongly(kind: str, sized: bool, tmp_path: Path) -> None:
    """An odd content, or an error for one item, fails only that item, read with others or alone.

    One source has an item for each odd value of each field of a content; one each has the broken contents and errors.
    """
    fields = [field(name, value) for name, values in INVALID.items() for value in values]
    odd = BROKEN.get(kind, fields)
    folder, _ = run(OddSource(odd, opening=True, sized=sized), tmp_path)
    rows = unsuccessful(folder)
    assert rows.keys() == {odd_id(n) for n in range(len(odd))}
    assert {row["outcome"] for row in rows.values()} == {"failed"}
    assert max(len(row["message"]) for row in rows.values()) <= 4_000
    if kind == "invalid":
        assert {row["error_code"] for row in rows.values()} == {"invalid_item"}


def test_listed_sizes_that_do_not_count() -> None:
    """Where the listed size may not be that of the bytes, an item is staged as one of unknown size, by what comes.

    A small one shares a segment, however large it was listed, and a larger one has a segment of its own.
    """
    large = bytes(shard.UNKNOWN_ITEM + 1)

    class Misjudged(OddSource):
        def _item(self, id_: str) -> Item:
            return replace(super()._item(id_), size=1 << 40 if id_ == odd_id(0) else SMALL_ITEM + 1)

        @contextmanager
        def open(self, item: Item) -> Iterator[Content]:
            yield Content([large if item.id == odd_id(1) else BYTES], listed_size_counts=False)

    source = Misjudged([as_it_is, as_it_is])
    folder = new_job(MemoryStore(), source)
    assert attempt(folder, source).status is JobStatus.SUCCESSFULLY_COMPLETED
    check_account(folder, {odd_id(0): BYTES, odd_id(1): large})
    segments = {item_id: row["segment"] for item_id, row in held(folder).items()}
    shared = {store_keys.segment_name(1, part) for part in range(len(segments))}
    assert {item_id for item_id, segment in segments.items() if segment not in shared} == {odd_id(1)}


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
def test_a_source_that_uses_its_buffer_again(streamed: bool, tmp_path: Path, monkeypatch: Any) -> None:
    """Pieces that the source overwrites with the next one, or whose length is in words, are collected correctly."""
    if streamed:
        monkeypatch.setattr(shard, "LARGE_ITEM", 1)

    def pieces() -> Iterator[Any]:
        buffer = bytearray(3)
        for piece in (b"abc", b"def"):
            buffer[:] = piece
            yield memoryview(buffer)

    def reused(_: object) -> Content:
        return Content(pieces(), size=6 if streamed else None)

    def words(_: object) -> Content:
        return Content([memoryview(array.array("H", b"abcdef"))], size=6 if streamed else None)

    for sized in (True, False):
        folder, _ = run(OddSource([reused, words], opening=True, sized=sized), tmp_path / str(sized))
        check_account(folder, {odd_id(0): BYTES, odd_id(1): BYTES})


@pytest.mark.parametrize("understood", [lambda error: "not_found", lambda error: 1 / 0, lambda error: True])
def test_a_source_that_misunderstands_its_errors(understood: Callable[[Exception], Any], tmp_path: Path) -> None:
    """If `classify` returns no failure, or raises, the error is unexpected, and other items are not affected."""
    folder, _ = run(OddSource([raises(OSError("?"))], opening=True, understood=understood), tmp_path)
    assert unsuccessful(folder)[odd_id(0)]["error_code"] == "unexpected_error"


@pytest.mark.parametrize("error", [RuntimeError("broken"), SystemExit(1), CancelledError()])
def test_reading_many_that_breaks(error: BaseException, tmp_path: Path) -> None:
    """If reading many breaks off, or yields unknown or repeated items, the rest is read one by one."""
    source = OddSource()
    whole = source.read_many

    def broken(items: Any, concurrency: int) -> Iterator[Any]:
        for number, (item, content) in enumerate(whole(items, concurrency)):
            if number == 2:
                raise error
            yield replace(item), content
            yield item, content
            yield Item("stranger", "stranger"), content
            yield None, content

    source.read_many = broken  # type: ignore[method-assign]
    _, result = run(source, tmp_path)
    assert result.counts.succeeded == len(GOOD)


@pytest.mark.parametrize("error", [SystemExit(1), CancelledError(), Mute()])
def test_a_listing_that_ends_the_process(error: BaseException) -> None:
    """A listing that exits breaks off, as with any error: the job is not canceled, as no user canceled it."""
    source = OddSource()

    def items() -> Iterator[Any]:
        yield Item("item/0", "item/0", 6)
        raise error

    source.items = items  # type: ignore[method-assign]
    folder = new_job(MemoryStore(), source)
    result = attempt(folder, source)
    check_account(folder)
    assert (result.status, job_rows(folder)) == (JobStatus.PARTIALLY_COMPLETED, ["enumeration_failed"])


def test_odd_items_pass_every_filter_that_cannot_judge_them(tmp_path: Path) -> None:
    """A query does not fail on an odd field, and does not drop from the account what it cannot judge."""
    strict = Query(include=("*.txt",), min_size=1, modified_after=datetime(1999, 1, 1, tzinfo=UTC)).to_json()
    odd = [field("size", "6"), field("modified", date(2020, 1, 1)), field("path", None)]
    folder, _ = run(OddSource(odd), tmp_path, query=strict)
    assert unsuccessful(folder).keys() == {odd_id(n) for n in range(3)}


def test_items_without_an_id_are_told_apart(tmp_path: Path) -> None:
    """Each has its own row; a retry collects one that its source mended, a report alone cannot find it."""
    source = OddSource()

    def items() -> Iterator[Any]:
        yield Item("good", "good", 6)
        yield from (Item("", "one", 6), Item(None, "two", 6), None)  # type: ignore[arg-type]
        yield ListingEnd("all", items=4)

    mended, source.items = source.items, items  # type: ignore[method-assign]
    folder = new_job(MemoryStore(), source)
    assert attempt(folder, source).counts.found == 4
    rows = unsuccessful(folder)
    assert rows.keys() == {f"{NO_ID}{n}" for n in (1, 2, 3)}
    assert [row["path"] for row in rows.values()] == ["one", "two", ""]
    attempt(folder, source, only=[Item(f"{NO_ID}2", "two")])
    assert "a new listing of the source" in unsuccessful(folder)[f"{NO_ID}2"]["message"]
    attempt(folder, source)
    assert unsuccessful(folder).keys() == rows.keys()
    source.items = mended  # type: ignore[method-assign]
    result = attempt(folder, source)
    check_account(folder)
    assert (result.status, result.counts.found) == (JobStatus.SUCCESSFULLY_COMPLETED, 1 + len(GOOD))


def test_odd_items_in_a_retry_and_in_an_incremental_job() -> None:
    """Odd items in a retry, or in a later job, do not affect the others either."""
    odd = [field("modified", 5), field("size", -1), field("path", None)]
    source = OddSource([raises(OSError("?"))] * len(odd), opening=True)
    store = MemoryStore()
    folder = new_job(store, source)
    attempt(folder, source)
    again = OddSource(odd)
    attempt(folder, again)
    check_account(folder)
    assert [row["error_code"] for row in unsuccessful(folder).values()] == ["invalid_item"] * len(odd)
    again.odd = [*odd, field("id", None)]
    later = new_job(store, again, options=since_options(store, folder.record()))
    result = attempt(later, again)
    check_account(later)
    assert (result.counts.found, result.counts.failed) == (len(GOOD) + 4, 4)


def test_the_lists_of_a_package_hold_odd_items(tmp_path: Path) -> None:
    """items.parquet and items.csv list items of the years 1 and 9999, and items with wrong descriptions."""
    odd = [field("modified", at) for at in RIGHT["modified"]] + [field("size", -1), *NO_ITEMS]
    folder, _ = run(OddSource(odd), tmp_path)
    export(folder, DirectoryStore(tmp_path), "directory")
    (bag,) = (path.parent for path in tmp_path.glob("*/items.parquet"))
    assert pq.read_table(bag / "items.parquet").num_rows == len(GOOD) + len(odd)
    assert pa_csv.read_csv(io.BytesIO((bag / "items.csv").read_bytes())).num_rows == len(GOOD) + len(odd)


def test_many_long_names() -> None:
    """Ids and paths of 60,000 bytes each are collected: the files of a shard stay within the bounds of reading.

    In one shard, 700 of them would exceed these bounds; a quick run only has several shards of them.
    """
    source, count = OddSource(), 140 if QUICK else 700

    def items() -> Iterator[Any]:
        for number in range(count):
            yield Item(f"{number:010}" * 6000, f"{number:010}" * 6000, 6)
        yield ListingEnd("all", items=count)

    source.items = items  # type: ignore[method-assign]
    folder = new_job(MemoryStore(), source)
    assert attempt(folder, source).counts.succeeded == count
