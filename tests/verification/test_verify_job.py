"""Verifying a job offline: whatever was changed, lost or added since it ended is found and named."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_collect.blocks import FileSource
from prefect_collect.collecting import enumeration, shard
from prefect_collect.collecting.incremental import since_options
from prefect_collect.errors import JobNotFound
from prefect_collect.job_folder import store_keys
from prefect_collect.job_folder.custody_events import attempt_files, record_end, record_missed_events
from prefect_collect.job_folder.custody_log import append
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.job_folder.parquet import part_bytes, read_part
from prefect_collect.stores import DirectoryStore
from prefect_collect.verification import JobVerification, _job, verify_job
from tests.examples import STEP, examples
from tests.support.memory_source import MemorySource, Thing
from tests.support.memory_store import Killed, MemoryStore
from tests.support.run_attempts import attempt, enter_all, export, new_job


@pytest.fixture(autouse=True, scope="module")
def small() -> Any:
    """Use shards of three items, own segments from 300 bytes, and no wait for late entries."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(enumeration, "SHARD_ITEMS", 3)
        patch.setattr(shard, "LARGE_ITEM", 300)
        patch.setattr(shard, "SMALL_ITEM", 200)
        patch.setattr(_job, "_ENTERING", timedelta(0))
        yield


@pytest.fixture(scope="module")
def whole(small: None) -> MemoryStore:
    """Return a job of two attempts, with small, large, empty, deflated, failed and skipped items, and its export."""
    store = MemoryStore()
    things = {f"good/{n}": Thing("good", f"content {n}".encode() * 15) for n in range(7)}
    things |= {"large": Thing("good", b"large" * 100), "empty": Thing("empty"), "unknown": Thing("unknown_size", b"u")}
    things |= {"denied/0": Thing("denied", b"x"), "denied/1": Thing("denied", b"y"), "socket": Thing("skipped")}
    folder = new_job(store, source := MemorySource(things), "job")
    attempt(folder, source)
    source.things["denied/0"] = Thing("good", b"now it can be read" * 9)
    attempt(folder, source, compress=True)
    export(folder, MemoryStore())
    return store


def verified(store: MemoryStore) -> JobVerification:
    """Return the verification of the job."""
    return verify_job(JobFolder(store, "job"))


def found(store: MemoryStore) -> dict[str, str]:
    """Return the problems by place."""
    return {problem.path: problem.what for problem in verified(store).problems}


def names(store: MemoryStore) -> list[str]:
    """Return the names of the job's files, below its folder."""
    return sorted(key.removeprefix("job/") for key in store.blobs if key.startswith("job/"))


def changed(store: MemoryStore, name: str, change: Callable[[bytes], bytes]) -> MemoryStore:
    """Return a copy of the store in which one file is changed."""
    copy = store.copy()
    copy.blobs[f"job/{name}"] = change(copy.blobs[f"job/{name}"])
    return copy


def test_an_unchanged_job_is_valid(whole: MemoryStore) -> None:
    """An unchanged job and its export are valid; items and bytes are counted, and there is no warning."""
    done = verified(whole)
    result = JobFolder(whole, "job").result()
    assert result is not None
    assert (done.problems, done.warnings, done.valid) == ([], [], True)
    assert (done.items, done.bytes) == (result.counts.succeeded, result.counts.bytes) == (11, result.counts.bytes)
    assert done.entries == 6
    assert done.files == len([name for name in names(whole) if not name.startswith(("custody/", "segments/"))])
    exports = [key.partition("/")[0] for key in whole.blobs if not key.startswith("job/")]
    exported = verify_job(JobFolder(whole, exports[0]))
    assert (exported.problems, exported.warnings) == ([], [])


def test_verifying_writes_nothing(whole: MemoryStore) -> None:
    """Whatever is wrong with a job, verifying it writes nothing."""
    copy = changed(whole, "manifest/0002.parquet", lambda data: data[:-1])
    before = dict(copy.blobs)

    def refuse(operation: str, key: str) -> None:
        raise AssertionError(f"{operation} {key}")

    copy.fault = refuse
    assert not verified(copy).valid
    assert copy.blobs == before


@settings(max_examples=examples(60), deadline=None)
@given(data=st.data())
def test_any_flipped_bit_of_any_file_is_found(whole: MemoryStore, data: st.DataObject) -> None:
    """In the log, the evidence, the ledger, or a segment's items, headers or directory: the file is named."""
    name = data.draw(st.sampled_from(names(whole)))
    content = bytearray(whole.blobs[f"job/{name}"])
    at, bit = data.draw(st.integers(0, len(content) - 1)), data.draw(st.integers(0, 7))
    content[at] ^= 1 << bit
    assert name in found(changed(whole, name, lambda _: bytes(content)))


