"""Exports of Google Vault: their files and messages, held to their own lists."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_collect.blocks import FileSource, VaultExportSource
from prefect_collect.connectors.foreign_exports.edrm_xml import BadList, documents
from prefect_collect.connectors.foreign_exports.tables import checksums, lines, rows
from prefect_collect.sources import Item, ListingEnd
from prefect_collect.sources.listing import items_of, proven
from prefect_collect.sources.query import Query
from prefect_collect.statuses import JobStatus
from tests.examples import examples
from tests.support.memory_store import MemoryStore
from tests.support.run_attempts import attempt, check_account, held, new_job, unsuccessful
from tests.support.vault_export import chat, drive, messages, write_vault_export, xml


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder."""
    (tmp_path / "export").mkdir()
    return tmp_path / "export"


def source_of(folder: Path) -> VaultExportSource:
    """Return the source of the export in a folder."""
    return VaultExportSource(inside=FileSource(root=folder))


def reported(rows: dict[str, dict[str, object]]) -> dict[object, object]:
    """Return the codes of what was not collected, by path."""
    return {row["path"]: row["error_code"] for row in rows.values()}


def test_a_whole_export(folder: Path) -> None:
    """Messages and files are collected byte for byte, each with what the metadata says of it; the ZIP files are looked
    into and their checksums agree; what Google could not export is reported.
    """
    write_vault_export(folder)
    source = source_of(folder)
    job = new_job(MemoryStore(), source)
    result = attempt(job, source)
    check_account(job)
    rows = {row["path"]: row for row in held(job).values()}
    inside = "Matter-1.zip/Matter-ann@x.example.mbox"
    assert rows.keys() == {
        *(f"{inside}/{number} message {number}.eml" for number in range(1, 5)),
        "Matter-1.zip/Matter-chat.mbox/1 message 9.eml",
        *(f"Matter-2.zip/{name}" for name in ("report_1abc.docx", "plan_2def.pdf", "their archive_3.zip")),
        *("Matter-metadata.xml", "Matter-errors.xml", "error.csv", "File checksums.md5"),
    }
    assert rows[f"{inside}/2 message 2.eml"]["sha256"] == hashlib.sha256(messages()[1]).digest()
    assert rows["Matter-2.zip/plan_2def.pdf"]["sha256"] == hashlib.sha256(drive(2)).digest()
    described = json.loads(rows[f"{inside}/2 message 2.eml"]["metadata"])
    assert described["export.Labels"] == "^INBOX,^OPENED"
    assert (described["export.id"], described["message_id"]) == ("doc-2", "<2@x.example>")
    assert json.loads(rows["Matter-1.zip/Matter-chat.mbox/1 message 9.eml"]["metadata"])["export.RoomName"] == "dept"
    assert json.loads(rows["Matter-2.zip/plan_2def.pdf"]["metadata"])["export.Title"] == "Plan ü"
    assert reported(unsuccessful(job)) == {
        "Matter-1.zip": "looked_into", "Matter-2.zip": "looked_into", "error.csv/row 1": "not_exported",
        "Matter-errors.xml/gone_5.txt": "not_exported",
    }  # fmt: skip
    why = {row["path"]: row["message"] for row in unsuccessful(job).values()}
    assert "its MD5 is the one that the export states" in why["Matter-1.zip"]
    assert "mailbox unavailable" in why["error.csv/row 1"]
    assert result.status is JobStatus.PARTIALLY_COMPLETED
    *_, end = proven(source)
    assert "the export's lists name 8 items and 4 checksums; 0 of them are missing" in str(end)


def test_what_is_missing(folder: Path) -> None:
    """Files and messages that the metadata or the checksums name and the ZIP files do not hold are failed items; when a
    missing file is there, a retry collects it.
    """
    write_vault_export(folder, absent=True)
    source = source_of(folder)
    job = new_job(MemoryStore(), source)
    attempt(job, source)
    check_account(job)
    failed = {path for path, code in reported(unsuccessful(job)).items() if code == "missing_in_export"}
    assert failed == {"lost_4.txt/", "Matter-1.mbox/", "Matter-3.zip/"}
    # The size that its list states; a list of checksums states none.
    assert {row["path"]: row["size"] for row in unsuccessful(job).values() if row["path"] in failed} == {
        "lost_4.txt/": 9, "Matter-1.mbox/": 9, "Matter-3.zip/": None,
    }  # fmt: skip
    (folder / "lost_4.txt").write_bytes(b"found")
    attempt(job, source_of(folder))
    check_account(job)
    assert "lost_4.txt" in {row["path"] for row in held(job).values()}
    failed = {path for path, code in reported(unsuccessful(job)).items() if code == "missing_in_export"}
    assert failed == {"Matter-1.mbox/", "Matter-3.zip/"}


