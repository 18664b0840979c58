"""Stored files that are damaged: the damage is found and named in an error of ours, and never used."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from prefect_collect.collecting import enumeration
from prefect_collect.errors import AttemptSuperseded, CollectError, CorruptPart
from prefect_collect.job_folder import store_keys
from prefect_collect.job_folder.folder import JobFolder, now
from prefect_collect.job_folder.lifecycle import claim_attempt
from prefect_collect.job_folder.process_identity import this_process
from prefect_collect.packages import verify
from prefect_collect.statuses import JobStatus
from prefect_collect.stores import DirectoryStore
from tests.examples import STEP
from tests.job_folder.small_collection import collected, tree
from tests.support.memory_source import MemorySource
from tests.support.memory_store import MemoryStore
from tests.support.run_attempts import attempt, check_account, export, held, new_job, unsuccessful

pytestmark = pytest.mark.usefixtures("small_shards")


def essence(folder: JobFolder) -> object:
    """Return all that the files of a job hold about it."""
    folder.record()
    return held(folder), unsuccessful(folder), folder.result()


def damaged(data: bytes, at: int, how: str) -> bytes:
    """Return the bytes with one bit flipped, or cut off."""
    if how == "cut":
        return data[:at]
    bad = bytearray(data)
    bad[at] ^= 1 << random.Random(at).randrange(8)
    return bytes(bad)


@pytest.mark.parametrize("how", ["flipped", "cut"])
@pytest.mark.parametrize(
    "key", ["manifest/0001.parquet", "reports/0001/errors.parquet", "reports/0001/result.json", "job.json"]
)
def test_damage_is_found_or_harmless(key: str, how: str) -> None:
    """A damaged file is read as it was, or raises an error of ours; a Parquet file never yields anything else."""
    store = MemoryStore()
    folder, source = collected(store)
    wanted = essence(folder)
    key = f"{folder.job_id}/{key}"
    data = store.blobs[key]
    found = 0
    for at in range(0, len(data), (7 if key.endswith("json") else 37) * STEP):
        store.blobs[key] = damaged(data, at, how)
        try:
            seen = essence(folder)
        except CollectError:
            found += 1
        else:
            assert key.endswith(".json") or seen == wanted, at
        if at % 5:
            continue
        try:
            attempt(JobFolder(copy := store.copy(), folder.job_id), source)
        except CollectError:
            pass
        else:
            check_account(JobFolder(copy, folder.job_id)) if key.endswith("parquet") else None
    assert found > 3


def lose_the_end(store: MemoryStore, *parts: str) -> None:
    """Leave the job as if its process had died before it closed the first attempt, and without these parts."""
    for key in list(store.blobs):
        if any(f"/{part}" in key for part in (*parts, "evidence/", "custody/000003")):
            del store.blobs[key]


@pytest.mark.parametrize("key", ["attempts/0001.json", "inventory/0001/inventory.json"])
@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"\xff\xfe", b'{"claimed_at": 3}', b'{"claimed_at": "soon"}'])
def test_small_files_with_something_else_in_them(key: str, data: bytes) -> None:
    """Claims and marks with other contents raise an error of ours, or do no harm."""
    store = MemoryStore()
    folder, source = collected(store)
    store.blobs[f"{folder.job_id}/{key}"] = data
    lose_the_end(store, "reports/0001/result.json")
    try:
        attempt(folder, source)
    except CorruptPart as error:
        assert key in str(error)  # noqa: PT017
    else:
        check_account(folder)


@pytest.mark.parametrize("how", ["flipped", "cut", "emptied"])
def test_a_ledger_part_damaged_before_closing(how: str) -> None:
    """Its items count as not attempted, the result warns of it, and a retry collects them again."""
    store = MemoryStore()
    folder, source = collected(store)
    lose_the_end(store, "reports/", "manifest/")
    key = store_keys.ledger_key(folder.job_id, 1, 1)
    data = store.blobs[key]
    store.blobs[key] = {"flipped": damaged(data, 40, "flipped"), "cut": data[: len(data) // 2], "emptied": b""}[how]
    lost = set(source.given)
    result = attempt(folder, source)
    check_account(folder)
    first = folder.result(1)
    assert first is not None
    assert first.counts.not_attempted == 3
    assert {row["error_code"] for row in unsuccessful(folder, 1).values()} == {"ledger_corrupt", "access_denied"}
    assert "damaged" in " ".join(first.warnings)
    assert held(folder).keys() == lost
    assert (result.counts.succeeded, result.counts.failed) == (6, 2)


@pytest.mark.parametrize("how", ["cut", "deleted"])
def test_an_inventory_part_lost_before_closing(how: str) -> None:
    """Without inventory and ledger a shard's items are unknown: the result reports it, and a retry finds them again."""
    store = MemoryStore()
    folder, source = collected(store)
    lose_the_end(store, "reports/", "manifest/", "ledger/0001/part-00001")
    key = store_keys.inventory_key(folder.job_id, 1, 1)
    if how == "cut":
        store.blobs[key] = store.blobs[key][:-9]
    else:
        del store.blobs[key]
    result = attempt(folder, source)
    check_account(folder)
    first = folder.result(1)
    assert first is not None
    assert (first.status, first.listing_complete) == (JobStatus.PARTIALLY_COMPLETED, False)
    assert "shard 1 are lost" in first.message
    assert (result.counts.succeeded, result.counts.failed, result.listing_complete) == (6, 2, True)


