"""Job folders that others have written to: forged files are used only where that is proven safe."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_collect.collecting.incremental import Incremental, last_jobs
from prefect_collect.errors import CollectError, CorruptPart, EvidenceError, PackageError
from prefect_collect.exporting.bound_collection import bind_collection
from prefect_collect.job_folder import custody_log, json_fields, store_keys, table_columns
from prefect_collect.job_folder.folder import JobFolder, job_folders
from prefect_collect.job_folder.ledger import ledger_bytes
from prefect_collect.job_folder.parquet import PartWriter, part_bytes, read_batches, read_part
from prefect_collect.job_folder.removal import remove_job
from prefect_collect.packages import fetch_package
from prefect_collect.stores import Blob, DirectoryStore
from prefect_collect.untrusted.bounded_json import BadValue, Check, anything, parse_json
from prefect_collect.verification import verify_job
from tests.examples import STEP, examples
from tests.support.memory_source import MemorySource, Thing
from tests.support.memory_store import Killed, MemoryStore
from tests.support.run_attempts import attempt, check_account, enter_all, export, held, new_job, unsuccessful

MANIFEST = "manifest/0001.parquet"
OTHER = "0194c1b0-0000-7000-8000-000000000002"


def a_source() -> MemorySource:
    """Return a source with six readable items, and one that cannot be read."""
    things = {f"good/{n}": Thing("good", f"content {n}".encode() * 9) for n in range(6)}
    return MemorySource({**things, "denied": Thing("denied")})


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> JobFolder:
    """Return a collection of six items, unchanged, with another collection beside it."""
    folder = new_job(
        DirectoryStore(tmp_path_factory.mktemp("whole")), a_source(), "0194c1b0-0000-7000-8000-000000000001"
    )
    attempt(folder, a_source())
    attempt(new_job(folder.store, a_source(), OTHER), a_source())
    return folder


@pytest.fixture
def job(whole: JobFolder, tmp_path: Path) -> JobFolder:
    """Return the collection in a copy of its store."""
    shutil.copytree(whole.store.url, tmp_path / "store")
    return JobFolder(DirectoryStore(tmp_path / "store"), whole.job_id)


def place(folder: JobFolder, name: str) -> Path:
    """Return the path of a file of the job."""
    return Path(folder.store.locate(f"{folder.job_id}/{name}"))


def forge_manifest(folder: JobFolder, change: Callable[[list[dict[str, Any]]], object]) -> None:
    """Replace the manifest by a changed one."""
    key = f"{folder.job_id}/{MANIFEST}"
    rows = pa.Table.from_batches(read_batches(folder.store, key), schema=table_columns.MANIFEST).to_pylist()
    change(rows)
    with PartWriter(table_columns.MANIFEST) as writer:
        writer.write(pa.Table.from_pylist(rows, schema=table_columns.MANIFEST).to_batches())
        writer.store(folder.store, key, replace=True)


def forge_log(folder: JobFolder) -> None:
    """Write a new custody log that vouches for the files as they are now."""
    shutil.rmtree(place(folder, "custody"))
    shutil.rmtree(place(folder, "evidence"))
    enter_all(folder)


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


def test_a_log_that_is_gone_or_changed_vouches_for_nothing(job: JobFolder, tmp_path: Path) -> None:
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


def lose_the_end(folder: JobFolder) -> None:
    """Leave the job as if its process had died before it closed the attempt."""
    for name in ("reports/0001/result.json", "evidence/0001.sha256", "custody/000003.json"):
        place(folder, name).unlink()


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


HOSTILE: dict[str, bytes] = {
    "empty": b"",
    "not JSON": b"\x00\xff\xfe<html>",
    "a list": b"[]",
    "nothing": b"{}",
    "deep": b"[" * 200_000,
    "deep objects": b'{"a":' * 50_000,
    "many values": b"[" + b"0," * 1_200_000 + b"0]",
    "a huge number": b'{"job_id": ' + b"9" * 100_000 + b"}",
    "no number": b'{"number": NaN}',
    "half a character": b'{"job_id": "\\ud800"}',
    "twice": b'{"job_id": "a", "job_id": "b"}',
}
NAMES = [
    "job.json",
    "attempts/0001.json",
    "reports/0001/result.json",
    "custody/000002.json",
    "inventory/0001/inventory.json",
]


def read_everything(folder: JobFolder) -> None:
    """Run every reader of a job's folder; each returns, or raises an error of ours."""
    readers: list[Callable[[], object]] = [
        folder.record, folder.result, folder.present, folder.moves_data, folder.require_idle,
        lambda: folder.claimed(1), lambda: folder.claimed_at(1), lambda: folder.inventory_totals(1),
        lambda: custody_log.check_chain(folder), lambda: custody_log.entries(folder), lambda: held(folder),
        lambda: unsuccessful(folder), lambda: verify_job(folder), lambda: Incremental(folder.store, [folder.job_id]),
        lambda: read_part(folder.store, store_keys.ledger_key(folder.job_id, 1, 0)),
        lambda: read_part(folder.store, store_keys.inventory_key(folder.job_id, 1, 0)),
    ]  # fmt: skip
    for reader in readers:
        with suppress(CollectError):
            reader()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("what", [*HOSTILE][::STEP])