def test_wrong_checksums(folder: Path) -> None:
    """A ZIP file and a file that are not those of the list of checksums fail; what is in the ZIP file is collected."""
    write_vault_export(folder)
    list_ = folder / "File checksums.md5"
    text = list_.read_text()
    digests = [line.split()[0] for line in text.splitlines()]
    list_.write_text(text.replace(digests[0], digests[1], 1).replace(digests[3], digests[2]))
    source = source_of(folder)
    job = new_job(MemoryStore(), source)
    assert attempt(job, source).status is JobStatus.PARTIALLY_COMPLETED
    check_account(job)
    found = reported(unsuccessful(job))
    assert (found["Matter-1.zip"], found["error.csv"]) == ("checksum_mismatch", "checksum_mismatch")
    assert sum(row["path"].startswith("Matter-1.zip/") for row in held(job).values()) == 5
    list_.write_text(text)
    attempt(job, source_of(folder))
    assert not {"checksum_mismatch"} & set(reported(unsuccessful(job)).values())


def test_unpacked(folder: Path) -> None:
    """An export that was unpacked is the same: the lists name files wherever they lie."""
    write_vault_export(folder, absent=True)
    for name in ("Matter-1", "Matter-2"):
        with zipfile.ZipFile(folder / f"{name}.zip") as archive:
            archive.extractall(folder / name)
        (folder / f"{name}.zip").unlink()
    (folder / "File checksums.md5").unlink()
    items = {item.path: item for item in items_of(source_of(folder))}
    assert {path for path, item in items.items() if item.failure and item.failure.code == "missing_in_export"} == {
        "lost_4.txt/", "Matter-1.mbox/",
    }  # fmt: skip
    assert "Matter-2/their archive_3.zip" in items


def test_the_query(folder: Path) -> None:
    """With a query that leaves out ZIP files, these are not read, and nothing is said to be missing.

    The ZIP file that was looked into is accounted for.
    """
    write_vault_export(folder)
    (folder / "Matter-2.zip").write_bytes(b"PK\3\4 damaged")
    query = Query(include=("Matter-1.zip/**",))
    *found, end = query.select(proven(source_of(folder), query))
    assert len(found) == 6
    assert isinstance(found[-1], Item)
    assert (found[-1].path, found[-1].outcome) == ("Matter-1.zip", "skipped")
    assert isinstance(end, ListingEnd)
    assert "the query left out some" in end.proof


