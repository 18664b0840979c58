"""Exports as load files of collections whose source states families: numbers stay, and ranges stay true."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from prefect_collect.exporting.bound_collection import bind_collection
from prefect_collect.formats.load_file import LoadFile
from prefect_collect.job_folder.folder import JobFolder, JobRecord
from prefect_collect.job_folder.lifecycle import create_job
from prefect_collect.job_folder.removal import remove_job
from prefect_collect.job_folder.result import TaskResult
from prefect_collect.packages import verify
from prefect_collect.sources import Content, Item
from prefect_collect.sources.listing import items_of
from prefect_collect.statuses import JobKind, JobStatus
from prefect_collect.stores import DirectoryStore
from prefect_collect.verification import verify_job
from tests.packages.load_file_packages import rows
from tests.support.memory_source import MemorySource, Thing
from tests.support.run_attempts import attempt, export, new_job

SAID = {"a.msg": ("m1", "a", ""), "b.msg": ("m2", "b", ""), "c.doc": ("m1", "c", "a"), "d.doc": ("m2", "d", "b")}
SCATTERED = (
    "Families that have no first and last number, because their items are not numbered one after the other, or earlier "
    "exports have more of them: 1."
)


@dataclass
class MailSource(MemorySource):
    """A source that states families as Purview's list does: the family, the item's id and its parent's."""

    said: dict[str, tuple[str, str, str]] = field(default_factory=lambda: dict(SAID))

    def _content(self, item: Item) -> Content:
        names = ("export.Family_ID", "export.File_ID", "export.Parent_ID")
        return replace(super()._content(item), metadata=dict(zip(names, self.said[item.id], strict=True)))


@pytest.fixture
def mail() -> MailSource:
    """Return two messages with an attachment each."""
    return MailSource({name: Thing("good", name.encode()) for name in SAID})


def collected(store: DirectoryStore, source: MemorySource) -> JobFolder:
    """Collect all of a source."""
    folder = new_job(store, source)
    attempt(folder, source)
    return folder


def table(path: Path, name: str = "test") -> list[str]:
    """Return path, number and range of each row of a valid package."""
    assert verify(path).problems == []
    found = rows((path / "VOL001" / "VOL001.dat").read_bytes())
    short = [{key: value.removeprefix("X0000000") for key, value in row.items()} for row in found]
    return [
        f"{row['Original Path']} {row['Control Number']} {row['Begin Attachment']}-{row['End Attachment']}"
        for row in short
    ]


def exported(collection: JobFolder, out: Path, by: JobFolder | None = None, **how: Any) -> tuple[JobFolder, TaskResult]:
    """Export as a new job that records its options, as the flow does; `by` is the export that it continues."""
    load_file = LoadFile(prefix="X", continue_from=None if by is None else by.job_id, **how)
    folder = JobFolder(collection.store, str(uuid.uuid4()))
    source = bind_collection(collection.store, collection.job_id).record.source
    create_job(
        folder,
        JobRecord(folder.job_id, JobKind.EXPORT, "export", source, "test", options={"load_file": load_file.to_json()}),
    )
    return export(collection, DirectoryStore(out), "loadfile-directory", folder, load_file=load_file)


def test_families_are_numbered_together(tmp_path: Path, mail: MailSource) -> None:
    """The parent is first, a retry gives the same numbers, and the job's account and package are proven offline."""
    collection = collected(DirectoryStore(tmp_path / "staging"), mail)
    job, result = exported(collection, tmp_path / "out")
    assert (result.status, result.warnings) == (JobStatus.SUCCESSFULLY_COMPLETED, ())
    expected = ["a.msg 1 1-2", "c.doc 2 1-2", "b.msg 3 3-4", "d.doc 4 3-4"]
    assert table(tmp_path / "out" / "test") == expected
    load_file = LoadFile(prefix="X")
    _, again = export(collection, DirectoryStore(tmp_path / "out"), "loadfile-directory", job, load_file=load_file)
    assert again.fingerprint == result.fingerprint
    checked = verify_job(job)
    assert (checked.valid, checked.warnings) == (True, [])


