"""Items with the same bytes: marked in every package, and delivered once if that is asked for."""

from __future__ import annotations

import csv
import re
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from prefect_collect.errors import StoreNameTooLong, UsageError
from prefect_collect.exporting.duplicates import require_comparable
from prefect_collect.formats.bag_options import BagOptions
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.job_folder.result import TaskResult
from prefect_collect.packages import verify
from prefect_collect.statuses import JobStatus
from prefect_collect.stores import Blob, Buffer, DirectoryStore, Store
from prefect_collect.verification import verify_job
from tests.support.memory_source import MemorySource, Thing
from tests.support.memory_store import MemoryStore
from tests.support.run_attempts import attempt, copied, export, held, new_job, unsuccessful

THINGS = {
    "ann/a": b"same",
    "ann/b": b"same",
    "ann/c": b"other",
    "ann/empty": b"",
    "bo/a": b"same",
    "bo/c": b"another",
    "bo/empty": b"",
}


def collected(tmp_path: Path, things: dict[str, bytes] | None = None) -> JobFolder:
    """Return a collection of these things, each of the custodian whose folder it is in.

    Without things, it is a copy of one collection of `THINGS`.
    """
    return copied(_of_things()) if things is None else _collected(DirectoryStore(tmp_path / "staging"), things)


@cache
def _of_things() -> JobFolder:
    return _collected(MemoryStore(), THINGS)


def _collected(store: Store, things: dict[str, bytes]) -> JobFolder:
    source = MemorySource({name: Thing("good", data) for name, data in things.items()})
    folder = new_job(store, source, options={"custodian_folder": "{custodian}"})
    attempt(folder, source)
    return folder


def rows(result: TaskResult) -> dict[str, dict[str, Any]]:
    """Return the rows of the package's items.parquet, by item id."""
    assert result.package is not None
    return {row["item_id"]: row for row in pq.read_table(Path(result.package) / "items.parquet").to_pylist()}


def marks(result: TaskResult) -> dict[str, str]:
    """Return what the items are marked with that are."""
    return {name: row["duplicate_of"] for name, row in rows(result).items() if row["duplicate_of"] is not None}


def delivered(result: TaskResult) -> set[str]:
    """Return the ids of the items in the package, which must be valid."""
    assert result.package is not None
    verified = verify(result.package)
    assert verified.problems == []
    found = {name for name, row in rows(result).items() if row["outcome"] == "delivered"}
    assert verified.items == len(found) == result.counts.succeeded
    return found


def test_duplicates_are_marked_and_delivered(tmp_path: Path) -> None:
    """Each names the first item with its bytes; empty items are none. Result and message count them."""
    _, result = export(collected(tmp_path), DirectoryStore(tmp_path / "out"), "directory")
    assert marks(result) == {"ann/b": "ann/a", "bo/a": "ann/a"}
    assert delivered(result) == {*THINGS}
    found = result.duplicates
    assert found is not None
    assert (found.items, found.bytes, found.withheld, found.earlier) == (2, 8, 0, 0)
    assert result.message.endswith("2 items have the bytes of another; none is left out for that.")
    info = (Path(str(result.package)) / "bag-info.txt").read_text()
    assert "Duplicate-Items: 2 have the bytes of another item, none is left out for that\n" in info


@pytest.mark.parametrize("format", ["directory", "loadfile-directory"])
@pytest.mark.parametrize(("scope", "withheld"), [("global", {"ann/b", "bo/a"}), ("custodian", {"ann/b"})])
def test_one_is_delivered(tmp_path: Path, format: str, scope: Any, withheld: set[str]) -> None:
    """The others are skipped with the code `duplicate`, in the lists of the package and of the job; the sum holds."""
    job, result = export(collected(tmp_path), DirectoryStore(tmp_path / "out"), format, deduplicate=scope)
    assert result.status is JobStatus.SUCCESSFULLY_COMPLETED
    assert delivered(result) == {*THINGS} - withheld
    assert marks(result) == {"ann/b": "ann/a", "bo/a": "ann/a"}
    assert {name for name, row in rows(result).items() if row["error_code"] == "duplicate"} == withheld
    assert (result.counts.found, result.counts.skipped, result.codes) == (
        7,
        len(withheld),
        {"duplicate": len(withheld)},
    )
    assert {row["path"] for row in unsuccessful(job).values()} == withheld
    assert "the bytes of ann/a, which is delivered" in unsuccessful(job)["ann/b"]["message"]
    assert {*held(job)} == {*THINGS} - withheld
    assert verify_job(job).valid
    assert result.duplicates is not None
    assert (result.duplicates.items, result.duplicates.withheld) == (2, len(withheld))
    _, again = export(job_of(job), DirectoryStore(tmp_path / "again"), format, deduplicate=scope)
    assert again.fingerprint == result.fingerprint


