"""Incremental collections: new and changed items are collected, items that earlier jobs hold are not."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prefect_collect.blocks import FileSource
from prefect_collect.codes import CANCELED
from prefect_collect.collecting import shard
from prefect_collect.collecting.incremental import Incremental, last_jobs, needed_by
from prefect_collect.job_folder import store_keys, table_columns
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.job_folder.ledger import read_inventory, read_ledger
from prefect_collect.sources import SMALL_ITEM, Item
from prefect_collect.statuses import JobStatus
from prefect_collect.stores import DirectoryStore
from prefect_collect.threads.stop import Stop
from tests.support.memory_source import WHEN, MemorySource, Thing
from tests.support.memory_store import MemoryStore
from tests.support.run_attempts import attempt, check_account, held, new_incremental_job, new_job, unsuccessful

pytestmark = pytest.mark.usefixtures("small_shards")


def write(path: Path, content: bytes, age: int = 3600) -> None:
    """Write a file with a modification time so many seconds ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    then = time.time() - age
    os.utime(path, (then, then))


def skipped(folder: JobFolder) -> dict[str, str]:
    """Return the skipped items, with their codes."""
    rows = unsuccessful(folder)
    return {id_: row["error_code"] for id_, row in rows.items() if row["outcome"] == "skipped"}


def ledger(folder: JobFolder, number: int = 1) -> dict[str, dict[str, Any]]:
    """Return the ledger's rows of an attempt."""
    tables = (read_ledger(folder, number, part) for part in folder.parts("ledger", number))
    return {row["item_id"]: row for table in tables if table is not None for row in table.to_pylist()}


def test_a_tree_day_by_day(tmp_path: Path) -> None:
    """Of a tree with a touched, a changed, an added and a deleted file, two files are staged."""
    root, store = tmp_path / "tree", DirectoryStore(tmp_path / "store")
    for number in range(10):
        write(root / f"{number}.txt", f"content {number}".encode())
    source = FileSource(root=root)
    first = new_incremental_job(store, source)
    result = attempt(first, source)
    assert (result.counts.succeeded, result.relies_on) == (10, ())
    assert result.notes[0].endswith("without items of an earlier job: 0 of 10 items unchanged, 0 changed, 10 new.")
    assert result.warnings == ()

    write(root / "0.txt", b"content 0", age=60)
    write(root / "1.txt", b"changed!!", age=60)
    write(root / "new.txt", b"new", age=60)
    (root / "2.txt").unlink()
    second = new_incremental_job(store, source)
    result = attempt(second, source)
    check_account(second)
    assert result.status is JobStatus.SUCCESSFULLY_COMPLETED
    assert set(held(second)) == {"1.txt", "new.txt"}
    assert set(skipped(second).values()) == {"unchanged"}
    counts = result.counts
    assert (counts.found, counts.succeeded, counts.skipped) == (10, 2, 8)
    assert result.warnings == ()
    assert result.notes[0] == (
        f"Incremental since job {first.job_id}: 8 of 10 items unchanged (held: 8 by job {first.job_id}), "
        "1 changed, 1 new."
    )
    tries = {id_: row["tries"] for id_, row in ledger(second).items()}
    assert {id_ for id_, number in tries.items() if number} == {"0.txt", "1.txt", "new.txt"}
    assert first.job_id in unsuccessful(second)["5.txt"]["message"]
    assert "content is the same" in unsuccessful(second)["0.txt"]["message"]

    third = new_incremental_job(store, source)
    result = attempt(third, source)
    check_account(third)
    assert (result.counts.succeeded, result.counts.skipped) == (0, 10)
    assert result.relies_on == tuple(sorted([first.job_id, second.job_id]))
    assert f"held: 8 by job {first.job_id}, 2 by job {second.job_id}" in result.notes[0]


def test_what_is_relied_on() -> None:
    """A job is needed by those that skipped what it holds, and by any that has no result yet."""
    store, source = MemoryStore(), MemorySource({f"good/{n}": Thing("good", b"x" * n) for n in range(5)})
    first = new_incremental_job(store, source)
    attempt(first, source)
    source.things["good/0"] = Thing("good", b"another")
    second = new_incremental_job(store, source)
    assert needed_by(store, first.job_id) == [second.job_id]
    attempt(second, source)
    assert needed_by(store, first.job_id) == [second.job_id]
    assert needed_by(store, second.job_id) == []
    source.things = {"good/0": source.things["good/0"]}
    third = new_incremental_job(store, source)
    assert sorted(needed_by(store, first.job_id)) == sorted([second.job_id, third.job_id])
    attempt(third, source)
    assert needed_by(store, first.job_id) == [second.job_id]
    assert needed_by(store, second.job_id) == [third.job_id]


def test_a_retry_of_an_incremental_job() -> None:
    """Failed items are tried again, and compared with the same jobs as before."""
    store, source = MemoryStore(), MemorySource({f"good/{n}": Thing("good", bytes(n + 1)) for n in range(5)})
    attempt(new_incremental_job(store, source), source)
    source.things |= {"good/1": Thing("denied", b"other"), "new": Thing("down", b"new")}
    job = new_incremental_job(store, source)
    result = attempt(job, source)
    assert (result.status, result.counts.failed, result.counts.skipped) == (JobStatus.FAILED, 2, 4)
    source.things |= {"good/1": Thing("good", bytes(2)), "new": Thing("good", b"new")}
    result = attempt(job, source)
    check_account(job)
    assert (result.status, set(held(job))) == (JobStatus.SUCCESSFULLY_COMPLETED, {"new"})
    assert result.counts.skipped == 5
    assert len(result.relies_on) == 1


