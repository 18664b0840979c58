"""Copies of a job's lists are checked once, and rows of them are found by their numbers."""

from __future__ import annotations

import pytest

from prefect_collect.errors import CollectError, CorruptPart, EvidenceError
from prefect_collect.job_folder import store_keys, table_columns
from prefect_collect.job_folder.checked_files import CheckedFiles
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.job_folder.parquet import CopiedTable, PartWriter
from tests.support.memory_source import MemorySource, Thing
from tests.support.memory_store import MemoryStore
from tests.support.run_attempts import attempt, new_job

THINGS = {**{f"{n:02d}": Thing(data=b"%d" % n) for n in range(30)}, "denied": Thing("denied"), "gone": Thing("skipped")}


def collected() -> JobFolder:
    """Return a collection of 30 items, with one that failed and one that was skipped."""
    folder = new_job(MemoryStore(), source := MemorySource(dict(THINGS)))
    attempt(folder, source)
    return folder


def test_a_copy_stays_as_it_was_checked() -> None:
    """What is written into the store after the check is not seen; a new check refuses it."""
    folder = collected()
    store = folder.store
    assert isinstance(store, MemoryStore)
    files = CheckedFiles(folder, 1)
    ids = files.manifest.take([0, 7, 29], ["item_id"])["item_id"].to_pylist()
    assert ids == ["00", "07", "29"]
    assert files.errors.take([0, 1], ["item_id"])["item_id"].to_pylist() == ["denied", "gone"]
    csv = b"".join(files.report("errors.csv").pieces())
    assert csv == store.blobs[store_keys.report_key(folder.job_id, 1, "errors.csv")]
    assert files.report("errors.csv").size == len(csv)
    for key in (store_keys.manifest_key(folder.job_id, 1), store_keys.report_key(folder.job_id, 1, "errors.csv")):
        store.blobs[key] += b" "
    assert files.manifest.take([7], ["item_id"])["item_id"].to_pylist() == ["07"]
    anew = CheckedFiles(folder, 1)
    for read in (lambda: anew.manifest, lambda: anew.report("errors.csv")):
        with pytest.raises(CorruptPart):
            read()
    assert (files.late, anew.errors.num_rows) == ("", 2)


def test_files_of_a_log_that_was_changed_are_not_read() -> None:
    """Without a whole custody log nothing vouches for the lists; an attempt that has not ended has none."""
    folder = collected()
    store = folder.store
    assert isinstance(store, MemoryStore)
    with pytest.raises(CollectError):
        CheckedFiles(folder, 2)
    del store.blobs[store_keys.custody_key(folder.job_id, 2)]
    with pytest.raises(EvidenceError):
        CheckedFiles(folder, 1)


@pytest.mark.parametrize("rows", [[], [0], [15_999], [16_000], [31_999, 32_000], [0, 16_000, 32_001], [32_001]])
def test_rows_are_found_in_their_groups(rows: list[int]) -> None:
    """Rows of a file of three row groups are found on both sides of the groups' bounds, in all or in some columns."""
    store, key = MemoryStore(), store_keys.report_key("J", 1, "errors.parquet")
    empty = table_columns.ERRORS.empty_table()
    with PartWriter(table_columns.ERRORS) as part:
        for start in (0, 16_000, 32_000):
            count = min(16_000, 32_002 - start)
            values = [
                {"job_id": "J", "job_kind": "collection", "attempt": 1, "outcome": "failed", "item_id": str(start + n)}
                for n in range(count)
            ]
            part.write(empty.from_pylist(values, table_columns.ERRORS).to_batches())
        part.store(store, key)
    table = CopiedTable(store, key, store.open(key))
    assert table.num_rows == 32_002
    assert table.take(rows, ["item_id"])["item_id"].to_pylist() == [str(row) for row in rows]
    assert table.take(rows).schema.names == table_columns.ERRORS.names
    for row in (-1, 32_002):
        with pytest.raises(IndexError):
            table.take([*rows, row])