def job_of(export: JobFolder) -> JobFolder:
    """Return the collection of an export."""
    result = export.result()
    assert result is not None
    assert result.collection is not None
    return JobFolder(export.store, result.collection["job_id"])


def test_the_delivered_one_names_the_others(tmp_path: Path) -> None:
    """Its rows have the custodians and original paths of all; those that are not delivered have none."""
    collection = collected(tmp_path)
    _, result = export(collection, DirectoryStore(tmp_path / "bag"), "directory", deduplicate="global")
    found = rows(result)
    assert found["ann/a"]["all_custodians"] == "ann; bo"
    assert found["ann/a"]["all_paths"] == "ann/a; ann/b; bo/a"
    assert (found["bo/c"]["all_custodians"], found["bo/c"]["all_paths"]) == ("bo", "bo/c")
    assert (found["ann/b"]["all_custodians"], found["ann/b"]["all_paths"], found["ann/b"]["path"]) == (None,) * 3
    _, result = export(collection, DirectoryStore(tmp_path / "lf"), "loadfile-directory", deduplicate="global")
    volume = Path(str(result.package)) / "VOL001"
    names, *lines = (volume / "VOL001.dat").read_text(encoding="utf-8-sig").splitlines()
    [first] = [line for line in lines if "þDOC00000001þ" in line.split("\x14")[:1]]
    values = dict(zip(names.split("\x14"), first.split("\x14"), strict=True))
    assert values["þAll Custodiansþ"] == "þann; boþ"
    assert values["þAll Paths/Locationsþ"] == "þann/a; ann/b; bo/aþ"
    text = (volume.parent / "EXCEPTIONS.csv").read_text(encoding="utf-8-sig")
    assert [(row["Outcome"], row["Item ID"]) for row in csv.DictReader(text.splitlines())] == [
        ("skipped", "ann/b"), ("skipped", "bo/a"),
    ]  # fmt: skip


@pytest.mark.parametrize("format", ["bagit", "loadfile", "bagit-tar", "bagit-group"])
def test_packages_in_files(tmp_path: Path, format: str) -> None:
    """They are put together without what is not delivered, and are valid; so is each bag of a group."""
    bag = BagOptions(volume_bytes=5) if format == "bagit-group" else None
    collection = collected(tmp_path)
    marked = export(collection, DirectoryStore(tmp_path / "marked"), format, bag=bag)[1]
    assert verify(marked.package or "").problems == []
    for one in sorted(Path(marked.package or "").glob("*.zip")):
        assert verify(one).problems == []
    job, result = export(collection, DirectoryStore(tmp_path / "out"), format, deduplicate="global", bag=bag)
    assert result.package is not None
    verified = verify(result.package)
    assert (verified.problems, verified.items, verified.not_delivered) == ([], 5, 2)
    assert verify_job(job).valid


