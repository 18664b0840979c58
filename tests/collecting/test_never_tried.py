"""A retry of items that no attempt has tried: read without a look-up, and held to the ETag that was listed."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from prefect_collect.codes import CANCELED
from prefect_collect.collecting import enumeration
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.job_folder.store_keys import inventory_end_key, inventory_key
from prefect_collect.sources import Content, Item
from prefect_collect.statuses import JobStatus
from prefect_collect.threads.stop import Stop
from tests.support.memory_source import MemorySource, Thing
from tests.support.memory_store import MemoryStore
from tests.support.run_attempts import attempt, check_account, held, new_job, unsuccessful


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shards of three items, so that few items make many shards."""
    monkeypatch.setattr(enumeration, "SHARD_ITEMS", 3)


@pytest.fixture
def source() -> MemorySource:
    """A source of nine items."""
    return MemorySource({f"good/{n}": Thing("good", b"as listed") for n in range(9)})


@pytest.fixture
def folder(source: MemorySource) -> JobFolder:
    """A job of the source that was canceled when it had listed all items and tried none."""
    folder = new_job(MemoryStore(), source)
    cancel(folder, source)
    return folder


def cancel(folder: JobFolder, source: MemorySource, only: list[Item] | None = None) -> None:
    """Run an attempt that is canceled when it has listed all items and tried none."""
    store, stop, is_listed = folder.store, Stop(), threading.Event()
    assert isinstance(store, MemoryStore)
    unheld = len(source.things) - len(held(folder))
    end = inventory_end_key(folder.job_id, len(folder.attempts()) + 1)

    def met(_operation: str, key: str) -> None:
        if key == end:
            stop.set(CANCELED)
            is_listed.set()

    def read_none(_items: object, _concurrency: int) -> Iterator[tuple[Item, Content | Exception]]:
        is_listed.wait()
        return iter(())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "fault", met)
        patch.setattr(source, "read_many", read_none)
        result = attempt(folder, source, stop=stop, only=only, workers=1, in_flight=9)
    assert (result.status, result.listing_complete, result.counts.not_attempted) == (JobStatus.CANCELED, True, unheld)


def changed(folder: JobFolder) -> set[object]:
    """Return the ids of what was not collected, all of which was changed after it was listed."""
    rows = unsuccessful(folder).values()
    assert {row["error_code"] for row in rows} <= {"changed_during_read"}
    return {row["item_id"] for row in rows}


def test_no_look_up(source: MemorySource, folder: JobFolder) -> None:
    """A start after a cancel reads the remaining items without a look-up request for each; another size is no error
    if the source states no ETag of it.
    """
    source.things["good/1"] = Thing("good", b"another size by now")
    lookups: list[str] = []
    look_up = source.relist

    def noted(item: Item) -> Iterator[Item]:
        lookups.append(item.id)
        return look_up(item)

    source.relist = noted  # type: ignore[method-assign]
    assert attempt(folder, source).status is JobStatus.SUCCESSFULLY_COMPLETED
    assert lookups == []


def test_another_etag(source: MemorySource, folder: JobFolder) -> None:
    """An item that has another ETag than it was listed with fails, and the next retry takes it as it is then."""
    source.things["good/1"] = source.things["good/7"] = Thing("changed", b"as listed")
    assert attempt(folder, source).status is JobStatus.PARTIALLY_COMPLETED
    check_account(folder)
    assert changed(folder) == {"good/1", "good/7"}
    assert held(folder)["good/0"]["source_etag"] == "e9"
    source.things["good/1"] = source.things["good/7"] = Thing("good", b"and as it is now")
    assert attempt(folder, source).status is JobStatus.SUCCESSFULLY_COMPLETED
    assert held(folder)["good/7"]["source_etag"] == "e16"


def test_after_several_attempts(source: MemorySource, folder: JobFolder) -> None:
    """The ETag is that of the listing, also after attempts that tried other items, or were canceled too."""
    assert attempt(folder, source, only=[Item("good/3", "good/3")]).counts.succeeded == 1
    cancel(folder, source, only=[Item("good/2", "good/2"), Item("good/6", "good/6")])
    source.things |= {f"good/{n}": Thing("changed", b"as listed") for n in (1, 6, 8)}
    assert attempt(folder, source).status is JobStatus.PARTIALLY_COMPLETED
    check_account(folder)
    assert changed(folder) == {"good/1", "good/6", "good/8"}


@pytest.mark.parametrize("damage", ["lost", "changed"])
def test_an_inventory_that_cannot_be_read(source: MemorySource, folder: JobFolder, damage: str) -> None:
    """If a part of the inventory is lost or was changed, its items and those after it are read without an ETag to
    compare; those before it are held to theirs.
    """
    store, key = folder.store, inventory_key(folder.job_id, 1, 1)
    assert isinstance(store, MemoryStore)
    part = store.blobs.pop(key)
    if damage == "changed":
        store.blobs[key] = part.replace(b"good/", b"gone/")
    source.things |= {id_: Thing("changed", b"as listed") for id_ in source.things}
    assert attempt(folder, source).status is JobStatus.PARTIALLY_COMPLETED
    assert changed(folder) == {"good/0", "good/1", "good/2"}
