"""How many items have each outcome and error code: counted, described, and read from results of earlier versions."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from prefect_collect.codes import Failure
from prefect_collect.job_folder import table_columns
from prefect_collect.job_folder.account import describe
from prefect_collect.job_folder.error_report import error_rows, job_row
from prefect_collect.job_folder.folder import JobFolder, JobRecord
from prefect_collect.job_folder.result import CodeCount, Counts, TaskResult
from prefect_collect.statuses import JobKind
from prefect_collect.stores import DirectoryStore
from tests.support.memory_source import MemorySource, Thing
from tests.support.run_attempts import attempt, new_job


def test_outcomes_are_told_apart(tmp_path: Path) -> None:
    """An attempt counts failed and skipped items by code, also those of earlier attempts, and its message does too."""
    source = MemorySource(
        {"a": Thing("good", b"a"), "b": Thing("denied"), "c": Thing("skipped"), "d": Thing("skipped")}
    )
    folder = new_job(DirectoryStore(tmp_path), source)
    for _ in range(2):
        result = attempt(folder, source)
        assert result.outcomes == {"failed": {"access_denied": 1}, "skipped": {"special_file": 2}}
        assert result.codes == {"special_file": 2, "access_denied": 1}
        expected = [CodeCount("failed", "access_denied", 1), CodeCount("skipped", "special_file", 2)]
        assert result.code_counts == expected
        assert result.message == "1 of 4 items succeeded, 1 failed (access_denied 1), 2 skipped (special_file 2)."
    assert JobFolder(folder.store, folder.job_id).result() == result


def test_one_code_of_two_outcomes() -> None:
    """It is counted of each, and the job as a whole comes first."""
    outcomes = {"skipped": {"symlink": 1, "not_found": 3}, "failed": {"not_found": 2}}
    result = example(codes={"not_found": 5, "symlink": 1, "enumeration_failed": 0}, outcomes=outcomes)
    assert [(one.outcome, one.code, one.items) for one in result.code_counts] == [
        ("failed", "enumeration_failed", 0), ("failed", "not_found", 2), ("skipped", "not_found", 3),
        ("skipped", "symlink", 1),
    ]  # fmt: skip
    why = [Failure("enumeration_failed", "The listing broke off.")]
    text = describe(Counts(6, 0, 2, 4), outcomes, why)
    assert text == (
        "0 of 6 items succeeded, 2 failed (not_found 2), 4 skipped (not_found 3, symlink 1). The listing broke off."
    )


def test_a_result_of_an_earlier_version() -> None:
    """Its codes are shown without an outcome, as none is known."""
    assert example(codes={"symlink": 2}).code_counts == [CodeCount("", "symlink", 2)]


def test_what_to_do_is_of_the_item_or_of_the_place() -> None:
    """A failure of the source as a whole asks for the source, in the report as in summaries; one of an item for it."""
    record = JobRecord("j", JobKind.COLLECTION, "n", {}, "base")
    (of_job,) = job_row(record, 1, Failure("access_denied", "No. [/x]"))["suggested_action"].to_pylist()
    of_item = error_rows(record, 1, ledger_of(Failure("access_denied", "No. [/x/a]")))["suggested_action"].to_pylist()
    assert "the source's folder, bucket" in of_job
    assert of_item == ["Grant read access to the item for the job's credentials or user, then retry."]
    counted = example(codes={"access_denied": 0, "not_found": 1}, outcomes={"failed": {"not_found": 1}}).code_counts
    assert counted[0].action == of_job
    assert counted[0].meaning == "The data source does not allow the job to list or read it."
    assert counted[1].action.startswith("Restore it at the source")


def ledger_of(failure: Failure) -> pa.Table:
    """Return a ledger with one item, which failed so."""
    row = {"item_id": "a", "original_path": "a", "outcome": "failed", "error_code": failure.code}
    return pa.Table.from_pylist([{**row, "message": failure.message}], schema=table_columns.LEDGER)


def example(**fields: object) -> TaskResult:
    """Return the result of an earlier version, with these fields."""
    when = "2026-01-31T12:00:00+00:00"
    counts = {"found": 6, "succeeded": 0, "failed": 2, "skipped": 4, "not_attempted": 0, "bytes": 0}
    values = {
        "job_id": "j", "kind": "collection", "attempt": 1, "task_status": "FAILED", "status": "Failed",
        "counts": counts, "this_attempt": counts, "started": when, "ended": when, "warnings": [], **fields,
    }  # fmt: skip
    return TaskResult.from_json(values, DirectoryStore("/staging"))


def test_a_message_ends_in_a_full_stop_or_a_bracket() -> None:
    """The thing in brackets, in which messages of errors end, is the end of a sentence without a full stop."""
    why = [Failure("source_error", "Denied. [source=/x]."), Failure("source_error", "The disk is full.")]
    assert describe(Counts(1, 1), {}, why) == "1 of 1 item succeeded. Denied. [source=/x] The disk is full."
    assert describe(Counts(1, 1), {}, why[:1]).endswith("Denied. [source=/x]")