def test_what_was_delivered_stays_the_original(tmp_path: Path) -> None:
    """If the first one is damaged, the next is delivered, and a retry after the repair does not exchange them."""
    collection = collected(tmp_path, {"a": b"same" * 9, "b": b"same" * 9, "c": b"other"})
    [segment] = (tmp_path / "staging").rglob("segments/*/*.zip")
    whole = segment.read_bytes()
    at = whole.index(b"same" * 9)
    segment.write_bytes(whole[:at] + b"Same" + whole[at + 4 :])
    out = DirectoryStore(tmp_path / "out")
    job, first = export(collection, out, "directory", deduplicate="global")
    assert (first.status, delivered(first)) == (JobStatus.PARTIALLY_COMPLETED, {"b", "c"})
    assert marks(first) == {"a": "b"}
    segment.write_bytes(whole)
    _, again = export(collection, out, "directory", job, deduplicate="global")
    assert (again.status, delivered(again)) == (JobStatus.SUCCESSFULLY_COMPLETED, {"b", "c"})
    assert (again.counts.skipped, marks(again), rows(again)["b"]["all_paths"]) == (1, {"a": "b"}, "b; a")
    _, other = export(collection, DirectoryStore(tmp_path / "other"), "directory", deduplicate="global")
    assert delivered(other) == {"a", "c"}


def test_another_one_is_delivered_if_the_first_cannot_be_written(tmp_path: Path) -> None:
    """Where a path is too long for the destination, the duplicate with a shorter path is delivered in its place."""
    long = "/".join(["x" * 200] * 4)
    names = {f"a/{long}": b"same", f"b/{long}": b"same", "c": b"same", "d": b"other", "e": b"same"}
    collection = collected(tmp_path, names)
    out = tmp_path
    while len(str(out)) < 3_400:
        out /= "y" * 100
    job, result = export(collection, DirectoryStore(out), "directory", deduplicate="global")
    assert (result.status, result.counts.failed, result.counts.skipped) == (JobStatus.PARTIALLY_COMPLETED, 2, 1)
    assert {*held(job)} == {"c", "d"}
    assert marks(result) == dict.fromkeys((f"a/{long}", f"b/{long}", "e"), "c")
    assert delivered(result) == {"c", "d"}
    assert verify_job(job).valid


class NoFirstText(DirectoryStore):
    """A destination that refuses the text of the first item."""

    def create(self, key: str, data: Buffer, into: Any = None) -> Blob:
        """Create the file, unless it is that text."""
        if key.endswith("/TEXT/0001/DOC00000001.txt"):
            raise StoreNameTooLong(f"its name is too long [{key}]")
        return super().create(key, data, into)


def test_another_one_is_delivered_with_its_text(tmp_path: Path) -> None:
    """In a load file, too: the item whose text cannot be written fails, and another one with its bytes has both."""
    collection = collected(tmp_path, {"a.txt": b"same", "b.txt": b"same", "c.txt": b"same"})
    job, result = export(collection, NoFirstText(tmp_path / "out"), "loadfile-directory", deduplicate="global")
    assert (result.counts.succeeded, result.counts.failed, result.counts.skipped) == (1, 1, 1)
    assert (delivered(result), marks(result)) == ({"b.txt"}, {"a.txt": "b.txt", "c.txt": "b.txt"})
    assert [path.name for path in (tmp_path / "out").rglob("TEXT/*/*")] == ["DOC00000002.txt"]
    assert verify_job(job).valid


def test_earlier_jobs(tmp_path: Path) -> None:
    """Items that they have are marked with job and item; only what an export has delivered is not delivered again."""
    earlier = collected(tmp_path, {"ann/x": b"same", "ann/y": b"kept"})
    job, _ = export(earlier, DirectoryStore(tmp_path / "1"), "directory")
    later = collected(tmp_path, THINGS)
    how: dict[str, Any] = {"format": "directory", "deduplicate": "global"}
    _, held_only = export(later, DirectoryStore(tmp_path / "2"), duplicates_of=(earlier.job_id,), **how)
    assert marks(held_only) == {"ann/a": f"{earlier.job_id}/ann/x", "ann/b": "ann/a", "bo/a": "ann/a"}
    assert delivered(held_only) == {*THINGS} - {"ann/b", "bo/a"}
    again, given = export(later, DirectoryStore(tmp_path / "3"), duplicates_of=(earlier.job_id, job.job_id), **how)
    assert marks(given) == dict.fromkeys(("ann/a", "ann/b", "bo/a"), f"{job.job_id}/ann/x")
    assert delivered(given) == {*THINGS} - {"ann/a", "ann/b", "bo/a"}
    assert given.duplicates is not None
    assert (given.duplicates.earlier, given.duplicates.withheld) == (3, 3)
    assert "which was delivered by that job" in unsuccessful(again)["bo/a"]["message"]
    assert [problem.what for problem in verify(str(given.package)).warnings] == [
        f"3 items are not delivered because job {job.job_id} has delivered their bytes; verify its package too"
    ]
    how = {"format": "loadfile-directory", "deduplicate": "custodian"}
    _, given = export(later, DirectoryStore(tmp_path / "4"), duplicates_of=(job.job_id,), **how)
    assert delivered(given) == {*THINGS} - {"ann/a", "ann/b"}
    assert marks(given)["bo/a"] == f"{job.job_id}/ann/x"


