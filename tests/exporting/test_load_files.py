"""Exports as load files: their options travel, numbers stay over retries, and later exports continue them."""

from __future__ import annotations

import uuid
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from prefect_collect.errors import StoreNameTooLong, UsageError
from prefect_collect.exporting.bound_collection import bind_collection
from prefect_collect.exporting.control_numbers import NUMBERS, require_continuable
from prefect_collect.exporting.delivery import Delivery
from prefect_collect.formats.load_file import LoadFile
from prefect_collect.job_folder import store_keys
from prefect_collect.job_folder.folder import JobFolder, JobRecord
from prefect_collect.job_folder.lifecycle import create_job
from prefect_collect.job_folder.removal import remove_job
from prefect_collect.packages import verify
from prefect_collect.sources.listing import items_of
from prefect_collect.statuses import JobKind, JobStatus
from prefect_collect.stores import Blob, Buffer, DirectoryStore
from prefect_collect.verification import verify_job
from tests.support.memory_source import MemorySource, Thing
from tests.support.run_attempts import attempt, export, new_job

ABC = LoadFile(prefix="ABC")


def made(path: Path, base: str = "test") -> dict[str, str]:
    """Return original path by control number of the package at `path`, which is valid."""
    assert verify(path).problems == []
    with zipfile.ZipFile(path) as archive:
        lines = archive.read(f"{base}/VOL001/VOL001.dat").decode("utf-8-sig").splitlines()
    table = [line.strip("þ").split("þ\x14þ") for line in lines]
    at = table[0].index("Original Path")
    return {row[0]: row[at] for row in table[1:]}


def test_an_export_lists_what_the_collection_did_not_get(tmp_path: Path) -> None:
    """The export succeeds with a warning that names the list; its job is proven offline, and numbers are kept."""
    source = MemorySource({"a.txt": Thing("good", b"1"), "b.txt": Thing("denied"), "c.txt": Thing("good", b"3")})
    collection = new_job(DirectoryStore(tmp_path / "staging"), source)
    attempt(collection, source)
    job, result = export(collection, DirectoryStore(tmp_path / "out"), "loadfile", load_file=ABC)
    assert result.status is JobStatus.SUCCESSFULLY_COMPLETED
    [warning] = result.warnings
    assert warning.endswith("3 items, 1 is not in this package, which lists it in EXCEPTIONS.csv: 1 failed.")
    assert made(tmp_path / "out" / "test.zip") == {"ABC00000001": "a.txt", "ABC00000002": "c.txt"}
    assert result.package == str(tmp_path / "out" / "test.zip")
    checked = verify_job(job)
    assert (checked.valid, checked.warnings) == (True, [])
    assert job.store.stat(store_keys.report_key(job.job_id, 1, NUMBERS)).size


def test_a_retry_after_repair_keeps_every_number(tmp_path: Path) -> None:
    """An item whose segment is lost is missing at first; after the repair a retry adds it under the number it had."""
    source = MemorySource({f"{n}.bin": Thing("good", b"%d" % n) for n in range(5)})
    collection = new_job(DirectoryStore(tmp_path / "staging"), source)
    attempt(collection, source)
    [segment] = (tmp_path / "staging").rglob("segments/*/*.zip")
    data = segment.read_bytes()
    segment.write_bytes(data[:100])
    out = DirectoryStore(tmp_path / "out")
    job, first = export(collection, out, "loadfile", load_file=ABC)
    assert first.status is JobStatus.PARTIALLY_COMPLETED
    before = made(tmp_path / "out" / "test.zip")
    assert 0 < len(before) < 5
    segment.write_bytes(data)
    _, again = export(collection, out, "loadfile", job, load_file=ABC)
    assert again.status is JobStatus.SUCCESSFULLY_COMPLETED
    after = made(tmp_path / "out" / "test.zip")
    assert after == {f"ABC{n + 1:08d}": f"{n}.bin" for n in range(5)}
    assert before.items() <= after.items()


def continued(collection: JobFolder, out: Path, by: JobFolder | None, options: dict[str, Any]) -> JobFolder:
    """Export as a new job that records its options, as the flow does; `by` is the export that it continues."""
    bound = bind_collection(collection.store, collection.job_id)
    load_file = LoadFile.of({**options, **({"continue_from": by.job_id} if by is not None else {})})
    folder = JobFolder(collection.store, _new_id())
    record = JobRecord(
        folder.job_id, JobKind.EXPORT, "export", bound.record.source, "test",
        options={"load_file": load_file.to_json()},
    )  # fmt: skip
    create_job(folder, record)
    job, result = export(collection, DirectoryStore(out), "loadfile", folder, load_file=load_file)
    assert result.status is JobStatus.SUCCESSFULLY_COMPLETED, result.message
    return job


