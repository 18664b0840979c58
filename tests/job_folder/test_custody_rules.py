"""Using what a job holds needs a whole custody log; deleting the job, and closing a lost attempt, do not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from prefect_collect.collecting.closing import close_lost_attempts
from prefect_collect.collecting.incremental import Incremental, since_options
from prefect_collect.errors import CorruptPart, EvidenceError
from prefect_collect.exporting.bound_collection import bind_collection
from prefect_collect.job_folder import custody_events, custody_log, kept_table, store_keys, table_columns
from prefect_collect.job_folder.checked_evidence import vouched
from prefect_collect.job_folder.custody_events import listed_hashes, record_missed_events
from prefect_collect.job_folder.error_report_reading import reported_items
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.job_folder.lifecycle import claim_attempt
from prefect_collect.job_folder.parquet import part_bytes
from prefect_collect.job_folder.removal import remove_job
from prefect_collect.job_folder.store_keys import custody_key
from prefect_collect.stores import DirectoryStore
from prefect_collect.verification import verify_job
from tests.support.memory_source import MemorySource, Thing
from tests.support.memory_store import Killed, MemoryStore
from tests.support.run_attempts import attempt, check_account, export, new_job

MANIFEST = store_keys.manifest_key("job", 1)
END = custody_key("job", 3)


def a_source() -> MemorySource:
    """Return a source with four readable items, and one that cannot be read."""
    return MemorySource({**{f"good/{n}": Thing("good", b"x" * n) for n in range(4)}, "denied": Thing("denied")})


@pytest.fixture(scope="module")
def whole() -> MemoryStore:
    """Return the store of a collection with one attempt, unchanged; its log is created, started, ended."""
    store = MemoryStore()
    attempt(new_job(store, a_source(), "job"), a_source())
    return store


@pytest.fixture
def job(whole: MemoryStore) -> JobFolder:
    """Return the job in a copy of that store."""
    return JobFolder(whole.copy(), "job")


def blobs(folder: JobFolder) -> dict[str, bytes]:
    """Return the files of the job's store."""
    assert isinstance(folder.store, MemoryStore)
    return folder.store.blobs


def _remove(*numbers: int) -> Callable[[JobFolder], object]:
    return lambda folder: [blobs(folder).pop(custody_key("job", number)) for number in numbers]


