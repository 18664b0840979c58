"""Exports of incremental collections: whole where the format is of a whole source, else said to be a part."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from prefect_collect.blocks import FileSource, SqlSource
from prefect_collect.collecting.incremental import since_options
from prefect_collect.errors import UsageError
from prefect_collect.exporting.bound_collection import bind_collection
from prefect_collect.exporting.delivery import Delivery, require_later
from prefect_collect.exporting.unchanged import require_whole
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.job_folder.result import TaskResult
from prefect_collect.packages import verify
from prefect_collect.packages.ocfl.names import object_name
from prefect_collect.statuses import JobStatus
from prefect_collect.stores import DirectoryStore
from tests.support.memory_source import MemorySource, Thing
from tests.support.ocfl_judge import require_valid
from tests.support.run_attempts import attempt, export, held, new_job

NAME = object_name({"name": "test", "location": "test"})
IN_MEMORY = object_name({"name": "memory", "location": "test"})
FIRST = {"a.txt": b"one", "b/c.txt": b"two", "b/same.txt": b"one", "empty": b"", "gone.txt": b"gone"}


def collected(root: Path, files: dict[str, bytes], *, since: bool = False) -> JobFolder:
    """Return a new collection of a folder with just these files, incremental if asked."""
    folder, store = root / "source", DirectoryStore(root / "staging")
    shutil.rmtree(folder, ignore_errors=True)
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    source = FileSource(root=str(folder), name="test")
    job = new_job(store, source)
    if since:
        job = new_job(store, source, options=since_options(store, job.record()))
    assert attempt(job, source).status is JobStatus.SUCCESSFULLY_COMPLETED
    return job


def items_of(root: Path) -> dict[str, str]:
    """Return the items of the object's last version, with their hashes."""
    said: dict[str, Any] = json.loads((root / NAME / "inventory.json").read_bytes())
    state = said["versions"][said["head"]]["state"]
    return {path[6:]: digest for digest, paths in state.items() for path in paths if path.startswith("items/")}


def messages(result: TaskResult) -> str:
    """Return what the error report of a failed export says."""
    assert result.status is JobStatus.FAILED
    return " ".join(str(row["message"]) for row in result.unsuccessful.to_arrow().to_pylist())


