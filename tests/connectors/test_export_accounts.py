"""What the lists of an export name is told apart, missed, and found again by a retry: nothing else is taken for it."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from prefect_collect.blocks import PurviewExportSource, SlackExportSource, VaultExportSource
from prefect_collect.blocks._export import ExportSource
from prefect_collect.errors import SourceError
from prefect_collect.job_folder import store_keys
from prefect_collect.sources.listing import items_of
from prefect_collect.statuses import JobStatus
from tests.support.mbox_bytes import mail, mbox
from tests.support.memory_store import MemoryStore
from tests.support.purview_export import row, table
from tests.support.run_attempts import attempt, check_account, held, new_job, unsuccessful
from tests.support.vault_export import xml


class Job:
    """A job on an export in a folder, with a source of its own for each attempt, as each process has."""

    def __init__(self, folder: Path, kind: type[ExportSource] = VaultExportSource) -> None:
        self._folder, self._kind = folder, kind
        self._job = new_job(MemoryStore(), self.source())

    def source(self) -> ExportSource:
        """Return a source that knows nothing yet of the export."""
        return self._kind(inside=str(self._folder))

    def attempt(self) -> JobStatus:
        """Run the next attempt, and check its account."""
        status = attempt(self._job, self.source()).status
        check_account(self._job)
        return status

    @property
    def codes(self) -> dict[str, str]:
        """The codes of what was not collected, by path."""
        return {str(row["path"]): str(row["error_code"]) for row in unsuccessful(self._job).values()}

    @property
    def missing(self) -> list[str]:
        """What is missing, as the messages name it, sorted."""
        rows = unsuccessful(self._job).values()
        messages = [str(row["message"]) for row in rows if row["error_code"] == "missing_in_export"]
        return sorted(message.rpartition("[")[2].rstrip("]") for message in messages)

    @property
    def collected(self) -> list[str]:
        """The paths of what is collected."""
        return sorted(str(row["path"]) for row in held(self._job).values())


def of_messages(*named: tuple[str, str]) -> bytes:
    """Return metadata of messages: the number of each, and the name of its mbox file."""
    return xml(*((f"doc-{n}-{file}", {"RFC822MessageID": f"<{n}@x.example>"}, file) for n, file in named))


def test_another_file_of_the_name(tmp_path: Path) -> None:
    """A file that is missing is not found in one of its name in another folder; when it is there, a retry takes it."""
    text = xml(("1", {}, "report.docx"), ("2", {}, "report.docx")).replace(b"FileName=", b"FilePath='a' FileName=", 1)
    at = text.rindex(b"FileName=")
    (tmp_path / "x-metadata.xml").write_bytes(text[:at] + b"FilePath='b' " + text[at:])
    (tmp_path / "a").mkdir()
    (tmp_path / "a/report.docx").write_bytes(b"a")
    job = Job(tmp_path)
    for _ in range(2):
        job.attempt()
        assert job.missing == ["b/report.docx"]
    (tmp_path / "b").mkdir()
    (tmp_path / "b/report.docx").write_bytes(b"b")
    assert job.attempt() is JobStatus.SUCCESSFULLY_COMPLETED
    assert job.collected == ["a/report.docx", "b/report.docx", "x-metadata.xml"]


def test_messages_of_one_file(tmp_path: Path) -> None:
    """Each message that is missing in an mbox file is an item of its own, which a retry finds by its Message-ID, even
    if two lists miss the same one.
    """
    file = "ann.mbox"
    (tmp_path / "x-metadata.xml").write_bytes(of_messages(*((str(n), file) for n in range(1, 5))))
    (tmp_path / "x-metadata.csv").write_text(f"Rfc822MessageId,GmailMessageId,FileName\r\n<2@x.example>,7,{file}\r\n")
    (tmp_path / file).write_bytes(mbox(mail(1), mail(4)))
    job = Job(tmp_path)
    job.attempt()
    both = "<2@x.example>: message 2@x.example"
    assert job.missing == [both, "ann.mbox: message 2@x.example", "ann.mbox: message 3@x.example"]
    (tmp_path / "more").mkdir()
    (tmp_path / "more/ann.mbox").write_bytes(mbox(mail(9), mail(2)))
    job.attempt()
    assert job.missing == ["ann.mbox: message 3@x.example"]
    assert "more/ann.mbox/2 message 2.eml" in job.collected
    with zipfile.ZipFile(tmp_path / "rest.zip", "w") as archive:
        archive.writestr("ann.mbox", mbox(mail(3)))
    job.attempt()
    assert job.missing == []
    assert "rest.zip/ann.mbox/1 message 3.eml" in job.collected


def test_a_message_of_two_people(tmp_path: Path) -> None:
    """A message that sender and receiver have is missing if one of their mbox files is, and each file's message has the
    metadata of its own; names of mbox files that the export has nowhere tell nothing.
    """
    both = [("1", "ann.mbox"), ("1", "bob.mbox")]
    (tmp_path / "x-metadata.xml").write_bytes(of_messages(*both))
    (tmp_path / "ann.mbox").write_bytes(mbox(mail(1)))
    job = Job(tmp_path)
    job.attempt()
    assert job.missing == ["bob.mbox: message 1@x.example"]
    (tmp_path / "bob.mbox").write_bytes(mbox(mail(1)))
    assert job.attempt() is JobStatus.SUCCESSFULLY_COMPLETED
    source = job.source()
    for item in items_of(source):
        if item.path.endswith(".eml"):
            with source.open(item) as content:
                assert dict(content.metadata or {})["export.id"] == f"doc-1-{item.path.partition('/')[0]}"
    (tmp_path / "x-metadata.xml").write_bytes(of_messages(("1", "Matter-1.mbox"), ("2", "Matter-1.mbox")))
    assert [item.path for item in items_of(job.source()) if item.failure] == ["Matter-1.mbox/"]


def rows_of(files: Mapping[str, bytes]) -> bytes:
    """Return a table with a row for each file."""
    return table([row(number, path, data) for number, (path, data) in enumerate(files.items())])


@pytest.mark.parametrize("absent", ["readme.txt", "docs/readme.txt", ""])
@pytest.mark.parametrize("is_packed", [False, True])
def test_rows_of_one_name(tmp_path: Path, absent: str, is_packed: bool) -> None:
    """Of rows with the same name, a file is held to the one that is its path; the other stays missing."""
    files = {"readme.txt": b"1", "docs/readme.txt": b"2", "docs/new/readme.txt": b"3"}
    (tmp_path / "Items.csv").write_bytes(rows_of(files))
    there = {path: data for path, data in files.items() if path != absent}
    if is_packed:
        with zipfile.ZipFile(tmp_path / "Items.zip", "w") as archive:
            for path, data in there.items():
                archive.writestr(path, data)
    else:
        (tmp_path / "docs/new").mkdir(parents=True)
        for path, data in there.items():
            (tmp_path / path).write_bytes(data)
    job = Job(tmp_path, PurviewExportSource)
    job.attempt()
    assert job.missing == ([absent] if absent else [])
    assert "checksum_mismatch" not in job.codes.values()
    assert len(job.collected) == 1 + len(there)


def test_rows_with_more_folders(tmp_path: Path) -> None:
    """A row that names more folders than a file has means it if it is the only one, and no other file fits better."""
    (tmp_path / "Mail").mkdir()
    for path in ("a.eml", "Mail/b.eml", "c.eml", "Mail/c.eml", "d.eml"):
        (tmp_path / path).write_bytes(path.encode())
    (tmp_path / "Items.csv").write_bytes(
        rows_of({
            "C:/case/a.eml": b"a.eml", "C:/case/Mail/b.eml": b"Mail/b.eml", "C:/case/Mail/c.eml": b"Mail/c.eml",
            "C:/case/x/d.eml": b"x", "C:/case/y/d.eml": b"y",
        })
    )  # fmt: skip
    job = Job(tmp_path, PurviewExportSource)
    job.attempt()
    assert set(job.missing) == {"C:/case/x/d.eml", "C:/case/y/d.eml"}
    assert "checksum_mismatch" not in job.codes.values()
    assert len(job.collected) == 6


def test_a_list_that_becomes_whole(tmp_path: Path) -> None:
    """A list that cannot be read stays a failed item with its reason; when it is whole, a retry has what it misses and
    reports. What the system reports as not exported stays so.
    """
    good = xml(("1", {}, "a.txt"), ("2", {}, "b.txt"))
    (tmp_path / "x-metadata.xml").write_bytes(good[:-20])
    (tmp_path / "x-errors.xml").write_bytes(xml(("5", {"ErrorDescription": "deleted"}, "gone.txt"))[:-20])
    (tmp_path / "error.csv").write_bytes(b"Account,Error\r\nbob,mailbox unavailable\r\n")
    (tmp_path / "a.txt").write_bytes(b"a")
    job = Job(tmp_path)
    lists = {"x-metadata.xml": "unreadable_list", "x-errors.xml": "unreadable_list"}
    reported = {
        "b.txt/": "missing_in_export",
        "x-errors.xml/gone.txt": "not_exported",
        "error.csv/row 1": "not_exported",
    }
    for _ in range(2):
        job.attempt()
        assert job.codes == {**lists, **reported}
    (tmp_path / "x-metadata.xml").write_bytes(good.replace(b"a.txt", b"c.txt").replace(b"b.txt", b"a.txt"))
    (tmp_path / "x-errors.xml").write_bytes(xml(("6", {"ErrorDescription": "gone"}, "new.txt")))
    job.attempt()
    assert {path: code for path, code in job.codes.items() if path in ("c.txt/", "x-errors.xml/new.txt", *lists)} == {
        "c.txt/": "missing_in_export", "x-errors.xml/new.txt": "not_exported",
    }  # fmt: skip
    assert job.codes["error.csv/row 1"] == "not_exported"
    (tmp_path / "c.txt").write_bytes(b"c")
    job.attempt()
    assert "c.txt" in job.collected


def test_a_list_that_misses_nothing(tmp_path: Path) -> None:
    """A list that is whole at the retry, and of which nothing is missing, is resolved."""
    good = xml(("1", {}, "a.txt"))
    (tmp_path / "x-metadata.xml").write_bytes(good[:-20])
    (tmp_path / "a.txt").write_bytes(b"a")
    job = Job(tmp_path)
    assert job.attempt() is JobStatus.PARTIALLY_COMPLETED
    (tmp_path / "x-metadata.xml").write_bytes(good)
    assert job.attempt() is JobStatus.SUCCESSFULLY_COMPLETED
    assert job.codes == {"x-metadata.xml": "looked_into"}


def test_messages_that_only_a_count_promises(tmp_path: Path) -> None:
    """Messages that are missing by their number alone are found when there are as many as the list counts."""
    (tmp_path / "x-results-count.csv").write_text("Account,Count\r\nann@x.example,3\r\n")
    (tmp_path / "a.mbox").write_bytes(mbox(mail(1)))
    job = Job(tmp_path)
    job.attempt()
    (tmp_path / "b.mbox").write_bytes(mbox(mail(2)))
    job.attempt()
    assert job.missing == ["1 messages"]
    (tmp_path / "c.mbox").write_bytes(mbox(mail(3)))
    job.attempt()
    assert job.missing == []
    assert [path for path in job.collected if path.endswith(".eml")] == [
        "a.mbox/1 message 1.eml", "b.mbox/1 message 2.eml", "c.mbox/1 message 3.eml",
    ]  # fmt: skip


@pytest.mark.parametrize("kind", [PurviewExportSource, SlackExportSource, VaultExportSource])
def test_what_is_no_export(tmp_path: Path, kind: type[ExportSource]) -> None:
    """A folder, file or ZIP file that is no such export, or that cannot be read, fails; an empty folder does not."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/plan.pdf").write_bytes(b"%PDF")
    (tmp_path / "empty").mkdir()
    assert [*items_of(kind(inside=str(tmp_path / "empty")))] == []
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("plan.pdf", b"%PDF")
    for name in ("folder", "folder/plan.pdf", "other.zip"):
        with pytest.raises(SourceError, match=r"This is no export of .* give the folder with all its files") as caught:
            list(items_of(kind(inside=str(tmp_path / name))))
        assert caught.value.code == "enumeration_failed"
    (tmp_path / "folder/cut.zip").write_bytes((tmp_path / "other.zip").read_bytes()[:60])
    for name in ("folder", "folder/cut.zip"):
        with pytest.raises(SourceError, match=r"Nothing of an export of .* can be read: The ZIP file") as caught:
            list(items_of(kind(inside=str(tmp_path / name))))
        assert caught.value.code == "unreadable_entry"


def test_an_export_without_lists_is_said_to_be_compared_with_nothing(tmp_path: Path) -> None:
    """The result says it, at every attempt; of an export that has a list it does not."""
    source = Job(tmp_path).source()
    job = new_job(MemoryStore(), source)
    (tmp_path / "a.mbox").write_bytes(mbox(mail(1)))
    for _ in range(2):
        assert "The export has no list of what it should hold" in "".join(attempt(job, source).warnings)
    (tmp_path / "x-metadata.xml").write_bytes(of_messages(("1", "a.mbox")))
    assert attempt(new_job(MemoryStore(), source), source).warnings == ()


def test_a_listing_whose_end_is_damaged_does_not_stop_a_retry(tmp_path: Path) -> None:
    """The retry loses the warnings of that listing alone."""
    source, store = Job(tmp_path).source(), MemoryStore()
    (tmp_path / "a.mbox").write_bytes(mbox(mail(1)))
    job = new_job(store, source)
    counts = attempt(job, source).counts
    key = store_keys.inventory_end_key(job.job_id, 1)
    store.remove([key])
    store.create(key, b"{")
    again = attempt(job, source)
    assert (again.counts, again.warnings) == (counts, ())