def test_messages_in_any_order(folder: Path) -> None:
    """Messages of a deflated mbox file are read in any order, by several threads, and by another process's source."""
    many = [b"%d " % number * 5_000 + b"\n" for number in range(300)]
    with zipfile.ZipFile(folder / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        bodies = b"".join(b"From a@xxx Mon Jan  5 10:00:00 2026\nSubject: s\n\n" + body + b"\n" for body in many)
        archive.writestr("a.mbox", bodies)
    items = [item for item in items_of(source_of(folder)) if item.skipped is None]
    source = source_of(folder)
    for item, got in source.read_many(reversed(items), 4):
        assert not isinstance(got, Exception)
        number = int(item.path.rpartition("/")[2].split()[0]) - 1
        assert b"".join(bytes(chunk) for chunk in got.chunks) == b"Subject: s\n\n" + many[number]


def test_a_list_that_cannot_be_read(folder: Path) -> None:
    """Metadata that is cut, has a document type or an encoding of several bytes is a failed item; the files are
    collected all the same.
    """
    write_vault_export(folder)
    metadata = folder / "Matter-metadata.xml"
    whole = metadata.read_bytes()
    in_kanji = whole.decode().replace("UTF-8", "shift_jis").replace("ü", "表").encode("shift_jis")
    document_type = b'<!DOCTYPE a [<!ENTITY b "c">]><Root>&b;</Root>'
    for wrong in (whole[:-20], in_kanji, document_type, b"<html/>", b""):
        metadata.write_bytes(wrong)
        (folder / "File checksums.md5").unlink(missing_ok=True)
        items = [*items_of(source_of(folder))]
        assert [item.path for item in items if item.failure and item.failure.code == "unreadable_list"] == [
            metadata.name
        ]
        assert len(items) > 10


@settings(max_examples=examples(100))
@given(st.binary(max_size=200), st.integers(1, 50))
def test_any_bytes_as_a_list(data: bytes, piece: int) -> None:
    """Whatever the bytes of a list are, they are read, or refused as a list."""
    pieces = [data[at : at + piece] for at in range(0, len(data), piece)]
    for read in (documents, rows, checksums):
        try:
            list(read(pieces))
        except BadList:
            continue
    whole = xml(("é", {"a": "b"}, "c"))
    assert [each.name for each in documents(whole[at : at + piece] for at in range(0, len(whole), piece))] == ["c"]


def test_lines_of_lists() -> None:
    """Lists are UTF-8 or UTF-16; checksums come before or after the name, as the usual programs write them."""
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        data = 'a,b\r\n"x\ny",ü\u2028z\r\n'.encode(encoding)
        for piece in (1, 3, 100):
            pieces = [data[at : at + piece] for at in range(0, len(data), piece)]
            assert list(rows(pieces)) == [{"a": "x\ny", "b": "ü\u2028z"}]
            assert "".join(lines(pieces)) == 'a,b\r\n"x\ny",ü\u2028z\r\n'
    md5, sha = "0" * 32, "A" * 64
    text = (
        f'{md5}  ./a b.zip\n{md5} *b\nname,hash\nc.zip,{md5}\nMD5 (d) = {md5}\n{sha}\te\n"f,g","{sha}"\n{md5[1:]} no\n'
    )
    assert [(name, algorithm) for name, algorithm, _ in checksums([text.encode()])] == [
        ("a b.zip", "md5"), ("b", "md5"), ("c.zip", "md5"), ("d", "md5"), ("e", "sha256"), ("f,g", "sha256"),
    ]  # fmt: skip


def test_documents_of_messages(folder: Path) -> None:
    """The table of metadata that Gmail's exports have names messages as the XML file does."""
    write_vault_export(folder)
    (folder / "Matter-metadata.xml").unlink()
    file = "Matter-ann@x.example.mbox"
    table = f"Rfc822MessageId,GmailMessageId,FileName,Account,Labels\r\n<2@x.example>,17,{file},ann,^A\r\n"
    (folder / "Matter-metadata.csv").write_text(f"{table}<77@x.example>,18,{file},ann,^B\r\n")
    source = source_of(folder)
    items = {item.path: item for item in items_of(source)}
    assert [path for path, item in items.items() if item.failure and item.failure.code == "missing_in_export"] == [
        "<77@x.example>/", "Matter-metadata.xml/",
    ]  # fmt: skip
    with source.open(items["Matter-1.zip/Matter-ann@x.example.mbox/2 message 2.eml"]) as content:
        assert content.metadata is not None
        assert content.metadata["export.Account"] == "ann"
    assert chat()
    assert isinstance(next(iter(items.values())), Item)


def test_hashes_in_the_metadata(folder: Path) -> None:
    """A hash that the metadata states of a file is compared, wherever the file lies."""
    (folder / "natives").mkdir()
    for name in ("a.txt", "b.txt"):
        (folder / "natives" / name).write_bytes(name.encode())
    stated = hashlib.md5(b"a.txt").hexdigest().upper()
    text = xml(("1", {}, "a.txt"), ("2", {}, "b.txt")).replace(b"FileSize='9'", f"Hash='{stated}'".encode())
    (folder / "x-metadata.xml").write_bytes(text.replace(b"FileName=", b"FilePath='natives' FileName="))
    source = source_of(folder)
    job = new_job(MemoryStore(), source)
    attempt(job, source)
    check_account(job)
    assert reported(unsuccessful(job)) == {"natives/b.txt": "checksum_mismatch"}


def test_messages_in_pst_files(folder: Path) -> None:
    """Messages that the metadata names are not said to be missing if they may be in a PST file, which is not read."""
    (folder / "x-metadata.xml").write_bytes(xml(("1", {"RFC822MessageID": "<1@x>"}, "1"), ("2", {}, "lost.txt")))
    (folder / "ann.pst").write_bytes(b"!BDN")
    failed = [item.path for item in items_of(source_of(folder)) if item.failure]
    assert failed == ["lost.txt/"]


def test_counts_of_messages(folder: Path) -> None:
    """Without metadata, the messages are held to their number in the table of counts."""
    write_vault_export(folder)
    for name in ("Matter-metadata.xml", "File checksums.md5"):
        (folder / name).unlink()
    for count, missing in ((3, []), (5, ["2 messages/"])):
        table = f"Account,Count\r\nann@x.example,{count}\r\nbob@y.example,2\r\n"
        (folder / "Matter-results-count.csv").write_text(table)
        items = [*items_of(source_of(folder))]
        failed = [item.path for item in items if item.failure and item.failure.code == "missing_in_export"]
        assert failed == missing


def test_files_that_may_not_be_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that may not be read fails, and what a list in it names is not looked for; all others are collected."""
    write_vault_export(folder)
    for name in ("open", "open_range"):  # tests run as a user who may read all
        monkeypatch.setattr(FileSource, name, refusing(getattr(FileSource, name)))
    source = source_of(folder)
    job = new_job(MemoryStore(), source)
    attempt(job, source)
    check_account(job)
    found = reported(unsuccessful(job))
    assert {path: found.get(path) for path in ("Matter-2.zip", "Matter-metadata.xml")} == {
        "Matter-2.zip": "access_denied", "Matter-metadata.xml": "unreadable_list",
    }  # fmt: skip
    assert sum(row["path"].startswith("Matter-1.zip/") for row in held(job).values()) == 5


def refusing(opened: Callable[..., object]) -> Callable[..., object]:
    """Return a method that opens files, but for two."""

    def refuse(source: FileSource, item: Item, *within: int) -> object:
        if item.path == "Matter-2.zip" or (within and item.path == "Matter-metadata.xml"):
            raise PermissionError(13, "Permission denied")
        return opened(source, item, *within)

    return refuse