def test_a_version_of_an_incremental_collection_is_the_whole_source(tmp_path: Path) -> None:
    """Items that it found unchanged are shared with earlier versions, and listed like the others."""
    root = tmp_path / "root"
    export(collected(tmp_path, FIRST), DirectoryStore(root), "ocfl")
    second = {**FIRST, "a.txt": b"changed", "new.txt": b"new"}
    del second["gone.txt"]
    for files in (second, {**second, "third.txt": b"third"}, {**second, "third.txt": b"third"}):
        _, result = export(collected(tmp_path, files, since=True), DirectoryStore(root), "ocfl")
        assert result.status is JobStatus.SUCCESSFULLY_COMPLETED
        assert items_of(root) == {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
        require_valid(root)
        found = verify(root / NAME)
        assert (found.problems, found.warnings, found.items, found.not_delivered) == ([], [], len(files), 0)
    assert "6 items of the source are unchanged since jobs " in result.message


def test_what_the_object_does_not_have_is_asked_for(tmp_path: Path) -> None:
    """Unchanged items of a collection that was never exported there are named with it; afterwards a retry succeeds."""
    root = tmp_path / "root"
    first, second = collected(tmp_path, FIRST), collected(tmp_path, {**FIRST, "a.txt": b"changed"}, since=True)
    job, result = export(second, DirectoryStore(root), "ocfl")
    assert f"export collection {first.job_id} to this destination first" in messages(result)
    assert not (root / NAME).exists()
    export(first, DirectoryStore(root), "ocfl")
    assert export(second, DirectoryStore(root), "ocfl", job)[1].status is JobStatus.SUCCESSFULLY_COMPLETED
    assert len(items_of(root)) == len(FIRST)
    third = collected(tmp_path, {**FIRST, "b/c.txt": b"changed"}, since=True)
    with pytest.raises(UsageError, match="cannot leave out duplicates"):
        require_whole(bind_collection(third.store, third.job_id), "ocfl", "global")
    require_whole(bind_collection(third.store, third.job_id), "bagit", "global")
    require_whole(bind_collection(first.store, first.job_id), "ocfl", "global")
    assert "cannot leave out duplicates" in messages(
        export(third, DirectoryStore(root), "ocfl", deduplicate="global")[1]
    )


def test_an_older_collection_makes_no_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A version of a collection that ended before an earlier version's is refused, also before there is a job."""
    root = tmp_path / "root"
    first, second = collected(tmp_path, FIRST), collected(tmp_path, {"a.txt": b"changed"})
    later = bind_collection(second.store, second.job_id)
    later = replace(later, result=replace(later.result, ended=later.result.ended + timedelta(seconds=5)))
    with monkeypatch.context() as patched:
        patched.setattr("tests.support.run_attempts.bind_collection", lambda *_: later)
        export(second, DirectoryStore(root), "ocfl")
    before = (root / NAME / "inventory.json").read_bytes()
    assert "the version v1 of a later collection" in messages(export(first, DirectoryStore(root), "ocfl")[1])
    earlier = bind_collection(first.store, first.job_id)
    with pytest.raises(UsageError, match="the version v1 of a later collection"):
        require_later(earlier, Delivery(DirectoryStore(root), "ocfl"))
    for goal in (Delivery(DirectoryStore(tmp_path / "new"), "ocfl"), Delivery(DirectoryStore(root), "bagit")):
        require_later(earlier, goal)
    require_later(later, Delivery(DirectoryStore(root), "ocfl"))
    assert (root / NAME / "inventory.json").read_bytes() == before


def ends_apart(monkeypatch: pytest.MonkeyPatch, year: int = 2024) -> None:
    """Have each attempt end ten seconds after the one before, as versions state whole seconds."""
    ends = (datetime(year, 5, 6, tzinfo=UTC) + timedelta(seconds=10 * number) for number in count(1))
    monkeypatch.setattr("prefect_collect.job_folder.account.now", lambda: next(ends))


@pytest.mark.parametrize("first_attempt", ["left an item", "broke off", "was lost"])
def test_a_retried_older_collection_makes_no_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first_attempt: str
) -> None:
    """What a retry carries over is as old as it was, so it does not put back what a later collection has newer.

    So it is after a whole listing that left an item, after one that broke off behind an item that is held, and after an
    attempt whose process was lost, which the retry closes.
    """
    is_lost = first_attempt == "was lost"
    ends_apart(monkeypatch, 2124 if is_lost else 2024)  # a lost attempt is closed after the retry began
    store, root = DirectoryStore(tmp_path / "staging"), tmp_path / "root"
    a, new = Thing("denied", b"a"), Thing("good", b"newer")
    source = MemorySource({"a": a, "b": Thing("good", b"old")}, breaks_after=None)
    if first_attempt == "broke off":
        source = MemorySource({"b": Thing("good", b"old"), "c": a}, breaks_after=1)
    first = new_job(store, source)
    with monkeypatch.context() as patched:
        if is_lost:
            patched.setattr("prefect_collect.collecting.attempt.close_attempt", Mock(side_effect=InterruptedError))
        with suppress(InterruptedError):
            assert attempt(first, source).counts.succeeded == 1
    source.breaks_after, a.kind, source.things["b"] = None, "good", new
    second = new_job(store, source)
    assert attempt(second, source).status is JobStatus.SUCCESSFULLY_COMPLETED
    export(second, DirectoryStore(root), "ocfl")
    before = (root / IN_MEMORY / "inventory.json").read_bytes()
    assert attempt(first, source).status is JobStatus.SUCCESSFULLY_COMPLETED
    assert len(held(first, 1)) == 1
    said = messages(export(first, DirectoryStore(root), "ocfl")[1])
    assert "the version v1 of a later collection" in said
    as_of = f"{first.claimed_at(1):%Y-%m-%dT%H:%M:%SZ}" if is_lost else "2024-05-06T00:00:10Z"
    assert f"and this one has items as they were at {as_of}" in said
    assert (root / IN_MEMORY / "inventory.json").read_bytes() == before