def test_a_retry_after_repair_keeps_numbers_and_ranges(tmp_path: Path, mail: MailSource) -> None:
    """Items of a lost segment are exceptions at first, of which the ranges of their families tell nothing wrong."""
    for thing in mail.things.values():
        thing.data *= 50_000
    folder = new_job(DirectoryStore(tmp_path / "staging"), mail)
    attempt(folder, mail)
    [segment] = (tmp_path / "staging").rglob("segments/*/*.zip")
    data = segment.read_bytes()
    segment.write_bytes(data[: len(data) // 3])
    job, first = exported(folder, tmp_path / "out")
    assert first.status is JobStatus.PARTIALLY_COMPLETED
    before = table(tmp_path / "out" / "test")
    segment.write_bytes(data)
    load_file = LoadFile(prefix="X")
    export(folder, DirectoryStore(tmp_path / "out"), "loadfile-directory", job, load_file=load_file)
    after = table(tmp_path / "out" / "test")
    assert after == ["a.msg 1 1-2", "c.doc 2 1-2", "b.msg 3 3-4", "d.doc 4 3-4"]
    assert 0 < len(before) < 4
    assert {*before} < {*after}


def test_a_member_that_comes_later_scatters_its_family(tmp_path: Path, mail: MailSource) -> None:
    """It gets a later number: the family has no range, which the result counts; a retry needs no earlier export."""
    mail.things["c.doc"] = Thing("denied")
    store = DirectoryStore(tmp_path / "staging")
    collection = collected(store, mail)
    first, _ = exported(collection, tmp_path / "1")
    assert table(tmp_path / "1" / "test") == ["a.msg 1 1-1", "b.msg 2 2-3", "d.doc 3 2-3"]
    mail.things["c.doc"] = Thing("good", b"later")
    attempt(collection, mail, only=[item for item in items_of(mail) if item.id == "c.doc"])
    second, result = exported(collection, tmp_path / "2", first)
    assert result.warnings == (SCATTERED,)
    expected = ["a.msg 1 -", "c.doc 4 -", "b.msg 2 2-3", "d.doc 3 2-3"]
    assert table(tmp_path / "2" / "test") == expected
    remove_job(first)
    options = LoadFile(prefix="X", continue_from=first.job_id)
    export(collection, DirectoryStore(tmp_path / "2"), "loadfile-directory", second, load_file=options)
    assert table(tmp_path / "2" / "test") == expected
    assert verify_job(second).valid


def test_a_family_of_which_an_earlier_export_has_more_has_no_range(tmp_path: Path, mail: MailSource) -> None:
    """A later collection of the source holds only a new attachment: it is not stated to be a family of its own."""
    store = DirectoryStore(tmp_path / "staging")
    first, _ = exported(collected(store, mail), tmp_path / "1")
    later = MailSource({"e.doc": Thing("good", b"5")}, said={"e.doc": ("m1", "e", "a")})
    second, result = exported(collected(store, later), tmp_path / "2", first)
    assert result.warnings == (SCATTERED,)
    assert table(tmp_path / "2" / "test") == ["e.doc 5 -"]
    plain = MemorySource({"z": Thing("good", b"z")})
    third, _ = exported(collected(store, plain), tmp_path / "3", second)
    last = MailSource(
        {"e.doc": Thing("good", b"5"), "f": Thing("good", b"6")}, said=later.said | {"f": ("m3", "f", "")}
    )
    _, result = exported(collected(store, last), tmp_path / "4", third)
    assert table(tmp_path / "4" / "test") == ["e.doc 5 -", "f 7 7-7"]


def test_a_retry_of_an_earlier_version_keeps_its_numbers(
    tmp_path: Path, mail: MailSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An export that was numbered without regard to families is retried with the same numbers, and true ranges."""
    collection = collected(DirectoryStore(tmp_path / "staging"), mail)
    with monkeypatch.context() as patched:
        patched.setattr("prefect_collect.packages.load_files.families._read", lambda manifest: None)
        job, _ = exported(collection, tmp_path / "out")
    load_file = LoadFile(prefix="X")
    _, again = export(collection, DirectoryStore(tmp_path / "out"), "loadfile-directory", job, load_file=load_file)
    assert table(tmp_path / "out" / "test") == ["a.msg 1 -", "b.msg 2 -", "c.doc 3 -", "d.doc 4 -"]
    assert again.warnings == (SCATTERED.replace(": 1.", ": 2."),)


def test_only_load_files_have_items_in_the_order_of_families(tmp_path: Path, mail: MailSource) -> None:
    """A bag has them in the order of the collection."""
    collection = collected(DirectoryStore(tmp_path / "staging"), mail)
    _, result = export(collection, DirectoryStore(tmp_path / "bag"), "directory")
    assert result.status is JobStatus.SUCCESSFULLY_COMPLETED
    lines = (tmp_path / "bag" / "test" / "manifest-sha256.txt").read_text().splitlines()
    assert [line.rpartition("/")[2] for line in lines] == sorted(SAID)
