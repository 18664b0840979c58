"""Job folders that others have written to: forged files are used only where that is proven safe."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from prefect_collect.collecting.incremental import Incremental
from prefect_collect.errors import CorruptPart, EvidenceError, PackageError
from prefect_collect.exporting.bound_collection import bind_collection
from prefect_collect.job_folder import store_keys, table_columns
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.job_folder.ledger import ledger_bytes
from prefect_collect.job_folder.parquet import PartWriter, part_bytes, read_batches, read_part
from prefect_collect.packages import fetch_package
from prefect_collect.stores import Blob, DirectoryStore
from prefect_collect.verification import verify_job
from tests.job_folder.forging import a_source, forge_log, lose_the_end, place
from tests.support.memory_source import MemorySource, Thing
from tests.support.memory_store import Killed, MemoryStore
from tests.support.run_attempts import attempt, check_account, export, held, new_job, unsuccessful

MANIFEST = "manifest/0001.parquet"


def forge_manifest(folder: JobFolder, change: Callable[[list[dict[str, Any]]], object]) -> None:
    """Replace the manifest by a changed one."""
    key = f"{folder.job_id}/{MANIFEST}"
    rows = pa.Table.from_batches(read_batches(folder.store, key), schema=table_columns.MANIFEST).to_pylist()
    change(rows)
    with PartWriter(table_columns.MANIFEST) as writer:
        writer.write(pa.Table.from_pylist(rows, schema=table_columns.MANIFEST).to_batches())
        writer.store(folder.store, key, replace=True)


FORGED: dict[str, Callable[[dict[str, Any]], object]] = {
    "path leads out": lambda row: row.update(path="../../../OUT.txt"),
    "path is absolute": lambda row: row.update(path="/etc/cron.d/x"),
    "path is another's": lambda row: row.update(path="good/elsewhere"),
    "no segment": lambda row: row.update(segment=None),
    "segment leads out": lambda row: row.update(segment="../other/segments/0001/00000.zip"),
    "segment is another file": lambda row: row.update(segment="job.json"),
    "segment has a lookalike's name": lambda row: row.update(segment="segments/0001/00000.zip/../../../x.zip"),
    "size is negative": lambda row: row.update(size=-1),
    "size is absurd": lambda row: row.update(size=2**62, stored_size=2**62),
    "no size": lambda row: row.update(size=None),
    "offset is before the header": lambda row: row.update(offset=row["entry_offset"]),
    "offset is beyond the segment": lambda row: row.update(entry_offset=10**12, offset=10**12 + 60),
    "offset is absurd": lambda row: row.update(offset=2**63 - 1),
    "no hash": lambda row: row.update(sha256=None),
    "hash of something else": lambda row: row.update(sha256=b"x" * 32),
}


@pytest.mark.parametrize("format", ["bagit", "directory"])
def test_each_forged_row_fails_as_an_item(format: str, tmp_path: Path) -> None:
    """The custody log was forged with them: their items fail, the others are delivered, no file is written elsewhere.

    All forgeries are in one manifest, with a good item between each two.
    """
    store = DirectoryStore(tmp_path / "store")
    good = [f"good/{n}" for n in range(len(FORGED))]
    items = {name: Thing("good", f"content {name}".encode() * 9) for n in zip(FORGED, good, strict=True) for name in n}
    folder = new_job(store, source := MemorySource(items))
    attempt(folder, source)

    def forge(rows: list[dict[str, Any]]) -> None:
        for row in rows:
            FORGED.get(row["item_id"], lambda row: None)(row)

    forge_manifest(folder, forge)
    forge_log(folder)
    out = tmp_path / "out"
    exported, result = export(folder, DirectoryStore(out), format)
    assert (result.status.value, result.counts.succeeded) == ("Partially completed", len(good))
    assert {name: row["error_code"] for name, row in unsuccessful(exported).items()} == dict.fromkeys(
        FORGED, "segment_corrupt"
    )
    names = zipfile.ZipFile(out / "test.zip").namelist() if format == "bagit" else [str(p) for p in out.rglob("*")]
    assert len([name for name in names if "good/" in name and name.rpartition("/")[2].isdecimal()]) == len(good)
    assert not any(".." in name or "OUT.txt" in name or "elsewhere" in name for name in names)
    assert {entry.name for entry in tmp_path.iterdir()} == {"store", "out"}


def test_an_item_listed_twice_is_delivered_once(job: JobFolder, tmp_path: Path) -> None:
    """The second row of one id fails, and the account of the export still adds up."""
    forge_manifest(job, lambda rows: rows.__setitem__(1, dict(rows[0])))
    forge_log(job)
    _, result = export(job, DirectoryStore(tmp_path / "out"))
    assert (result.counts.succeeded, result.counts.failed) == (5, 1)


@pytest.mark.parametrize("name", [MANIFEST, "reports/0001/errors.parquet", "reports/0001/result.json", "job.json"])
def test_what_the_log_does_not_vouch_for_is_not_exported(job: JobFolder, name: str, tmp_path: Path) -> None:
    """A file that was changed but can still be read fails the export before anything is written."""
    if name == MANIFEST:
        forge_manifest(job, lambda rows: rows[0].update(path="../../../OUT.txt"))
    elif name.endswith(".json"):
        place(job, name).write_bytes(place(job, name).read_bytes().replace(b'"test"', b'"tost"').replace(b"6", b"6 "))
    else:
        (empty := PartWriter(table_columns.ERRORS)).store(job.store, f"{job.job_id}/{name}", replace=True)
        empty.discard()
    with pytest.raises(EvidenceError, match=name):
        export(job, DirectoryStore(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_missing_or_changed_log_is_no_evidence(job: JobFolder, tmp_path: Path) -> None:
    """With no log, without its start, with a gap or a changed entry, the export is refused as evidence_corrupt."""
    logs = place(job, "custody")
    kept = shutil.copytree(logs, tmp_path / "kept")
    for change in (
        lambda: shutil.rmtree(logs),
        lambda: (logs / "000001.json").unlink(),
        lambda: (logs / "000002.json").unlink(),
        lambda: (logs / "000003.json").write_bytes(
            (logs / "000003.json").read_bytes().replace(b'"test', b'"tost') + b" "
        ),
    ):
        shutil.rmtree(logs, ignore_errors=True)
        shutil.copytree(kept, logs)
        change()
        with pytest.raises(EvidenceError, match="custody log") as refused:
            export(job, DirectoryStore(tmp_path / "out"))
        assert refused.value.code == "evidence_corrupt"


def test_an_end_that_was_not_entered_is_entered_late_and_said(job: JobFolder, tmp_path: Path) -> None:
    """A log without its last entry looks like one of a process that died there: it is completed, with a warning."""
    max(place(job, "custody").iterdir()).unlink()
    shutil.rmtree(place(job, "evidence"))
    _, result = export(job, DirectoryStore(tmp_path / "out"))
    assert "nothing vouched for the attempt's files" in " ".join(result.warnings)
    assert any("late" in problem.what for problem in verify_job(job).warnings)


def test_another_job_s_manifest_is_not_compared_with_when_it_was_forged(job: JobFolder) -> None:
    """An incremental job skips no item because of a manifest that the log does not vouch for."""
    assert len(Incremental(job.store, [job.job_id])) == 6
    forge_manifest(job, lambda rows: rows[0].update(source_etag="forged"))
    assert len(Incremental(job.store, [job.job_id])) == 0


def test_a_retry_takes_over_no_forged_manifest(job: JobFolder) -> None:
    """What the attempt before held is copied only as far as the log vouches for it."""
    forge_manifest(job, lambda rows: rows[0].update(path="../../../OUT.txt"))
    with pytest.raises(CorruptPart, match="vouches"):
        attempt(job, a_source())


LEDGER = {
    "path leads out": lambda rows: rows[0].update(path="../../../OUT.txt"),
    "segment leads out": lambda rows: rows[0].update(segment="../other/segments/0001/00000.zip"),
    "segment of another shard": lambda rows: rows[0].update(segment="segments/0001/00001.zip"),
    "offset is absurd": lambda rows: rows[0].update(offset=2**63 - 1),
    "a code that is none": lambda rows: rows[-1].update(error_code="x" * 100),
    "negative tries": lambda rows: rows[-1].update(tries=-9),
    "held by what is no job": lambda rows: rows[0].update(held_by="../../x"),
    "another item": lambda rows: rows[0].update(item_id="other", path="other", original_path="other"),
    "an item twice": lambda rows: rows.__setitem__(1, dict(rows[0])),
    "an item more": lambda rows: rows.append({**rows[0], "item_id": "z", "path": "z", "original_path": "z"}),
    "an item less": lambda rows: rows.pop(),
    "another size at the source": lambda rows: rows[0].update(source_size=7),
}  # fmt: skip
INVENTORY = {
    "listed path leads out": lambda rows: rows[0].update(path="../../../OUT.txt"),
    "listed with a code that is none": lambda rows: rows[0].update(outcome="failed", error_code="](x)"),
    "listed with an unknown outcome": lambda rows: rows[0].update(outcome="succeeded"),
    "listed as held by what is no job": lambda rows: rows[0].update(held_by="../../x"),
}
PARTS: dict[str, Callable[[list[dict[str, Any]]], object]] = {**LEDGER, **INVENTORY}


def forge_part(folder: JobFolder, kind: str, change: Callable[[list[dict[str, Any]]], object]) -> None:
    """Replace the first inventory or ledger part by a changed one; `change` gets the succeeded rows first."""
    key = f"{folder.job_id}/{kind}/0001/part-00000.parquet"
    table = read_part(folder.store, key)
    rows = sorted(table.to_pylist(), key=lambda row: row["outcome"] != "succeeded")
    change(rows)
    forged = pa.Table.from_pylist(rows, schema=table.schema)
    place(folder, f"{kind}/0001/part-00000.parquet").write_bytes(part_bytes(forged))


@pytest.mark.parametrize("what", PARTS)
def test_a_resumed_attempt_takes_over_no_forged_part(job: JobFolder, what: str) -> None:
    """Parts of a lost process, for which no log vouches, count only if they keep the rules for writing them.

    Items of a part that breaks the rules are not attempted (ledger_corrupt), or listed again, and collected by the next
    attempt.
    """
    lose_the_end(job)
    forge_part(job, "ledger" if what in LEDGER else "inventory", PARTS[what])
    if what in INVENTORY:
        place(job, "ledger/0001/part-00000.parquet").unlink()
    result = attempt(job, a_source())
    assert (result.counts.found, result.counts.succeeded, result.counts.failed) == (7, 6, 1)
    lost = job.result(1)
    assert lost is not None
    assert lost.counts.succeeded == 0
    assert "ledger_corrupt" in lost.codes
    assert sorted(held(job)) == [f"good/{n}" for n in range(6)]


def test_a_resumed_attempt_takes_over_what_is_as_it_was_written(job: JobFolder) -> None:
    """Parts that were not forged count as they were committed."""
    lose_the_end(job)
    attempt(job, a_source())
    lost = job.result(1)
    assert lost is not None
    assert (lost.counts.succeeded, lost.warnings) == (6, ())
    assert verify_job(job).valid


@pytest.mark.parametrize("what", PARTS)
def test_verify_of_a_forged_part_says_so(job: JobFolder, what: str) -> None:
    """With a forged log, a forged ledger part still makes the job invalid, and an inventory part causes a warning."""
    forge_part(job, "ledger" if what in LEDGER else "inventory", PARTS[what])
    assert not verify_job(job).valid
    forge_log(job)
    found = verify_job(job)
    if what in INVENTORY:
        assert [warning.path for warning in found.warnings] == ["inventory/0001/part-00000.parquet"]
    else:
        assert not found.valid


@pytest.mark.parametrize("format", ["bagit", "directory"])
def test_a_download_brings_only_the_package_that_was_delivered(job: JobFolder, format: str, tmp_path: Path) -> None:
    """Another file under the package's name has another fingerprint: no part of it is kept."""
    out = DirectoryStore(tmp_path / "out")
    _, result = export(job, out, format)
    key = "test.zip" if format == "bagit" else "test"
    assert fetch_package(out, key, tmp_path / "home", "test", result.fingerprint).exists()
    if format == "bagit":
        Path(out.locate(key)).write_bytes(b"PK something else")
    else:
        Path(out.locate(f"{key}/tagmanifest-sha256.txt")).write_text("something else")
    with pytest.raises(PackageError, match="fingerprint"):
        fetch_package(out, key, tmp_path / "again", "test", result.fingerprint)
    assert [*(tmp_path / "again").iterdir()] == []