def test_versions_of_a_retried_collection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A retry makes a version after that of the attempt before, though its listing is older, but not before it."""
    ends_apart(monkeypatch)
    store, root = DirectoryStore(tmp_path / "staging"), DirectoryStore(tmp_path / "root")
    source = MemorySource({"a": Thing("denied"), "b": Thing("denied"), "c": Thing("good", b"c")})
    job = new_job(store, source)
    bound = []
    for name in ("a", "b", ""):
        attempt(job, source)
        bound.append(bind_collection(store, job.job_id))
        if name:
            source.things[name].kind = "good"
    _, second, third = bound
    results = []
    for each in (second, third, second):
        monkeypatch.setattr("tests.support.run_attempts.bind_collection", lambda *_, each=each: each)
        results.append(export(job, root, "ocfl")[1])
    inventory = json.loads((tmp_path / "root" / IN_MEMORY / "inventory.json").read_bytes())
    assert [said["created"][-3:] for said in inventory["versions"].values()] == ["20Z", "30Z"]
    assert "the version v2 of a later collection" in messages(results[-1])


def test_a_collection_whose_first_attempt_had_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A collection whose listing broke off before it held anything is as new as its retry."""
    ends_apart(monkeypatch)
    store, root = DirectoryStore(tmp_path / "staging"), DirectoryStore(tmp_path / "root")
    source = MemorySource({"a": Thing("good", b"a")}, breaks_after=0)
    first, second = new_job(store, source), new_job(store, source)
    attempt(first, source)
    source.breaks_after = None
    for job in (second, first):
        attempt(job, source)
        assert export(job, root, "ocfl")[1].status is JobStatus.SUCCESSFULLY_COMPLETED


@pytest.mark.parametrize("format", ["directory", "loadfile-directory", "mail-directory"])
def test_other_packages_say_that_they_are_a_part(tmp_path: Path, format: Any) -> None:
    """They hold what is new and changed; result, list and custody document say how many items are not in them."""
    first = collected(tmp_path, FIRST)
    second = collected(tmp_path, {**FIRST, "a.txt": b"Subject: changed\r\n\r\n"}, since=True)
    _, result = export(second, DirectoryStore(tmp_path / "out"), format)
    listed = "items.csv" if format == "directory" else "EXCEPTIONS.csv"
    said = f"4 items of the source are unchanged since job {first.job_id} and not in this package, which lists them in "
    assert any(warning.startswith(f"{said}{listed}") for warning in result.warnings)
    package = tmp_path / "out" / "test"
    assert (package / listed).read_bytes().count(b"unchanged") >= 4
    account = json.loads((package / "chain-of-custody.json").read_bytes())
    assert f"Incremental since job {first.job_id}: 4 of 5 items unchanged" in account["result"]["warnings"][0]
    if format == "directory":
        info = (package / "bag-info.txt").read_text()
        assert f"Unchanged-Items: 4 items of the source are unchanged since job {first.job_id} and not in" in info
    assert verify(package).valid


def test_a_dataset_of_a_part_is_refused(tmp_path: Path) -> None:
    """A collection that left slices with an earlier job makes no dataset, before there is a job and in it."""
    with sqlite3.connect(tmp_path / "shop.db") as database:
        database.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, total REAL)")
        database.executemany("INSERT INTO orders VALUES (?, ?)", [(n, n / 4) for n in range(25)])
        source, store = SqlSource(url=f"sqlite:///{tmp_path}/shop.db", rows=10), DirectoryStore(tmp_path / "staging")
        database.commit()
        first = new_job(store, source)
        attempt(first, source)
        database.execute("UPDATE orders SET total = 0 WHERE id = 1")
        database.commit()
    database.close()
    second = new_job(store, source, options=since_options(store, new_job(store, source).record()))
    assert attempt(second, source).counts.succeeded == 1
    with pytest.raises(UsageError, match=f"3 items of the source are unchanged since job {first.job_id}"):
        require_whole(bind_collection(store, second.job_id), "dataset")
    require_whole(bind_collection(store, first.job_id), "dataset")
    require_whole(bind_collection(store, second.job_id), "ocfl")
    assert "Collect without since" in messages(export(second, DirectoryStore(tmp_path / "out"), "dataset")[1])
    assert not (tmp_path / "out").exists()