@pytest.mark.parametrize("large", [False, True])
def test_large_items_of_the_same_content(monkeypatch: pytest.MonkeyPatch, large: bool) -> None:
    """They are read, but leave no segment."""
    if large:
        monkeypatch.setattr(shard, "LARGE_ITEM", SMALL_ITEM)
    things = {f"good/{n}": Thing("good", bytes(SMALL_ITEM + n + 1)) for n in range(3)}
    store, source = MemoryStore(), MemorySource(things | {"unknown": Thing("unknown_size", bytes(3 << 20))})
    listed = source._item
    attempt(new_incremental_job(store, source), source)
    source._item = lambda id_: replace(listed(id_), etag="another", modified=WHEN + timedelta(1))  # type: ignore[method-assign]
    job = new_incremental_job(store, source)
    result = attempt(job, source)
    check_account(job)
    assert (result.counts.skipped, result.counts.succeeded) == (4, 0)
    assert not [key for key in store.blobs if key.startswith(f"{job.job_id}/segments/")]


def test_which_jobs_are_compared_with() -> None:
    """These are completed jobs of the same source, the latest first, back to the last that collected everything."""
    store, source = MemoryStore(), MemorySource({"good": Thing("good", b"x"), "denied": Thing("denied")})
    other = MemorySource({"good": Thing("good", b"x")}, name="other")

    def done(how: JobFolder, of: MemorySource = source) -> str:
        attempt(how, of)
        return how.job_id

    done(new_job(store, source))
    source.things.pop("denied")
    everything = done(new_job(store, source))
    part = done(new_job(store, source, query={"include": ["*"]}))
    done(new_job(store, other), other)
    empty = MemorySource({"denied": Thing("denied")})
    done(new_job(store, empty), empty)
    done(new_job(store, source, query={"include": ["none"]}))
    new_job(store, source)
    later = done(new_incremental_job(store, source))
    record = new_job(store, source).record()
    assert last_jobs(store, record) == [later, part, everything]


def test_what_a_listing_says() -> None:
    """The listing alone makes an item unchanged only if it states enough about it."""
    now = datetime.now(UTC) + timedelta(hours=1)  # that is, not before the first job's listing
    old = now - timedelta(days=1)

    def lookup(before: Item, after: Item) -> bool:
        store, source = MemoryStore(), MemorySource({before.id: Thing("good", b"12345")})
        source._item = lambda id_: before  # type: ignore[method-assign]
        first = new_job(store, source)
        assert attempt(first, source).counts.succeeded == 1
        source._item = lambda id_: after  # type: ignore[method-assign]
        source.opened.clear()
        job = new_incremental_job(store, source)
        assert attempt(job, source).counts.skipped == 1
        check_account(job)
        return not source.opened

    plain = Item("a", "a", 5, old)
    assert lookup(plain, plain)
    assert not lookup(plain, replace(plain, modified=now))
    assert not lookup(replace(plain, modified=now), replace(plain, modified=now)), "it may have changed since"
    assert not lookup(Item("a", "a", 5), Item("a", "a", 5))
    assert not lookup(Item("a", "a"), Item("a", "a"))
    assert lookup(Item("a", "a", etag="e5"), Item("a", "a", etag="e5"))
    assert lookup(replace(plain, version="1"), replace(plain, version="1", modified=None))
    assert not lookup(replace(plain, version="1"), replace(plain, version="2"))


def test_a_job_that_is_gone_or_damaged() -> None:
    """Its items are collected again."""
    store, source = MemoryStore(), MemorySource({f"good/{n}": Thing("good", b"x" * n) for n in range(3)})
    first = new_job(store, source)
    attempt(first, source)
    gone, damaged = new_incremental_job(store, source), new_incremental_job(store, source)
    with Incremental(store, [first.job_id]) as since:
        assert len(since) == 3
    key = store_keys.manifest_key(first.job_id, 1)
    store.blobs[key] = store.blobs[key][:-20]
    assert attempt(damaged, source).counts.succeeded == 3
    store.delete(f"{first.job_id}/")
    assert attempt(gone, source).counts.succeeded == 3


def test_canceled_before_the_comparison() -> None:
    """A cancel takes effect while earlier jobs are read; started again, the job is incremental as before."""
    store, source = MemoryStore(), MemorySource({f"good/{n}": Thing("good", b"x" * n) for n in range(3)})
    attempt(new_job(store, source), source)
    job, stop = new_incremental_job(store, source), Stop()
    stop.set(CANCELED)
    result = attempt(job, source, stop=stop)
    check_account(job)
    assert (result.status, result.counts.found) == (JobStatus.CANCELED, 0)
    result = attempt(job, source)
    check_account(job)
    assert (result.status, result.counts.skipped) == (JobStatus.SUCCESSFULLY_COMPLETED, 3)


def test_files_of_an_earlier_version_are_read() -> None:
    """Inventory and ledger parts without the columns of incremental jobs are read as if these were empty."""
    store, source = MemoryStore(), MemorySource({f"good/{n}": Thing("good", b"x" * n) for n in range(3)})
    folder = new_job(store, source)
    attempt(folder, source)
    for key in (store_keys.inventory_key(folder.job_id, 1, 0), store_keys.ledger_key(folder.job_id, 1, 0)):
        table = pq.read_table(pa.BufferReader(store.blobs[key]))
        sink = pa.BufferOutputStream()
        pq.write_table(table.drop_columns([c for c in table.column_names if c in table_columns.ADDED]), sink)
        store.blobs[key] = sink.getvalue().to_pybytes()
    assert read_inventory(folder, 1, 0).schema.names == table_columns.INVENTORY.names
    table = read_ledger(folder, 1, 0)
    assert table is not None
    assert table.schema.names == table_columns.LEDGER.names
    assert table["held_by"].null_count == 3