def test_every_lost_file_is_found(whole: MemoryStore) -> None:
    """A lost file is named; the loss of the log's last entry shows only if it vouched for files."""
    for name in names(whole)[::STEP]:
        copy = whole.copy()
        del copy.blobs[f"job/{name}"]
        if name == "custody/000006.json":
            assert verified(copy).valid
            assert verified(copy).fingerprint != verified(whole).fingerprint
        else:
            assert name in found(copy), name


def test_a_lost_last_entry_that_vouched_for_an_attempt(whole: MemoryStore) -> None:
    """An attempt without the entry of its end is not vouched for, and the job is not valid."""
    copy = whole.copy()
    for number in (5, 6):
        del copy.blobs[store_keys.custody_key("job", number)]
    assert "has no entry for the end of attempt 2" in found(copy)["reports/0002/result.json"]


@pytest.mark.parametrize("how", ["shortened", "lengthened", "emptied"])
def test_segments_of_another_size(whole: MemoryStore, how: str) -> None:
    """Each segment is named."""
    changes: dict[str, Callable[[bytes], bytes]] = {
        "shortened": lambda data: data[:-1], "lengthened": lambda data: data + b"\0", "emptied": lambda _: b"",
    }  # fmt: skip
    copy, segments = whole, {name for name in names(whole) if name.startswith("segments/")}
    assert segments
    for name in segments:
        copy = changed(copy, name, changes[how])
    assert found(copy).keys() == segments


def test_an_item_is_named(whole: MemoryStore) -> None:
    """The damaged item of a segment is named; the others count as proven."""
    rows = read_part(whole, "job/manifest/0002.parquet").to_pylist()
    row = next(row for row in rows if row["path"] == "good/3")
    at = row["offset"] + 2
    copy = changed(whole, row["segment"], lambda data: data[:at] + b"?" + data[at + 1 :])
    assert found(copy) == {row["segment"]: "good/3: its bytes are not the collected ones (SHA-256 differs)"}
    assert verified(copy).items == verified(whole).items - 1


def relogged(store: MemoryStore, name: str, change: Callable[[pa.Table], pa.Table]) -> dict[str, str]:
    """Return what is found after a table was changed and a new log was written that vouches for it."""
    copy = store.copy()
    table = read_part(copy, f"job/{name}")
    copy.blobs[f"job/{name}"] = bytes(part_bytes(change(table).replace_schema_metadata(table.schema.metadata)))
    for key in [key for key in copy.blobs if key.startswith(("job/custody/", "job/evidence/"))]:
        del copy.blobs[key]
    enter_all(JobFolder(copy, "job"), late=True)
    done = verified(copy)
    assert done.warnings, "that the entries were made late is said"
    return {problem.path: problem.what for problem in done.problems}


def test_a_forger_has_to_change_everything(whole: MemoryStore) -> None:
    """Even with a new log, a changed ledger, manifest or report disagrees with the others."""
    assert relogged(whole, "ledger/0002/part-00000.parquet", lambda table: table) == {}
    first = "ledger/0001/part-00001.parquet"
    assert "reports/0001/result.json" in relogged(whole, first, lambda table: table.slice(1))
    assert "reports/0002/result.json" in relogged(whole, "manifest/0002.parquet", lambda table: table.slice(1))
    assert "reports/0002/result.json" in relogged(whole, "reports/0002/errors.parquet", lambda table: table.slice(1))

    def renamed(table: pa.Table) -> pa.Table:
        paths = pc.replace_substring(table["path"], "good/5", "good/x")
        return table.set_column(table.schema.get_field_index("path"), table.schema.field("path"), paths)

    said = "its row of good/5 differs from the ledger's"
    assert relogged(whole, "manifest/0002.parquet", renamed) == {"manifest/0002.parquet": said}
    listed = "inventory/0001/part-00000.parquet"
    assert relogged(whole, listed, lambda table: table.slice(1)).keys() == {listed}


def test_files_that_nothing_refers_to(whole: MemoryStore) -> None:
    """They cause warnings, and the job stays valid; so do shards that a stale process committed too late."""
    copy = whole.copy()
    late = copy.blobs["job/ledger/0001/part-00001.parquet"]
    copy.blobs |= {
        "job/ledger/0001/part-00044.parquet": late, "job/segments/0001/00044.zip": b"cut off", "job/notes.txt": b"",
    }  # fmt: skip
    done = verified(copy)
    assert done.valid, done.problems
    assert {warning.path for warning in done.warnings} == {
        "ledger/0001/part-00044.parquet", "segments/0001/00044.zip", "notes.txt",
    }  # fmt: skip


def test_an_attempt_that_is_open() -> None:
    """Closed attempts are verified; what a killed process left only causes a warning until the next start."""
    source = MemorySource({f"good/{n}": Thing("good", b"x" * n) for n in range(9)})
    store = MemoryStore(die_after=12)
    with pytest.raises(Killed):
        attempt(new_job(store, source, "job"), source)
    copy = store.copy()
    done = verified(copy)
    assert done.valid, done.problems
    assert "has not ended" in done.warnings[0].what
    attempt(JobFolder(copy, "job"), source)
    assert verified(copy).valid


