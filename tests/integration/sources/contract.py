"""The contract of all sources: the tests that the test class of each kind of source inherits.

Each test collects from a real server by attempts without Prefect, and checks the account. What has a connection, which
may break, also inherits `BreakingContract`.
"""

from __future__ import annotations

import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from prefect_collect.codes import CANCELED
from prefect_collect.collecting import shard
from prefect_collect.collecting.incremental import since_options
from prefect_collect.job_folder import store_keys
from prefect_collect.sources import Content, Item, ListingEnd
from prefect_collect.sources.listing import items_of, proven
from prefect_collect.statuses import JobStatus
from prefect_collect.stores import DirectoryStore
from prefect_collect.threads.stop import Stop
from tests.examples import LARGE as LARGE_TOO
from tests.integration.sources.places import (
    HUGE,
    LARGE,
    MANY,
    MOST_MEMORY,
    NAMES,
    STREAMED,
    Place,
    broken_once_listed,
    by_path,
    collected,
    failures,
    hash_of_zeros,
    listed_before,
    patterned,
    read,
)
from tests.support.peak import measured
from tests.support.run_attempts import attempt, check_account, held, job_rows, new_job, unsuccessful


class SourceContract:
    """Tests of the fixture `place`, which is an empty place for each test."""

    @pytest.fixture
    def roomy(self, request: pytest.FixtureRequest) -> Place:
        """An empty place that can hold an item of 5 GB."""
        place: Place = request.getfixturevalue("place")
        return place

    def test_everything_is_collected(self, place: Place, tmp_path: Path) -> None:
        """Items of all sizes are listed with size and time, read by both ways, and collected; the listing is proven."""
        contents = {"a": b"", "b/c": b"x", "b/d": patterned(70_000), "e": patterned(3_000_001)}
        for name, data in contents.items():
            place.put(name, data)
        source = place.source()
        listed = list(proven(source))
        assert isinstance(listed[-1], ListingEnd)
        items = by_path(source)
        assert {name: item.size for name, item in items.items()} == {name: len(data) for name, data in contents.items()}
        assert all(item.modified is not None for item in items.values())
        assert len({item.id for item in items.values()}) == len(contents)
        for name, item in items.items():
            assert read(source, item) == contents[name]
        for item, got in source.read_many([items["a"], items["b/c"], items["b/d"]], 4):
            assert isinstance(got, Content)
            assert b"".join(bytes(chunk) for chunk in got.chunks) == contents[item.path]
        folder, status = collected(tmp_path, source)
        assert status is JobStatus.SUCCESSFULLY_COMPLETED
        assert {row["original_path"] for row in held(folder).values()} == contents.keys()

    def test_odd_names(self, place: Place, tmp_path: Path) -> None:
        """Names that shells, URLs and spreadsheets dislike are collected, and found again from their ids alone."""
        names = [name for name in NAMES if name not in place.refused]
        for name in names:
            place.put(f"odd/{name}", name.encode())
        source = place.source()
        items = by_path(source)
        assert items.keys() == {f"odd/{name}" for name in names}
        for path, item in items.items():
            assert read(source, Item(item.id, "")) == path.removeprefix("odd/").encode()
        folder, status = collected(tmp_path, source)
        assert status is JobStatus.SUCCESSFULLY_COMPLETED
        assert len(held(folder)) == len(names)

    def test_an_empty_place(self, place: Place, tmp_path: Path) -> None:
        """A place without items is collected: nothing matched, and that is proven."""
        place.put("gone", b"x")
        place.remove("gone")
        assert by_path(place.source()) == {}

    def test_many_items(self, place: Place, tmp_path: Path) -> None:
        """All of many items are listed once, and collected."""
        many = MANY if LARGE_TOO else place.many
        place.put_many(many)
        source = place.source()
        folder = new_job(DirectoryStore(tmp_path / "store"), source)
        with measured(f"{type(source).__name__} of {type(place).__name__}, {many:,} items") as taken:
            assert attempt(folder, source).status is JobStatus.SUCCESSFULLY_COMPLETED
        check_account(folder)
        assert len(held(folder)) == many
        assert taken.peak < MOST_MEMORY

    @pytest.mark.skipif(not LARGE_TOO, reason="with LARGE=all (make large)")
    def test_an_item_of_5_gb(self, roomy: Place, tmp_path: Path) -> None:
        """An item of 5 GB is collected whole, and the memory that it takes is bounded."""
        roomy.put_huge("huge", HUGE)
        source = roomy.source()
        folder = new_job(DirectoryStore(tmp_path / "store"), source)
        with measured(f"{type(source).__name__} of {type(roomy).__name__}, an item of 5 GB") as taken:
            assert attempt(folder, source).status is JobStatus.SUCCESSFULLY_COMPLETED
        [row] = held(folder).values()
        shutil.rmtree(tmp_path / "store")
        assert (row["size"], row["sha256"]) == (HUGE, hash_of_zeros(HUGE))
        assert taken.peak < MOST_MEMORY

    def test_a_large_item(self, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """An item that is too large for memory's share is streamed, in order."""
        monkeypatch.setattr(shard, "LARGE_ITEM", STREAMED)
        place.put("large", patterned(LARGE))
        folder, status = collected(tmp_path, place.source())
        assert status is JobStatus.SUCCESSFULLY_COMPLETED
        [(item_id, row)] = held(folder).items()
        assert row["segment"] == store_keys.segment_name(1, 0, 0), "it is not in a segment of its own"
        check_account(folder, {item_id: patterned(LARGE)})

    def test_an_item_that_is_removed(self, place: Place) -> None:
        """An item that is removed between listing and reading fails with `not_found`, both ways; others do not."""
        place.put("a", b"a")
        place.put("b", b"b")
        source = place.source()
        items = by_path(source)
        place.remove("a")
        with pytest.raises(Exception, match=r"\[|No such") as caught:
            read(source, items["a"])
        failure = source.classify(caught.value, items["a"])
        assert failure is not None
        assert failure.code == "not_found"
        assert list(source.relist(items["a"])) == []
        for item, got in source.read_many(items.values(), 2):
            if item.path == "b":
                assert isinstance(got, Content)
            else:
                assert isinstance(got, Exception)
                failure = source.classify(got, item)
                assert failure is not None
                assert failure.code == "not_found"

    def test_an_item_that_is_changed(self, place: Place, tmp_path: Path) -> None:
        """An item that is changed between listing and reading fails, small or large, and a retry collects it."""
        for name in ("small", "large"):
            place.put(name, b"before")
        place.put("same", b"same")
        source = place.source()
        items = [*items_of(source)]
        place.put("small", b"after")
        place.put("large", patterned(1_100_000))
        folder = new_job(DirectoryStore(tmp_path / "store"), source)
        listed = listed_before(source, items)
        assert attempt(folder, listed).status is JobStatus.PARTIALLY_COMPLETED
        codes = {row["item_id"]: row["error_code"] for row in unsuccessful(folder).values()}
        assert codes == {place.id_of(name): "changed_during_read" for name in ("small", "large")}
        assert attempt(folder, source).status is JobStatus.SUCCESSFULLY_COMPLETED
        check_account(folder)

    def test_only_what_is_new(self, place: Place, tmp_path: Path) -> None:
        """An incremental job takes what is new or changed, and skips the rest as `unchanged`."""
        for name in ("kept", "changed"):
            place.put(name, b"before")
        store = DirectoryStore(tmp_path / "store")
        source = place.source()
        assert attempt(new_job(store, source), source).status is JobStatus.SUCCESSFULLY_COMPLETED
        place.put("changed", b"and after")
        place.put("new", b"new")
        later = new_job(store, source)
        record = replace(later.record(), options={})
        later = new_job(store, source, options=since_options(store, record))
        assert attempt(later, source).status is JobStatus.SUCCESSFULLY_COMPLETED
        check_account(later)
        assert {row["original_path"] for row in held(later).values()} == {"changed", "new"}
        assert [row["error_code"] for row in unsuccessful(later).values()] == ["unchanged"]


class BreakingContract:
    """Tests of the fixture `place`, whose connection or server breaks."""

    def test_a_listing_that_is_cut(self, place: Place, tmp_path: Path) -> None:
        """A listing that is cut in the middle is either taken up again, or said to be incomplete: never short."""
        place.put_many(place.cut)
        with place.broken("listing"):
            folder, status = collected(tmp_path, place.source())
        if status is not JobStatus.SUCCESSFULLY_COMPLETED:
            assert job_rows(folder)
            assert attempt(folder, place.source()).status is JobStatus.SUCCESSFULLY_COMPLETED
        assert len(held(folder)) == place.cut

    @pytest.fixture
    def streams_more(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Items are streamed from a smaller size on."""
        monkeypatch.setattr(shard, "LARGE_ITEM", STREAMED)

    @pytest.mark.usefixtures("streams_more")
    @pytest.mark.parametrize("size", [200_000, LARGE])
    def test_a_connection_that_breaks(self, place: Place, tmp_path: Path, size: int) -> None:
        """An item whose connection breaks within its bytes is tried again, and is whole; a large one is streamed."""
        place.put("item", patterned(size))
        place.put("other", b"other")
        with place.broken("item"):
            folder, status = collected(tmp_path, place.source())
        assert status is JobStatus.SUCCESSFULLY_COMPLETED
        row = next(row for row in held(folder).values() if row["original_path"] == "item")
        assert row["size"] == size

    def test_credentials_that_expire(self, place: Place, tmp_path: Path) -> None:
        """Once the credentials are refused, the job ends with `bad_credentials`; a retry with good ones goes on."""
        place.put_many(60)
        source = place.source()
        items = [*items_of(source)]
        folder = new_job(DirectoryStore(tmp_path / "store"), source)
        with broken_once_listed(place, "credentials", source, items) as listed:
            assert attempt(folder, listed).status is JobStatus.FAILED
            codes = failures(folder)
            assert "bad_credentials" in codes
            assert codes <= {"bad_credentials", "connection_lost"}
            check_account(folder)
        assert attempt(folder, place.source()).status is JobStatus.SUCCESSFULLY_COMPLETED
        assert len(held(folder)) == 60

    def test_a_server_that_is_restarted(self, place: Place, tmp_path: Path) -> None:
        """A server that is down fails the job for a passing reason; when it is up again, a retry goes on."""
        place.put_many(place.restarted)
        source = place.source()
        items = [*items_of(source)]
        folder = new_job(DirectoryStore(tmp_path / "store"), source)
        with broken_once_listed(place, "restart", source, items) as listed:
            assert attempt(folder, listed).status is JobStatus.FAILED
            assert failures(folder) <= {"connection_lost", "timeout"}
        assert attempt(folder, source).status is JobStatus.SUCCESSFULLY_COMPLETED
        check_account(folder)

    def test_a_cancel(self, place: Place, tmp_path: Path) -> None:
        """A cancel ends a job whose source does not answer any more, and what was not collected is accounted for."""
        place.put("hangs", patterned(200_000))
        source, stop = place.source(), Stop()
        folder = new_job(DirectoryStore(tmp_path / "store"), source)
        with place.broken("hang"):
            canceling = threading.Thread(target=_cancel, args=(place, stop))
            canceling.start()
            result = attempt(folder, source, stop=stop)
            canceling.join()
        assert result.status is JobStatus.CANCELED
        check_account(folder)
        assert attempt(folder, place.source()).status is JobStatus.SUCCESSFULLY_COMPLETED


def _cancel(place: Place, stop: Stop) -> None:
    """Cancel a job a second after it has met the fault."""
    until = time.monotonic() + 60
    while not place.has_met_a_fault() and time.monotonic() < until:
        time.sleep(0.05)  # polled: the proxy gives no notice
    stop.wait(1.0)
    stop.set(CANCELED)