def test_jobs_that_cannot_be_compared(tmp_path: Path) -> None:
    """An unknown job, a text that is no id, the collection itself, and an export that delivered nothing are refused."""
    collection = collected(tmp_path)
    for jobs, what in ((["none"], "no job of that id"), ([collection.job_id], "of itself"), (["x"] * 101, "at most")):
        with pytest.raises(UsageError, match=what):
            require_comparable(collection.store, collection.job_id, jobs)
    for text in ("", "../x", "a/b", ".tmp", "\0", "x" * 1000):
        with pytest.raises(UsageError, match=r"must be ids of earlier jobs\. \[duplicates_of="):
            require_comparable(collection.store, "", [text])
    job, result = export(collection, DirectoryStore(tmp_path / "out"), duplicates_of=("gone",))
    assert (result.status, result.package, result.duplicates) == (JobStatus.FAILED, None, None)
    assert "[duplicates_of=gone]" in result.message
    with pytest.raises(UsageError, match="has delivered nothing"):
        require_comparable(collection.store, collection.job_id, [job.job_id])


def test_an_export_that_failed_withholds_nothing(tmp_path: Path) -> None:
    """Items of a package that could not be made are not attempted, also those that would not be delivered."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "test.zip").write_bytes(b"of others")
    job, result = export(collected(tmp_path), DirectoryStore(tmp_path / "out"), deduplicate="global")
    assert (result.counts.not_attempted, result.counts.skipped) == (len(THINGS), 0)
    assert verify_job(job).valid


def test_mail_and_datasets(tmp_path: Path) -> None:
    """A set of mail has the marks, and holds a message once if that is asked for; of a dataset it is no option."""
    letter, out = b"From: a@b\r\nDate: Mon, 6 May 2024 07:08:09 +0000\r\n\r\nHello\r\n", DirectoryStore(tmp_path)
    collection = collected(tmp_path, {"a/1.eml": letter, "b/2.eml": letter})
    _, result = export(collection, DirectoryStore(tmp_path / "out"), "mail-directory")
    assert (delivered(result), marks(result)) == ({"a/1.eml", "b/2.eml"}, {"b/2.eml": "a/1.eml"})
    _, result = export(collection, DirectoryStore(tmp_path / "once"), "mail-directory", deduplicate="global")
    assert delivered(result) == {"a/1.eml"}
    with pytest.raises(UsageError, match="deduplicate is no option of this format"):
        export(collection, out, "dataset", deduplicate="global")


def test_the_page_reads_a_list(tmp_path: Path) -> None:
    """The example of docs/duplicates.md groups the copies by their originals, and sums up what was left out."""
    _, result = export(collected(tmp_path), DirectoryStore(tmp_path / "out"), "directory", deduplicate="global")
    page = (Path(__file__).parents[2] / "docs" / "duplicates.md").read_text()
    [code] = re.findall(r"run by tests/exporting/test_duplicates.py -->\n```python\n(.*?)```", page, re.DOTALL)
    names: dict[str, Any] = {"package": Path(str(result.package))}
    exec(code, names)
    assert names["by_original"] == {"ann/a": ["ann/b", "bo/a"]}
    assert names["saved"] == 8