def _new_id() -> str:
    return str(uuid.uuid4())


def test_later_exports_continue_the_numbers(tmp_path: Path) -> None:
    """After a retry of the collection old items have their numbers, new and changed ones go on after the last.

    So do those of another collection, whose items are others although they have the same names, and the one after it.
    """
    store = DirectoryStore(tmp_path / "staging")
    source = MemorySource({"a": Thing("good", b"1"), "b": Thing("denied"), "c": Thing("good", b"3")})
    collection = new_job(store, source)
    attempt(collection, source)
    first = continued(collection, tmp_path / "1", None, {"prefix": "X"})
    assert made(tmp_path / "1" / "test.zip") == {"X00000001": "a", "X00000002": "c"}
    source.things["b"] = Thing("good", b"2")
    attempt(collection, source, only=[*items_of(source)][1:2])
    second = continued(collection, tmp_path / "2", first, {"prefix": "X"})
    assert made(tmp_path / "2" / "test.zip") == {"X00000001": "a", "X00000002": "c", "X00000003": "b"}

    elsewhere = MemorySource({"a": Thing("good", b"1"), "d": Thing("good", b"4")})
    other = JobFolder(store, _new_id())
    create_job(
        other, JobRecord(other.job_id, JobKind.COLLECTION, "t", {"name": "o", "location": "o"}, "test", query={})
    )
    attempt(other, elsewhere)
    third = continued(other, tmp_path / "3", second, {"prefix": "X"})
    assert made(tmp_path / "3" / "test.zip") == {"X00000004": "a", "X00000005": "d"}
    continued(collection, tmp_path / "4", third, {"prefix": "X"})
    assert made(tmp_path / "4" / "test.zip") == made(tmp_path / "2" / "test.zip")


class NoTexts(DirectoryStore):
    """A destination that refuses texts until `refused` is cleared."""

    refused = True

    def create(self, key: str, data: Buffer, into: Any = None) -> Blob:
        """Create the file, unless it is a text."""
        if self.refused and "/TEXT/" in key:
            raise StoreNameTooLong(f"its name is too long [{key}]")
        return super().create(key, data, into)


def test_an_item_whose_text_cannot_be_written_fails(tmp_path: Path) -> None:
    """It is an exception with the store's code, and has no native in the package; a retry delivers both."""
    source = MemorySource({"a.txt": Thing("good", b"1"), "b.bin": Thing("good", b"2")})
    collection = new_job(DirectoryStore(tmp_path / "staging"), source)
    attempt(collection, source)
    out = NoTexts(tmp_path / "out")
    job, first = export(collection, out, "loadfile-directory", load_file=ABC)
    assert first.status is JobStatus.PARTIALLY_COMPLETED
    [row] = first.unsuccessful.to_arrow().to_pylist()
    assert (row["path"], row["error_code"]) == ("a.txt", StoreNameTooLong.code)
    assert "TEXT/0001/ABC00000001.txt" in row["message"]
    assert (verify(tmp_path / "out" / "test").problems, verify(tmp_path / "out" / "test").items) == ([], 1)
    assert [path.name for path in (tmp_path / "out").rglob("NATIVES/*/*")] == ["ABC00000002.bin"]
    out.refused = False
    _, again = export(collection, out, "loadfile-directory", job, load_file=ABC)
    assert again.status is JobStatus.SUCCESSFULLY_COMPLETED, again.message
    assert len([*(tmp_path / "out").rglob("TEXT/*/*")]) == 1
    assert (verify(tmp_path / "out" / "test").problems, verify(tmp_path / "out" / "test").items) == ([], 2)


