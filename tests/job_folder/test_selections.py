"""Items that a user selects for a retry: a report of its own, which only the job that it is of can use."""

from __future__ import annotations

import pytest

from prefect_collect.errors import CorruptPart, UsageError
from prefect_collect.job_folder import custody_log, store_keys
from prefect_collect.job_folder.checked_files import CheckedFiles
from prefect_collect.job_folder.error_report_reading import reported_items
from prefect_collect.job_folder.selections import is_selection, save_selection
from prefect_collect.verification import verify_job
from tests.support.memory_source import MemorySource, Thing
from tests.support.memory_store import MemoryStore
from tests.support.run_attempts import attempt, new_job, unsuccessful

THINGS = {
    "a": Thing("denied"),
    "b": Thing("denied"),
    "c": Thing(data=b"c"),
    "d": Thing("skipped"),
    "e": Thing("denied"),
}


def test_a_retry_works_on_the_selected_items() -> None:
    """Of the selected rows those that can be retried are saved, under the hash of the file; the log names it, and
    verify finds nothing wrong; the retry works on them alone. Saving the same rows again changes nothing but the log.
    """
    folder = new_job(MemoryStore(), source := MemorySource(dict(THINGS)))
    attempt(folder, source)
    files = CheckedFiles(folder, 1)
    selection = save_selection(files, [3, 0, 0, 2])  # e, a, and the skipped d
    assert is_selection(selection)
    assert save_selection(files, [0, 3]) == selection
    items = reported_items(selection, folder)
    assert [item.id for item in items] == ["a", "e"]
    entry = custody_log.entries(folder)[-1]
    assert (entry.action, entry.details["attempt"], entry.details["items"]) == ("selected", 1, 2)
    found = verify_job(folder)
    assert (found.problems, found.warnings) == ([], [])
    source.things |= {name: Thing(data=b"now") for name in "abe"}
    result = attempt(folder, source, only=items)
    assert (result.this_attempt.found, result.counts.succeeded) == (2, 3)
    assert unsuccessful(folder).keys() == {"b", "d"}
    assert verify_job(folder).warnings == []


def test_what_is_no_selection_of_the_job_is_refused() -> None:
    """Rows that cannot be retried, rows that are not there, another job's selection, and a changed file are refused."""
    store = MemoryStore()
    folder, other = new_job(store, source := MemorySource(dict(THINGS))), new_job(store, source)
    attempt(folder, source)
    attempt(other, source)
    files = CheckedFiles(folder, 1)
    for rows in ([], [2], [4], [-1]):
        with pytest.raises(UsageError):
            save_selection(files, rows)
    selection = save_selection(files, [0])
    for job in (other, None):
        with pytest.raises(UsageError):
            reported_items(selection, job)
    key = store_keys.selection_key(folder.job_id, selection.partition(":")[2])
    copied = store_keys.selection_key(other.job_id, selection.partition(":")[2])
    store.blobs[copied] = store.blobs[key]
    with pytest.raises(UsageError, match="another job"):
        reported_items(selection, other)
    store.blobs[key] += b" "
    with pytest.raises(CorruptPart):
        reported_items(selection, folder)
    for text in ("selection:", f"{selection}0", f" {selection}", selection.upper()):
        assert not is_selection(text)
