"""Items that a source only names, as they are kept elsewhere: not attempted, and no attempt tries them."""

from __future__ import annotations

from pathlib import Path

import pytest

from prefect_collect.codes import CANCELED, CODES, WORKER_LOST
from prefect_collect.collecting.shard_ledger import not_attempted
from prefect_collect.errors import UsageError
from prefect_collect.exporting.bound_collection import bind_collection
from prefect_collect.job_folder import store_keys
from prefect_collect.job_folder.checked_files import CheckedFiles
from prefect_collect.job_folder.error_report_reading import reported_items
from prefect_collect.job_folder.ledger import inventory_table, ledger_bytes, why_not_attempted
from prefect_collect.job_folder.lifecycle import claim_attempt
from prefect_collect.job_folder.result import Receipt, TaskResult
from prefect_collect.job_folder.selections import save_selection
from prefect_collect.sources import Item
from prefect_collect.statuses import JobStatus, TaskStatus
from prefect_collect.threads.stop import Stop
from prefect_collect.verification import verify_job
from tests.collecting.things_of_a_kind import some
from tests.support.memory_source import MemorySource
from tests.support.memory_store import MemoryStore
from tests.support.run_attempts import attempt, check_account, held, new_job, unsuccessful

pytestmark = pytest.mark.usefixtures("small_shards")


def test_they_change_no_status() -> None:
    """A job that collected all that there is to collect is Successfully completed, at 100 %; the report names each."""
    source = MemorySource(some("good", 4) | some("elsewhere", 3))
    folder = new_job(MemoryStore(), source)
    result = attempt(folder, source)
    check_account(folder)
    assert (result.status, result.task_status) == (JobStatus.SUCCESSFULLY_COMPLETED, TaskStatus.COMPLETED)
    counts = result.counts
    assert (counts.found, counts.succeeded, counts.not_attempted, counts.elsewhere, counts.left) == (7, 4, 3, 3, 0)
    assert result.success_rate == 100.0
    assert "3 not attempted (linked_file 3)" in result.message
    assert {row["outcome"] for row in unsuccessful(folder).values()} == {"not_attempted"}
    row = unsuccessful(folder)["elsewhere/000"]
    assert (row["error_code"], row["tries"], row["retryable"]) == ("linked_file", 0, False)
    assert row["suggested_action"] == CODES["linked_file"].action
    assert source.opened.keys() == held(folder).keys()
    [lacking] = bind_collection(folder.store, folder.job_id).warnings("items.csv")
    assert lacking.endswith("which lists them in items.csv: 3 elsewhere (the source has only links to them).")
    assert verify_job(folder).valid


def test_the_tolerated_percentage_leaves_them_out() -> None:
    """They cannot succeed, so that failures are judged among the other items, also in a retry."""
    source = MemorySource(some("elsewhere", 40) | some("unlisted_failure", 4))
    folder = new_job(MemoryStore(), source)
    for tolerated in (50, 100, 50):
        stop = Stop()
        attempt(folder, source, stop=stop, tolerated_failure_percentage=tolerated)
        assert (None if stop.why is None else stop.why.code) == ("threshold_exceeded" if tolerated < 100 else None)


def test_a_source_of_nothing_else() -> None:
    """A job that finds nothing but what is elsewhere is Successfully completed: nothing of it failed."""
    source = MemorySource(some("elsewhere", 2))
    folder = new_job(MemoryStore(), source)
    result = attempt(folder, source)
    check_account(folder)
    assert (result.status, result.success_rate) == (JobStatus.SUCCESSFULLY_COMPLETED, 100.0)