def test_a_hostile_file_is_an_error_of_ours(job: JobFolder, what: str, name: str) -> None:
    """Every reader of the job reports what is wrong, or ignores it; another job beside it is not affected."""
    other = JobFolder(job.store, OTHER)
    place(job, name).write_bytes(HOSTILE[what])
    read_everything(job)
    assert not verify_job(job).valid
    assert {folder.job_id for folder in job_folders(job.store)} >= {other.job_id}
    assert other.job_id in last_jobs(job.store, new_job(job.store, a_source()).record())
    assert verify_job(other).valid


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


def test_absurd_numbers_in_names_take_neither_memory_nor_place(job: JobFolder) -> None:
    """Files with numbers that no job has do not belong to the job; the log continues after its last entry."""
    for name in (
        "custody/999999999999.json", "custody/0000004.json", "custody/000000000.json", "attempts/9999999999.json",
        "attempts/99999.json", "reports/99999999/result.json", "ledger/0001/part-99999999999999.parquet",
        "inventory/0001/part-99999999999999.parquet", "evidence/9999999999.sha256",
    ):  # fmt: skip
        place(job, name).parent.mkdir(exist_ok=True)
        shutil.copyfile(place(job, "job.json"), place(job, name))
    assert job.attempts() == [1]
    assert job.closed_attempts() == [1]
    assert custody_log.append(job, "edited").number == 4
    found = verify_job(job)
    assert found.valid
    assert {"custody/999999999999.json", "attempts/9999999999.json"} <= {problem.path for problem in found.warnings}
    shutil.copyfile(place(job, "custody/000003.json"), place(job, "custody/999999999.json"))
    assert "999,999,993 after it" in str(verify_job(job).problems)


def test_an_inventory_that_announces_a_billion_parts(job: JobFolder) -> None:
    """The stated number of parts is not counted through: closing the attempt reports that the parts are missing."""
    end = place(job, "inventory/0001/inventory.json")
    end.write_text(json.dumps({**json.loads(end.read_text()), "parts": 10**18}))
    lose_the_end(job)
    with pytest.raises(CorruptPart, match="parts"):
        attempt(job, a_source())