def test_an_inventory_part_lost_after_its_shard_was_committed() -> None:
    """The ledger part holds everything that the inventory part did: no item is missing."""
    store = MemoryStore()
    folder, source = collected(store)
    lose_the_end(store, "reports/", "manifest/", "inventory/0001/part-00001")
    result = attempt(folder, source)
    check_account(folder)
    assert (result.counts.found, result.counts.succeeded, result.listing_complete) == (8, 6, True)


def test_a_mark_that_a_stale_process_sets_later_is_not_believed() -> None:
    """Whether a listing is complete is decided when its attempt is closed, not by a stale process later."""
    store = MemoryStore()
    folder, source = collected(store)
    lose_the_end(store, "reports/", "manifest/", "inventory/0001/part-00002")
    mark = store.blobs.pop(store_keys.inventory_end_key(folder.job_id, 1))
    for key in [key for key in store.blobs if "part-00002" in key]:
        del store.blobs[key]
    source.breaks_after = 0
    lost = attempt(folder, source)
    assert not lost.listing_complete
    store.blobs[store_keys.inventory_end_key(folder.job_id, 1)] = mark
    source.breaks_after = None
    result = attempt(folder, source)
    check_account(folder)
    assert (result.counts.found, result.counts.succeeded, result.listing_complete) == (8, 6, True)


def test_an_attempt_that_is_being_worked_on_cannot_be_taken_over() -> None:
    """While its process is known to run, no other can claim the next attempt; when it has ended, one can."""
    store = MemoryStore()
    source = MemorySource({})
    folder = new_job(store, source)
    with subprocess.Popen(["sleep", "60"]) as other:
        claim = {"claimed_at": now().isoformat(), "claimed_by": "ann", **this_process(), "pid": other.pid}
        claim["pid_started"] = int(Path(f"/proc/{other.pid}/stat").read_text().rpartition(")")[2].split()[19])
        store.create(store_keys.attempt_key(folder.job_id, 1), json.dumps(claim).encode())
        with pytest.raises(AttemptSuperseded, match=f"process {other.pid}"):
            claim_attempt(folder)
        other.kill()
    assert claim_attempt(folder) == 2