def test_a_retry_tries_the_others() -> None:
    """A retry of a Partially completed job takes what failed; of these alone it changes nothing, and ends."""
    source = MemorySource(some("good", 2) | some("elsewhere", 3) | some("denied", 1))
    folder = new_job(MemoryStore(), source)
    first = attempt(folder, source)
    assert (first.status, first.success_rate) == (JobStatus.PARTIALLY_COMPLETED, 200 / 3)
    assert bind_collection(folder.store, folder.job_id).warnings("items.csv") == (
        "Of the collection's 6 items, 4 are not in this package, which lists them in items.csv: 1 failed, "
        "3 elsewhere (the source has only links to them).",
    )
    opened = source.opened.copy()
    same = attempt(folder, source, only=[Item(id_, id_) for id_ in some("elsewhere", 3)])
    check_account(folder)
    assert (same.status, same.counts, same.this_attempt.found) == (first.status, first.counts, 0)
    assert source.opened == opened
    assert any("cannot be retried" in warning for warning in same.warnings)
    source.things["denied/000"].kind = "good"
    last = attempt(folder, source)
    check_account(folder)
    assert (last.status, last.counts.elsewhere, last.this_attempt.found) == (JobStatus.SUCCESSFULLY_COMPLETED, 3, 1)
    assert not any(id_.startswith("elsewhere") for id_ in source.opened)
    assert verify_job(folder).valid


def test_reports_that_are_given_back(tmp_path: Path) -> None:
    """A report, as Parquet or CSV, or a selection of its rows, names nothing to retry of what is elsewhere."""
    source = MemorySource(some("elsewhere", 2) | some("denied", 1) | some("good", 1))
    folder = new_job(MemoryStore(), source)
    attempt(folder, source)
    for name in ("errors.parquet", "errors.csv"):
        (tmp_path / name).write_bytes(folder.store.read(store_keys.report_key(folder.job_id, 1, name)))
        assert [item.id for item in reported_items(str(tmp_path / name), folder)] == ["denied/000"]
    files = CheckedFiles(folder, 1)
    paths = files.errors.take([0, 1, 2], ["path"])["path"].to_pylist()
    selection = save_selection(files, [0, 1, 2])
    assert [item.id for item in reported_items(selection, folder)] == ["denied/000"]
    with pytest.raises(UsageError, match="No item that can be retried"):
        save_selection(files, [row for row, path in enumerate(paths) if path.startswith("elsewhere")])


def test_a_canceled_job() -> None:
    """The receipt counts what was never started without what is elsewhere; Start takes that up, and no more."""
    source = MemorySource(some("elsewhere", 3) | some("good", 4))
    folder = new_job(MemoryStore(), source)
    stop = Stop()
    stop.set(CANCELED)
    result = attempt(folder, source, stop=stop)
    check_account(folder)
    found = result.counts
    assert (result.status, result.receipt) == (JobStatus.CANCELED, Receipt(never_started=found.left))
    codes = {row["error_code"] for row in unsuccessful(folder).values()}
    assert codes <= {"canceled", "linked_file"}
    again = attempt(folder, source)
    check_account(folder)
    assert (again.status, again.counts.succeeded, again.counts.elsewhere) == (JobStatus.SUCCESSFULLY_COMPLETED, 4, 3)


def test_why_a_shard_was_left() -> None:
    """The reason why a shard was left, which may stop all others, is not that of an item that is elsewhere."""
    source = MemorySource(some("elsewhere", 1) | some("good", 1))
    folder = new_job(MemoryStore(), source)
    number = claim_attempt(folder)
    items = [source._item("elsewhere/000"), source._item("good/000")]
    for part, some_items in enumerate((items, items[:1])):
        table = not_attempted(inventory_table(some_items), WORKER_LOST)
        folder.store.create(store_keys.ledger_key(folder.job_id, number, part), ledger_bytes(table, []))
    assert why_not_attempted(folder, number, 0) == WORKER_LOST
    assert why_not_attempted(folder, number, 1) is None


def test_results_of_earlier_versions() -> None:
    """A result that counts nothing as elsewhere, as earlier versions wrote, is read."""
    source = MemorySource(some("good", 1))
    folder = new_job(MemoryStore(), source)
    values = attempt(folder, source).to_json()
    del values["counts"]["elsewhere"], values["this_attempt"]["elsewhere"]
    assert TaskResult.from_json(values, folder.store).counts.elsewhere == 0