def test_one_export_continues_another(tmp_path: Path) -> None:
    """A second export that continues the same one is refused, as its numbers would be those of other items.

    The one that continues it can be retried; once it is deleted, or if it never delivered, another one may continue.
    """
    store = DirectoryStore(tmp_path / "staging")
    source = MemorySource({"a": Thing("good", b"1"), "b": Thing("denied")})
    collection = new_job(store, source)
    attempt(collection, source)
    first = continued(collection, tmp_path / "1", None, {"prefix": "X"})
    source.things["b"] = Thing("good", b"2")
    attempt(collection, source, only=[*items_of(source)][1:2])
    later = LoadFile(prefix="X", continue_from=first.job_id)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "test.zip").write_bytes(b"of others")
    undelivered, failed = export(collection, DirectoryStore(tmp_path / "taken"), "loadfile", load_file=later)
    assert failed.status is JobStatus.FAILED
    second = continued(collection, tmp_path / "2", first, {"prefix": "X"})
    with pytest.raises(UsageError, match=rf"was continued by {second.job_id}, .*\[continue_from={first.job_id}\]"):
        require_continuable(store, later)
    (tmp_path / "taken" / "test.zip").unlink()
    for job in (undelivered, None):
        _, refused = export(collection, DirectoryStore(tmp_path / "taken"), "loadfile", job, load_file=later)
        assert refused.status is JobStatus.FAILED
        assert f"was continued by {second.job_id}" in refused.message
    assert not [*(tmp_path / "taken").iterdir()]
    _, again = export(collection, DirectoryStore(tmp_path / "2"), "loadfile", second, load_file=later)
    assert again.status is JobStatus.SUCCESSFULLY_COMPLETED, again.message
    assert verify_job(first).valid
    remove_job(second)
    require_continuable(store, later)
    _, third = export(collection, DirectoryStore(tmp_path / "3"), "loadfile", load_file=later)
    assert third.status is JobStatus.SUCCESSFULLY_COMPLETED, third.message


def test_a_retry_needs_no_longer_what_it_continues(tmp_path: Path) -> None:
    """After the export that it continues was deleted, a retry gives every item the number it had."""
    store = DirectoryStore(tmp_path / "staging")
    source = MemorySource({"a": Thing("denied"), "b": Thing("good", b"2")})
    collection = new_job(store, source)
    attempt(collection, source)
    first = continued(collection, tmp_path / "1", None, {"prefix": "X"})
    source.things["a"] = Thing("good", b"1")
    attempt(collection, source, only=[*items_of(source)][:1])
    second = continued(collection, tmp_path / "2", first, {"prefix": "X"})
    before = made(tmp_path / "2" / "test.zip")
    assert before == {"X00000002": "a", "X00000001": "b"}
    remove_job(first)
    later = LoadFile(prefix="X", continue_from=first.job_id)
    for _ in range(2):
        _, again = export(collection, DirectoryStore(tmp_path / "2"), "loadfile", second, load_file=later)
        assert again.status is JobStatus.SUCCESSFULLY_COMPLETED, again.message
        assert made(tmp_path / "2" / "test.zip") == before
    numbers = [store.read(store_keys.report_key(second.job_id, number, NUMBERS)) for number in (1, 2, 3)]
    assert [pq.read_table(BytesIO(data)).num_rows for data in numbers] == [2, 2, 2]


def test_what_cannot_be_continued_is_refused_before_the_start(tmp_path: Path) -> None:
    """An export that is not there, one with another prefix, and one that is no export are refused by that field."""
    store = DirectoryStore(tmp_path / "staging")
    source = MemorySource({"a": Thing("good", b"1")})
    collection = new_job(store, source)
    attempt(collection, source)
    first = continued(collection, tmp_path / "1", None, {"prefix": "X"})
    require_continuable(store, None)
    require_continuable(store, LoadFile(prefix="X", continue_from=first.job_id))
    with pytest.raises(UsageError, match=rf"begin with X; .*\[continue_from={first.job_id}, prefix=DOC\]"):
        require_continuable(store, LoadFile(continue_from=first.job_id))
    for other in (_new_id(), collection.job_id):
        with pytest.raises(UsageError, match=f"There is no export .*continue_from={other}"):
            require_continuable(store, LoadFile(continue_from=other))
    _, plain = export(collection, DirectoryStore(tmp_path / "bag"))
    earlier = LoadFile(continue_from=plain.job_id)
    _, failed = export(collection, DirectoryStore(tmp_path / "2"), "loadfile", load_file=earlier)
    assert failed.status is JobStatus.FAILED
    assert "made no load file" in failed.message


def test_options_of_another_format_are_refused(tmp_path: Path) -> None:
    """A load file has no SHA-512 manifests and no portable names; a bag has no options of load files."""
    out = DirectoryStore(tmp_path)
    for wrong in ("sha512", "portable_names"):
        given: dict[str, Any] = {wrong: True}
        with pytest.raises(UsageError, match=f"{wrong} is no option of this format"):
            Delivery(out, "loadfile", **given)
    with pytest.raises(UsageError, match=r"prefix, width and the like\) is no option of this format"):
        Delivery(out, "bagit", load_file=ABC)