DAMAGE: dict[str, Callable[[JobFolder], object]] = {
    "gone": _remove(1, 2, 3),
    "gone, with the claims": lambda folder: (
        _remove(1, 2, 3)(folder),
        blobs(folder).pop(store_keys.attempt_key("job", 1)),
    ),
    "without its start": _remove(1),
    "with a gap": _remove(2),
    "cut off before the attempt": _remove(2, 3),
    "changed": lambda folder: blobs(folder).update({END: blobs(folder)[END].replace(b'"ended"', b'"enbed"')}),
    "replaced by another job's": lambda folder: blobs(folder).update(
        {custody_key("job", 1): custody_log._sealed({"number": 1, "action": "created"})}
    ),
    "without the result that it tells of": lambda folder: blobs(folder).pop(store_keys.result_key("job", 1)),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_log_vouches_for_nothing(job: JobFolder, what: str, tmp_path: Path) -> None:
    """An export, another attempt and a retry by report are refused and write nothing; no job compares with it."""
    report = tmp_path / "errors.csv"
    report.write_bytes(job.store.read(store_keys.report_key("job", 1, "errors.csv")))
    assert [item.id for item in reported_items(str(report), job)] == ["denied"]
    DAMAGE[what](job)
    before = dict(blobs(job))
    if "result" not in what:  # without one there is nothing to use yet
        with pytest.raises(EvidenceError, match="custody log") as refused:
            bind_collection(job.store, "job")
        assert refused.value.code == "evidence_corrupt"
        with pytest.raises(EvidenceError, match="custody log"):
            reported_items(str(report), job)
    with pytest.raises(EvidenceError, match="custody log"):
        attempt(job, a_source())
    since = Incremental(job.store, ["job"])
    assert len(since) == 0
    assert record_missed_events(job) == [], "nothing makes up for what was taken out"
    assert blobs(job) == before


@pytest.mark.parametrize("what", DAMAGE)
def test_a_job_with_a_damaged_log_can_be_deleted(job: JobFolder, what: str) -> None:
    """The entry of the deletion, which is all that is left, states what was wrong with the log."""
    DAMAGE[what](job)
    remove_job(job, who="ann")
    [entry] = custody_log.entries(job)
    assert (entry.action, entry.who) == ("deleted", "ann")
    assert "custody log" in entry.details["log_damage"]
    assert [*blobs(job)] == [custody_key("job", entry.number)]


def test_a_job_without_an_attempt_needs_no_log() -> None:
    """A draft whose log is lost can be started: there is nothing yet that the log could vouch for."""
    store = MemoryStore()
    folder = new_job(store, a_source(), "job")
    del store.blobs[custody_key("job", 1)]
    assert attempt(folder, a_source()).counts.succeeded == 4
    assert verify_job(folder).valid


def test_what_a_lost_process_left_is_closed_with_a_damaged_log(whole: MemoryStore) -> None:
    """The items stay accounted for, the result warns that nothing vouches for them, and no further attempt starts."""
    dying = whole.copy()

    def dies(operation: str, key: str) -> None:
        if key == store_keys.manifest_key("job", 2):
            raise Killed

    dying.fault = dies
    with pytest.raises(Killed):
        attempt(JobFolder(dying, "job"), a_source())
    folder = JobFolder(dying.copy(), "job")
    del blobs(folder)[custody_key("job", 2)]
    (result,) = close_lost_attempts(folder, folder.record(), 3)
    assert (result.counts.found, result.counts.succeeded) == (5, 4)
    assert "nothing vouches" in " ".join(result.warnings)
    check_account(folder)
    with pytest.raises(EvidenceError, match="custody log"):
        claim_attempt(folder)


def test_a_log_that_lacks_only_the_attempt_s_end(job: JobFolder) -> None:
    """A log without its last entry, by a crash or a cut, is used again; every later result warns of it.

    An incremental collection does not compare with the job, so that what a forger claims as held is collected again.
    """
    _remove(3)(job)
    other = new_job(job.store, a_source(), "other", options={"since": "last", "since_jobs": ["job"]})
    incremental = attempt(other, a_source())
    assert incremental.counts.succeeded == 4
    assert "Job job was not compared with" in " ".join(incremental.warnings)
    again = attempt(job, a_source())
    assert any("nothing vouched" in warning for warning in again.warnings)
    _, exported = export(job, MemoryStore())
    assert any("nothing vouched" in warning for warning in exported.warnings)
    assert any("late" in problem.what for problem in verify_job(job).warnings)


def test_deleted_jobs_that_an_incremental_job_cannot_use_are_warned_of(job: JobFolder) -> None:
    """A collection that compares with a whole job and with a deleted one warns of the deleted one only."""
    record = new_job(job.store, a_source(), "other").record()
    assert since_options(job.store, record)["since_jobs"] == ["job"]
    with Incremental(job.store, ["job"]) as since:
        assert (len(since), since.left_out) == (4, [])
    blobs(job)[MANIFEST] += b"x"
    with Incremental(job.store, ["job"]) as since:
        assert len(since) == 0
        assert "not the one that its custody log vouches for" in since.left_out[0]


def test_two_ends_that_disagree_vouch_for_nothing(job: JobFolder) -> None:
    """An entry appended to a whole log does not make another manifest the true one.

    Verify reports the contradiction.
    """
    forged = part_bytes(pa.Table.from_pylist([], schema=table_columns.MANIFEST))
    blobs(job)[MANIFEST] = bytes(forged)
    custody_events.record_end(job, 1)
    with pytest.raises(CorruptPart, match="two different hashes"):
        bind_collection(job.store, "job")
    with pytest.raises(CorruptPart, match="two different hashes"):
        attempt(job, a_source())
    assert not verify_job(job).valid


@pytest.mark.parametrize("name", ["edited", "downloaded"])
def test_only_an_attempt_s_own_entries_vouch(job: JobFolder, name: str) -> None:
    """An entry of another action that names files does not vouch for them."""
    custody_log.append(job, name, {"files": {"names": "0" * 64, "manifest/0001.parquet": "0" * 64}})
    assert bind_collection(job.store, "job").result.counts.succeeded == 4


@pytest.mark.parametrize("is_kept", [True, False])
def test_a_file_that_is_changed_after_it_was_checked(
    job: JobFolder, monkeypatch: pytest.MonkeyPatch, is_kept: bool
) -> None:
    """The bytes that are used are those that were checked: a change in between is found before a row is yielded.

    A short manifest is kept in memory as it was checked, so that it does not matter what becomes of its file.
    """
    if not is_kept:
        monkeypatch.setattr(kept_table, "MOST_ROWS", 3)
    bound = bind_collection(job.store, "job")
    evidence = vouched(job, 1)
    evidence.require_attempt(1)
    assert sum(batch.num_rows for batch in bound.manifest(["path"])) == 4
    for key in (MANIFEST, store_keys.result_key("job", 1), store_keys.job_key("job")):
        blobs(job)[key] += b" "
    if is_kept:
        assert sum(batch.num_rows for batch in bound.manifest(["path", "size"])) == 4
    else:
        with pytest.raises(CorruptPart, match="vouches for"):
            next(iter(bound.manifest(["path"])))
    for use in (lambda: next(iter(evidence.batches(MANIFEST))), lambda: evidence.result(1), evidence.record):
        with pytest.raises(CorruptPart, match="vouches for"):
            use()


def test_a_file_that_was_put_there_after_the_end(job: JobFolder) -> None:
    """A ledger part that was added after the attempt's end is not used, although the log does not contradict it."""
    evidence, key = vouched(job, 1), store_keys.ledger_key("job", 1, 7)
    blobs(job)[key] = blobs(job)[store_keys.ledger_key("job", 1, 0)]
    with pytest.raises(CorruptPart, match="put there later"):
        next(iter(evidence.batches(key)))
    known = evidence.hashes([key.removeprefix("job/"), "ledger/0001/part-00000.parquet"])
    assert [*known] == ["ledger/0001/part-00000.parquet"]
    assert key not in bind_collection(job.store, "job").segments()


def test_a_list_that_is_longer_than_any_attempt_s(job: JobFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list above the bounds counts as changed, even if its hash is right, so that only so much is read."""
    key, sha256 = store_keys.evidence_key("job", 1), vouched(job, 1).sha256("evidence/0001.sha256")
    assert sha256 is not None
    found = listed_hashes(job.store, key, sha256)
    assert found is not None
    assert {"manifest/0001.parquet", "ledger/0001/part-00000.parquet"} <= found.keys()
    monkeypatch.setattr(custody_events, "_MOST_LISTED", 2)
    assert listed_hashes(job.store, key, sha256) is None
    assert not verify_job(job).valid
    monkeypatch.undo()
    monkeypatch.setattr(custody_events, "_LONGEST_LIST", 100)
    assert listed_hashes(job.store, key, sha256) is None


def test_a_name_with_a_line_break_is_no_line_of_the_list() -> None:
    """A file with a line break in its name, planted while the attempt runs, cannot vouch for another file."""
    store = MemoryStore()
    folder = new_job(store, a_source(), "job")
    strange = f"job/inventory/0001/x\n{'0' * 64}  ledger/0001/part-00000.parquet"
    store.blobs[strange] = b"strange"
    attempt(folder, a_source())
    assert "strange" not in folder.store.read(store_keys.evidence_key("job", 1)).decode()
    assert "0" * 64 not in folder.store.read(store_keys.evidence_key("job", 1)).decode()
    assert bind_collection(store, "job").segments().keys() == {"segments/0001/00000.zip"}


def test_an_export_replaces_only_what_its_own_log_says_it_delivered(job: JobFolder, tmp_path: Path) -> None:
    """A forged result of an earlier attempt of the export is not used by the next."""
    out = DirectoryStore(tmp_path)
    made, first = export(job, out)
    key = store_keys.result_key(made.job_id, first.attempt)
    blobs(made)[key] = blobs(made)[key].replace(str(first.fingerprint).encode(), b"0" * 64)
    _, result = export(job, out, job=made)
    assert (result.status.value, [*result.codes]) == ("Failed", ["ledger_corrupt"])