@pytest.fixture(scope="module")
def retried(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a collection of two attempts in a store, its id, and exports of it; tests copy the store."""
    root = tmp_path_factory.mktemp("retried")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(enumeration, "SHARD_ITEMS", 3)  # as `small_shards`, which is of each test
        folder, source = collected(DirectoryStore(root / "store"))
        source.things["denied/0"].kind = "good"
        attempt(folder, source)
    (root / "job").write_text(folder.job_id)
    for format in ("bagit", "directory"):
        export(folder, DirectoryStore(root / format), format)
    return root


@pytest.mark.parametrize("format", ["bagit", "directory"])
@pytest.mark.parametrize("how", ["flipped", "cut", "deleted"])
def test_a_damaged_segment(how: str, format: str, retried: Path, tmp_path: Path) -> None:
    """Only its items fail; the rest is exported; after the repair a retry delivers the complete package."""
    store = DirectoryStore(shutil.copytree(retried / "store", tmp_path / "store"))
    folder = JobFolder(store, (retried / "job").read_text())
    name = store_keys.segment_key(folder.job_id, store_keys.segment_name(1, 1))
    segment, backup = Path(store.locate(name)), tmp_path / "backup"
    shutil.copy(segment, backup)
    rows = [row for row in held(folder).values() if name.endswith(row["segment"])]
    if how == "flipped":
        data = bytearray(segment.read_bytes())
        data[rows[0]["offset"] + 3] ^= 1
        segment.write_bytes(data)
        rows = rows[:1]
    elif how == "cut":
        segment.write_bytes(segment.read_bytes()[: rows[-1]["offset"] + 3])
        rows = rows[-1:]
    else:
        segment.unlink()
    destination = DirectoryStore(tmp_path / "out")
    job, result = export(folder, destination, format)
    assert result.status is JobStatus.PARTIALLY_COMPLETED
    assert (result.counts.found, result.counts.failed) == (7, len(rows))
    assert {id_: row["error_code"] for id_, row in unsuccessful(job).items()} == {
        row["item_id"]: "segment_corrupt" for row in rows
    }
    assert verify(tmp_path / "out" / ("test.zip" if format == "bagit" else "test")).valid
    shutil.copy(backup, segment)
    job, result = export(folder, destination, format, job)
    assert (result.attempt, result.status) == (2, JobStatus.SUCCESSFULLY_COMPLETED)
    assert tree(tmp_path / "out") == tree(retried / format)
    assert job.result(1).status is JobStatus.PARTIALLY_COMPLETED  # type: ignore[union-attr]


def test_all_segments_lost(tmp_path: Path) -> None:
    """An export that can deliver no item is Failed, makes no package, and can be retried."""
    store = DirectoryStore(tmp_path / "store")
    folder, _ = collected(store)
    segments = Path(store.locate(f"{folder.job_id}/segments"))
    segments.rename(tmp_path / "away")
    job, result = export(folder, DirectoryStore(tmp_path / "out"))
    assert (result.status, result.package) == (JobStatus.FAILED, None)
    assert result.counts.failed == 6
    assert not (tmp_path / "out").exists()
    (tmp_path / "away").rename(segments)
    _, result = export(folder, DirectoryStore(tmp_path / "out"), job=job)
    assert result.status is JobStatus.SUCCESSFULLY_COMPLETED
    assert verify(tmp_path / "out" / "test.zip").valid


def test_a_damaged_ledger_part_does_not_stop_an_export() -> None:
    """Segments that are not known by their ETag are read instead, so damage in a ledger part costs only time."""
    store = MemoryStore()
    folder, _ = collected(store)
    _, wanted = export(folder, MemoryStore())
    for key in list(store.blobs):
        if "/ledger/" in key and folder.job_id in key:
            data = bytearray(store.blobs[key])
            at = data.find(b'{"segments')
            data[at : at + 1] = b"\xff"
            store.blobs[key] = bytes(data)
    _, result = export(folder, MemoryStore())
    assert result.status is JobStatus.SUCCESSFULLY_COMPLETED
    assert result.fingerprint == wanted.fingerprint
