"""Job folders with any bytes in their files: every reader returns, or raises an error of ours."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_collect.collecting.incremental import last_jobs
from prefect_collect.errors import CollectError, CorruptPart
from prefect_collect.job_folder import custody_log, json_fields
from prefect_collect.job_folder.folder import JobFolder, job_folders
from prefect_collect.job_folder.removal import remove_job
from prefect_collect.untrusted.bounded_json import BadValue, Check, anything, parse_json
from prefect_collect.verification import verify_job
from tests.examples import STEP, examples
from tests.job_folder.forging import OTHER, a_source, lose_the_end, place, read_everything
from tests.support.memory_store import MemoryStore
from tests.support.run_attempts import attempt, new_job

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