def test_an_etag_that_a_forged_ledger_gives_proves_no_segment(tmp_path: Path) -> None:
    """On S3 a segment with the ETag of its commit is proven unread, if the custody log vouches for that ETag's part."""
    store = MemoryStore()
    folder = new_job(store, a_source())
    attempt(folder, a_source())
    assert set(bind_collection(store, folder.job_id).segments()) == {"segments/0001/00000.zip"}
    row = held(folder)["good/2"]
    segment, ledger = f"{folder.job_id}/{row['segment']}", store_keys.ledger_key(folder.job_id, 1, 0)
    changed = bytearray(store.blobs[segment])
    changed[row["offset"]] ^= 1
    store.blobs[segment] = bytes(changed)
    now = store.stat(segment)
    forged = ledger_bytes(read_part(store, ledger), [Blob(row["segment"], now.size, now.etag)])
    store.blobs[ledger] = bytes(forged)
    assert bind_collection(store, folder.job_id).segments() == {}
    exported, result = export(folder, DirectoryStore(tmp_path / "out"))
    assert (result.counts.succeeded, result.counts.failed) == (5, 1)
    assert [*unsuccessful(exported)] == ["good/2"]


def test_a_ledger_part_is_read_once_for_its_etags(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bytes whose hash the custody log vouches for are those that the ETags are taken from."""
    store = MemoryStore()
    folder = new_job(store, a_source())
    attempt(folder, a_source())
    bound, opened = bind_collection(store, folder.job_id), list[str]()
    open_blob = store.open
    monkeypatch.setattr(store, "open", lambda key: (opened.append(key), open_blob(key))[1])
    assert {*bound.segments()} == {"segments/0001/00000.zip"}
    assert opened.count(store_keys.ledger_key(folder.job_id, 1, 0)) == 1


FORGED_OUTCOMES: dict[str, dict[str, Any]] = {
    "an outcome is unknown": {"outcome": "vanished"},
    "no hash": {"sha256": None},
    "no size": {"size": None},
    "a size below 0": {"size": -1},
}


def dies_at_the_manifest(operation: str, key: str) -> None:
    """Raise Killed when the attempt is closed."""
    if "/manifest/" in key:
        raise Killed


def lost(change: dict[str, Any]) -> tuple[JobFolder, MemorySource]:
    """Return a job whose process died after its shard was committed, with a row of its ledger changed since."""
    dying = MemoryStore()
    dying.fault = dies_at_the_manifest
    source, folder = a_source(), new_job(dying, a_source())
    with pytest.raises(Killed):
        attempt(folder, source)
    store = dying.copy()
    folder = JobFolder(store, folder.job_id)
    key = store_keys.ledger_key(folder.job_id, 1, 0)
    rows = read_part(store, key).to_pylist()
    next(row for row in rows if row["item_id"] == "good/2").update(change)
    store.blobs[key] = bytes(part_bytes(pa.Table.from_pylist(rows, schema=table_columns.LEDGER)))
    return folder, source


@pytest.mark.parametrize("what", FORGED_OUTCOMES)
def test_a_ledger_that_no_shard_wrote_is_damaged(what: str) -> None:
    """Its items are not attempted (`ledger_corrupt`), and the next attempt collects them again."""
    folder, source = lost(FORGED_OUTCOMES[what])
    result = attempt(folder, source)
    assert (result.counts.found, result.counts.succeeded) == (7, 6)
    check_account(folder)
    first = folder.result(1)
    assert first is not None
    assert (first.counts.not_attempted, first.codes) == (7, {"ledger_corrupt": 7})


def test_a_code_of_another_version_is_an_unexpected_error() -> None:
    """The report keeps the unknown code in the message, and all other rows unchanged."""
    folder, source = lost({"error_code": "brand_new", "outcome": "failed", "message": "As never seen. [good/2]"})
    attempt(folder, source)
    check_account(folder)
    row = unsuccessful(folder, 1)["good/2"]
    assert (row["error_code"], row["message"]) == ("unexpected_error", "brand_new: As never seen. [good/2]")
    assert held(folder).keys() == {f"good/{n}" for n in range(6)}