def test_dying_before_the_entry_of_an_end() -> None:
    """Nothing vouches for such a job; once its entry is added, it is valid, with a warning that the entry is late."""
    source = MemorySource({"good": Thing("good", b"x")})
    store = MemoryStore()

    def die(operation: str, key: str) -> None:
        if "/evidence/" in key:
            store.dead = True
            raise Killed

    store.fault = die
    with pytest.raises(Killed):
        attempt(new_job(store, source, "job"), source)
    copy = store.copy()
    assert "its process died before it wrote" in found(copy)["reports/0001/result.json"]
    record_missed_events(JobFolder(copy, "job"))
    done = verified(copy)
    assert done.valid
    assert "entered late" in done.warnings[0].what


def test_an_entry_that_is_still_being_made(whole: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the process that has just closed an attempt runs, its missing entry is not a problem."""
    monkeypatch.setattr(_job, "_ENTERING", timedelta(hours=1))
    copy = whole.copy()
    for number in (5, 6):
        del copy.blobs[store_keys.custody_key("job", number)]
    done = verified(copy)
    assert done.valid
    assert done.warnings[0].path == "reports/0002/result.json"


def test_a_job_without_a_log(whole: MemoryStore) -> None:
    """The missing log is a problem; everything else is still checked."""
    copy = whole.copy()
    for key in [key for key in copy.blobs if key.startswith(("job/custody/", "job/evidence/"))]:
        del copy.blobs[key]
    done = verified(copy)
    assert [problem.path for problem in done.problems] == ["custody"]
    assert done.items == 11


def test_two_ends_of_one_attempt_agree(whole: MemoryStore) -> None:
    """Two processes that record the same end leave two entries and a valid job; two different ends do not."""
    copy = whole.copy()
    record_end(JobFolder(copy, "job"), 2, late=True)
    assert verified(copy).valid
    append(JobFolder(copy, "job"), "ended", {"attempt": 2, "files": {"manifest/0002.parquet": "0" * 64}})
    assert "two different hashes" in found(copy)["manifest/0002.parquet"]


def test_no_job() -> None:
    """Without job and log there is nothing to verify; a log alone (a draft) is verified."""
    folder = JobFolder(MemoryStore(), "job")
    with pytest.raises(JobNotFound):
        verify_job(folder)
    append(folder, "drafted")
    with pytest.raises(JobNotFound):
        verify_job(JobFolder(folder.store, "another"))
    assert verify_job(folder).entries == 1


def test_links_are_not_followed(tmp_path: Path) -> None:
    """A file of a job that was replaced by a link to its copy counts as missing."""
    store = DirectoryStore(tmp_path / "store")
    source = MemorySource({"good": Thing("good", b"x")})
    attempt(folder := new_job(store, source), source)
    assert verify_job(folder).valid
    segment = tmp_path / "store" / folder.job_id / "segments/0001/00000.zip"
    segment.rename(tmp_path / "copy")
    segment.symlink_to(tmp_path / "copy")
    assert [problem.path for problem in verify_job(folder).problems] == ["segments/0001/00000.zip"]


def test_progress_and_files_of_an_attempt(whole: MemoryStore) -> None:
    """Each file and segment is reported once, with its bytes."""
    told: list[tuple[int, int]] = []
    verify_job(JobFolder(whole, "job"), lambda files, size: told.append((files, size)))
    segments = [name for name in names(whole) if name.startswith("segments/")]
    assert sum(files for files, _ in told) == verified(whole).files + len(segments)
    assert f"job/{store_keys.attempt_key('', 2)[1:]}" in attempt_files(JobFolder(whole, "job"), 2)


def test_an_incremental_job(tmp_path: Path) -> None:
    """Unchanged items, by listing or by hash, are in no segment; a warning names the job that holds them."""
    for name, content in {"same": b"same", "touched": b"touched", "large": b"large" * 100, "changed": b"old"}.items():
        (tmp_path / name).write_bytes(content)
        os.utime(tmp_path / name, (1e9, 1e9))
    source, store = FileSource(root=tmp_path), MemoryStore()
    attempt(new_job(store, source, "first"), source)
    (tmp_path / "changed").write_bytes(b"new")
    for name in ("touched", "large"):
        os.utime(tmp_path / name, (2e9, 2e9))
    record = replace(new_job(MemoryStore(), source).record(), job_id="job")
    result = attempt(new_job(store, source, "job", options=since_options(store, record)), source)
    assert (result.counts.succeeded, result.counts.skipped) == (1, 3)
    done = verified(store)
    assert done.valid, done.problems
    assert [warning.what for warning in done.warnings] == ["unchanged items are held by job first; verify that job too"]
    store.delete("first/")
    assert "which is not in this store" in verified(store).warnings[0].what