def test_links_and_pipes_in_a_job_s_folder(job: JobFolder, tmp_path: Path) -> None:
    """Links are never followed, pipes never waited for, and deleting the job keeps what is outside of its folder."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("keep me")
    piped, linked = JobFolder(job.store, "a" * 36), JobFolder(job.store, "b" * 36)
    for folder in (piped, linked):
        place(folder, "").mkdir()
    os.mkfifo(place(piped, "job.json"))
    place(linked, "job.json").symlink_to("/etc/passwd")
    shutil.rmtree(place(job, "segments"))
    place(job, "segments").symlink_to(outside)
    place(job, "reports/0001/errors.csv").unlink()
    os.mkfifo(place(job, "reports/0001/errors.csv"))
    (place(job, "ledger") / "0001" / "out").symlink_to(outside)
    for folder in (job, piped, linked):
        read_everything(folder)
    assert job.job_id in {folder.job_id for folder in job_folders(job.store)}
    assert not verify_job(job).valid
    with suppress(CollectError):
        remove_job(job)
    assert (outside / "precious").read_text() == "keep me"


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3),
)


@settings(max_examples=examples(40), deadline=None)
@given(st.data())
def test_any_change_of_a_field_ends_in_an_error_of_ours(whole: JobFolder, data: st.DataObject) -> None:
    """If a field of a JSON file gets another value, or is removed, each reader raises an error of ours or returns."""
    store = MemoryStore()
    store.blobs = {blob.key: whole.store.read(blob.key) for blob in whole.store.list()}
    key = f"{whole.job_id}/{data.draw(st.sampled_from(NAMES))}"
    values = json.loads(store.blobs[key])
    target = values
    while nested := [name for name, value in target.items() if isinstance(value, dict) and value]:
        if not data.draw(st.booleans()):
            break
        target = target[data.draw(st.sampled_from(nested))]
    name = data.draw(st.sampled_from(sorted(target)))
    if data.draw(st.booleans()):
        target[name] = data.draw(_VALUES)
    else:
        del target[name]
    store.blobs[key] = json.dumps(values).encode()
    read_everything(JobFolder(store, whole.job_id))


@settings(max_examples=examples(40), deadline=None)
@given(st.data())
def test_any_damage_of_a_parquet_file_ends_in_an_error_of_ours(whole: JobFolder, data: st.DataObject) -> None:
    """If bytes of any Parquet file are overwritten, doubled or cut off, readers raise an error of ours or return."""
    store = MemoryStore()
    store.blobs = {blob.key: whole.store.read(blob.key) for blob in whole.store.list()}
    key = data.draw(st.sampled_from(sorted(key for key in store.blobs if key.endswith(".parquet"))))
    held_bytes = bytearray(store.blobs[key])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(held_bytes) - 1))
        new = data.draw(st.binary(max_size=9) | st.just(b"\xff" * 9) | st.just(bytes(held_bytes[at : at + 99]) * 2))
        held_bytes[at : at + data.draw(st.integers(0, 40))] = new
    store.blobs[key] = bytes(held_bytes)
    read_everything(JobFolder(store, whole.job_id))


@pytest.mark.parametrize(
    "check", [json_fields.STOP_MARK, json_fields.RESULT, json_fields.CLAIM, json_fields.SEGMENTS, json_fields.VOUCHED]
)
@pytest.mark.parametrize("value", [7, [], {}, None, True, 1.5, "\udcff", [[]], {"a": 7}])
def test_a_value_of_another_kind_is_refused_in_words(check: Check, value: object) -> None:
    """A value of any kind in a field of a file raises at most a BadValue."""
    for field in ("code", "message", "codes", "counts", "receipt", "claimed_at", "manifest", "pid", "files", "a"):
        with suppress(BadValue):
            parse_json(json.dumps({"code": "canceled", "message": "", "attempt": 1, field: value}).encode(), check)


@pytest.mark.parametrize("data", [b'{"\xff": 1}', b'{"job_id": "\xff\xfe"}', b'{"kind": "\xff"}'])
def test_the_name_or_value_of_a_field_that_is_no_utf_8(data: bytes) -> None:
    """The message can be written and shown."""
    with pytest.raises(BadValue) as caught:
        parse_json(data, json_fields.RECORD)
    str(caught.value).encode()


@settings(max_examples=examples(100), deadline=None)
@given(st.binary(max_size=60) | _VALUES.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_an_object_or_refused(data: bytes) -> None:
    """The reader of JSON returns an object that can be written as UTF-8 and shown, or raises BadValue."""
    try:
        json.dumps(parse_json(data, anything), ensure_ascii=False).encode("utf-8", "surrogateescape")
    except BadValue as error:
        str(error).encode()


@pytest.mark.parametrize("name", ["ledger/0001/part-x.parquet", "ledger/0001/part-" + "9" * 900, "../../x", "\n", "/"])
def test_a_log_that_vouches_for_what_is_no_file_of_a_job(job: JobFolder, name: str) -> None:
    """Names in a forged log are only looked up: verify reports the file as missing."""
    custody_log.append(job, "edited", {"files": {name: "0" * 64}})
    assert name in {problem.path for problem in verify_job(job).problems}
    read_everything(job)
