"""Mail sets: what other programs read in them, and that every message is there byte for byte."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import mailbox
import re
import zipfile
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from prefect_collect.connectors.mbox.splitting import messages
from prefect_collect.escaping import csv_text
from prefect_collect.formats.mail_set import MailSet
from prefect_collect.packages import PACKAGE_FORMATS, Built, Owner, PackagePlace, check_items, verify
from prefect_collect.packages.mail.quoting import quoted, unquoted
from prefect_collect.stores import DirectoryStore
from tests.support.memory_source import MemorySource, Thing
from tests.support.package_modules import ROOT
from tests.support.run_attempts import attempt, export, new_job

HEAD = b"From: Ann <ann@example.com>\r\nTo: bob@example.com, eve@example.com\r\nSubject: =HYPERLINK\r\n"
DATED = HEAD + b"Date: Mon, 1 Jan 2024 00:30:00 +0200\r\nMessage-ID: <1@example.com>\r\n\r\n"
BODIES = {
    "INBOX/1 Hi.eml": DATED + b"Hello\r\n",
    "INBOX/2.eml": DATED + b"From here\nFrom there\r\n>From old\n>>From older\nFrom\n>Fromage\nnot From me\n",
    "INBOX/Sent/1.eml": b"Subject: no sender, no end of line\n\nFrom the start\nthe last line",
    "INBOX/3.eml": b"Date: nonsense\nSubject: x\n\nFrom ",
    "mail.mbox/1.eml": b"Subject: only a header\n",
}
both = pytest.mark.parametrize("format", ["mail", "mail-directory"])


class Fake:
    """Bytes that the reader of mbox files reads."""

    def __init__(self, data: bytes) -> None:
        self.data, self.size = data, len(data)

    def stream(self, start: int = 0, end: int | None = None) -> Any:
        """Yield the bytes in steps of 7."""
        return (self.data[at : at + 7] for at in range(start, len(self.data) if end is None else end, 7))

    def read(self, start: int, end: int) -> bytes:
        """Return bytes."""
        return self.data[start:end]


def test_the_time_of_a_separator_stays(staging: Any, exports: DirectoryStore) -> None:
    """A message of an mbox file keeps the time of the line before it, though its header's date is another."""
    staging.stage({"box/1.eml": DATED, "box/2.eml": DATED})
    for row, line in zip(staging.rows, ("From a@b Wed Jan  3 10:00:00 2024", "From here"), strict=True):
        row["metadata"] = json.dumps({"separator": line})
    built = build(staging, exports, "mail-directory")
    lines = [line for line in contents(exports, built.key)["MAIL/box.mbox"].split(b"\n") if line.startswith(b"From ")]
    assert lines == [b"From ann@example.com Wed Jan  3 10:00:00 2024", b"From ann@example.com Sun Dec 31 22:30:00 2023"]


@pytest.fixture
def filled(staging: Any) -> Any:
    """Return a staging store with messages, stored and compressed, and items that are none."""
    staging.stage(dict([*BODIES.items()][:3]))
    staging.stage({**dict([*BODIES.items()][3:]), "notes.txt": b"Dear all: hello\n", "empty": b""}, deflate=True)
    staging.rows[0]["custodian"] = "Jordan Lee"
    staging.rows[0]["metadata"] = json.dumps({"received": "2024-02-03T04:05:06+01:00"})
    staging.lose("INBOX/9.eml", "timeout")
    return staging


def build(staging: Any, exports: DirectoryStore, format: Any, key: str = "", **how: Any) -> Built:
    """Check and build a package; `how` are options of mail, or of the builder."""
    asked = {name: how.pop(name) for name in ("owner", "replace") if name in how}
    spec = staging.spec(mail=MailSet(**how))
    checked = check_items(staging.manifest, staging.store, spec)
    known = PACKAGE_FORMATS[format]
    key = key or f"out{known.facts.suffix}"
    return known.build(staging.input(checked, spec), PackagePlace(exports, key, **asked))


def contents(exports: DirectoryStore, key: str) -> dict[str, bytes]:
    """Return the files of the package by their names below its base folder."""
    path = Path(exports.locate(key))
    if path.is_file():
        with zipfile.ZipFile(path) as archive:
            return {name.removeprefix("docs/"): archive.read(name) for name in archive.namelist()}
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def index(files: dict[str, bytes]) -> list[dict[str, str]]:
    """Return the rows of INDEX.csv, as they were before cells were made safe."""
    rows = csv.DictReader(io.StringIO(files["INDEX.csv"].decode("utf-8-sig"), newline=""))
    return [{name: csv_text(value) for name, value in row.items()} for row in rows]


@both
def test_every_message_is_in_an_mbox_file(filled: Any, exports: DirectoryStore, tmp_path: Path, format: str) -> None:
    """Python's mailbox and our own reader find the messages; un-quoted at the index's place, each is the item."""
    built = build(filled, exports, format)
    files = contents(exports, built.key)
    assert {name for name in files if name.startswith("MAIL/")} == {
        "MAIL/INBOX.mbox", "MAIL/INBOX/Sent.mbox", "MAIL/mail.mbox",
    }  # fmt: skip
    rows = index(files)
    assert [row["Item ID"] for row in rows] == [f"id-{n:05d}" for n in range(5)]
    for row, data in zip(rows, BODIES.values(), strict=True):
        start, length = int(row["Offset"]), int(row["Length"])
        item = re.sub(rb"(?m)^>(>*From )", rb"\1", files[row["File"]][start : start + length])
        assert item == data
        assert row["SHA256"] == hashlib.sha256(data).hexdigest()
    assert {name: rows[0][name] for name in ("Custodian", "Folder", "Date", "From", "To", "Subject", "Message-ID")} == {
        "Custodian": "Jordan Lee", "Folder": "INBOX", "Date": "2024-01-01T00:30:00+02:00",
        "From": "Ann <ann@example.com>", "To": "bob@example.com; eve@example.com", "Subject": "=HYPERLINK",
        "Message-ID": "<1@example.com>",
    }  # fmt: skip
    assert b'"\'=HYPERLINK"' in files["INDEX.csv"], "no cell of a list for people is a formula"
    assert [json.loads(line) for line in files["metadata.jsonl"].splitlines()] == [
        {"path": "MAIL/INBOX.mbox", "item_id": "id-00000", "metadata": {"received": "2024-02-03T04:05:06+01:00"}}
    ]
    listed = pq.read_table(io.BytesIO(files["items.parquet"])).to_pylist()
    assert [row["source_modified"] for row in listed[:5]] == [row["source_modified"] for row in filled.rows[:5]]
    inbox = files["MAIL/INBOX.mbox"]
    lines = [line for line in inbox.split(b"\n") if line.startswith(b"From ")]
    assert lines == [
        b"From ann@example.com Sat Feb  3 03:05:06 2024",
        b"From ann@example.com Sun Dec 31 22:30:00 2023",
        b"From MAILER-DAEMON Mon May  6 07:08:10 2024",
    ], "as the source states it, by the message's date, and by the item's"
    (tmp_path / "INBOX").write_bytes(inbox)
    read = mailbox.mbox(tmp_path / "INBOX", create=False)
    try:
        found = [re.sub(rb"(?m)^>(>*From )", rb"\1", read.get_bytes(key)) for key in read.keys()]  # noqa: SIM118
        last = BODIES["INBOX/3.eml"] + b"\n"  # a message without an end of line gets one
        assert found == [BODIES["INBOX/1 Hi.eml"], BODIES["INBOX/2.eml"], last]
    finally:
        read.close()
    ours = [inbox[one.start : one.end] for one in messages(Fake(inbox))]
    assert [re.sub(rb"(?m)^>(>*From )", rb"\1", one) for one in ours[:2]] == [*BODIES.values()][:2]
    assert len(ours) == 3
    assert not any(one.doubts for one in messages(Fake(inbox)))


@both
def test_items_that_are_no_messages_are_exceptions(filled: Any, exports: DirectoryStore, format: str) -> None:
    """They fail as items with a code of their own, as does what was not collected; verify counts both ways."""
    built = build(filled, exports, format, messages="eml")
    files = contents(exports, built.key)
    assert {number: failure.code for number, failure in built.failed.items()} == dict.fromkeys((5, 6), "not_a_message")
    lost = list(csv.DictReader(io.StringIO(files["EXCEPTIONS.csv"].decode("utf-8-sig"), newline="")))
    assert [(row["Original Path"], row["Exception Code"]) for row in lost] == [
        ("notes.txt", "not_a_message"), ("empty", "not_a_message"), ("INBOX/9.eml", "timeout"),
    ]  # fmt: skip
    rows = index(files)
    assert {row["File"]: files[row["File"]] for row in rows} == {
        f"MAIL/{folder}/{number + 1:08d}.eml": data
        for number, (folder, data) in enumerate(
            zip(("INBOX", "INBOX", "INBOX/Sent", "INBOX", "mail"), BODIES.values(), strict=True)
        )
    }
    checked = verify(exports.locate(built.key))
    assert (checked.problems, checked.items, checked.not_delivered) == ([], 5, 3)
    assert (checked.bytes, checked.fingerprint) == (sum(map(len, BODIES.values())), built.fingerprint)
    said = json.loads(files["mail.json"])
    assert (said["messages"], said["found"], said["delivered"], said["exceptions"]) == ("eml", 8, 5, 3)


def test_mbox_files_are_no_larger_than_asked(filled: Any, exports: DirectoryStore) -> None:
    """A file ends before it gets larger, quoting counted; a larger message has one of its own; ZIP and folder agree."""
    most = 2 * len(BODIES["INBOX/1 Hi.eml"]) + 200
    built = build(filled, exports, "mail", mbox_of="all", volume_bytes=most)
    files = contents(exports, built.key)
    boxes = {name: len(data) for name, data in files.items() if name.startswith("MAIL/")}
    assert [*boxes] == [f"MAIL/messages{n}.mbox" for n in ("", ".002", ".003")[: len(boxes)]]
    assert len(boxes) > 1
    assert all(size <= most for size in boxes.values())
    assert verify(exports.locate(built.key)).problems == []
    tiny = contents(exports, build(filled, exports, "mail-directory", mbox_of="all", volume_bytes=1).key)
    assert sum(name.startswith("MAIL/") for name in tiny) == len(BODIES)
    assert verify(exports.locate("out")).valid
    again = build(filled, exports, "mail", "again.zip", mbox_of="all", volume_bytes=most)
    assert Path(exports.locate(again.key)).read_bytes() == Path(exports.locate(built.key)).read_bytes()
    folder = build(filled, exports, "mail-directory", "again", mbox_of="all", volume_bytes=most)
    assert contents(exports, folder.key) == files
    assert folder.fingerprint == built.fingerprint


@both
def test_what_was_changed_is_found(filled: Any, exports: DirectoryStore, tmp_path: Path, format: str) -> None:
    """Also with right hashes: a message that is not the item, one that no list has, an index that says other places."""
    built = build(filled, exports, format)
    files = contents(exports, built.key)

    def forged(name: str, old: bytes, new: bytes, *, everywhere: bool = True) -> list[str]:
        """Return the problems of a package in which a file was changed, and the manifest with it."""
        folder = tmp_path / f"forged{len(list(tmp_path.iterdir()))}"
        changed = files[name].replace(old, new, -1 if everywhere else 1)
        assert changed != files[name]
        for other, data in {**files, name: changed}.items():
            if other == "manifest-sha256.txt":
                before, after = (hashlib.sha256(one).hexdigest().encode() for one in (files[name], changed))
                data = data.replace(before, after)
            (folder / other).parent.mkdir(parents=True, exist_ok=True)
            (folder / other).write_bytes(data)
        return [f"{problem.path}: {problem.what}" for problem in verify(folder).problems]

    box = "MAIL/INBOX.mbox"
    assert forged(box, b"Hello", b"Hallo") == [f"{box}: message 1, unquoted, is not the item that was collected"]
    assert "not quoted" in " ".join(forged(box, b"\n>From here", b"\nFrom here "))
    assert "is not where the list" in " ".join(forged(box, b"Sat Feb", b"Sat_Feb"))
    more = b"\nFrom x Sat Feb  3 03:05:06 2024\nSubject: hidden\n\n"
    assert "more than the messages" in " ".join(forged("MAIL/mail.mbox", b"header\n\n", b"header\n\n" + more))
    assert forged("INDEX.csv", b"id-00003", b"id-00009")[0].startswith("INDEX.csv: row 4 is not the message")
    assert forged("EXCEPTIONS.csv", b"timeout", b"timeouts")[0].startswith("EXCEPTIONS.csv: row 3 is not the exception")
    assert "but there are" in " ".join(forged("mail.json", b'"delivered": 5', b'"delivered": 6'))


@both
def test_a_retry_after_repair_replaces_the_package(
    filled: Any, exports: DirectoryStore, damage: Any, format: str
) -> None:
    """A damaged message is an exception; after the repair the same export delivers it, and nothing old is left."""
    row = filled.rows[1]
    segment = Path(filled.store.locate(f"{filled.spec().job_id}/{row['segment']}"))
    whole = segment.read_bytes()
    damage(row["segment"], row["offset"], b"X")
    first = build(filled, exports, format, owner=Owner("job", frozenset()), volume_bytes=700)
    assert verify(exports.locate(first.key)).not_delivered == 4
    segment.write_bytes(whole)
    owner = Owner("job", frozenset({first.fingerprint}))
    second = build(filled, exports, format, owner=owner, replace=True, volume_bytes=300)
    checked = verify(exports.locate(second.key))
    assert (checked.problems, checked.items, checked.not_delivered) == ([], 5, 3)
    owner = Owner("job", frozenset({second.fingerprint}))
    kept = build(filled, exports, format, owner=owner, replace=True, volume_bytes=300)
    assert kept.fingerprint == second.fingerprint


@both
def test_the_list_of_items_may_have_another_order(filled: Any, exports: DirectoryStore, format: str) -> None:
    """Messages lie in an mbox file as in the segments, and are listed as in the manifest; verify compares both."""
    filled.rows.reverse()
    built = build(filled, exports, format)
    rows = index(contents(exports, built.key))
    assert [row["Item ID"] for row in rows] == [f"id-{n:05d}" for n in reversed(range(5))]
    assert int(rows[-1]["Offset"]) < int(rows[-2]["Offset"])
    assert verify(exports.locate(built.key)).problems == []


def test_the_example_of_the_page_proves_a_package(
    filled: Any, exports: DirectoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The example of docs/mail.md undoes the quoting of every message, and finds one that was changed."""
    [example] = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "mail.md").read_text(encoding="utf-8"), re.DOTALL)
    built = build(filled, exports, "mail-directory")
    monkeypatch.chdir(exports.locate(built.key))
    exec(example, {})
    box = Path("MAIL/INBOX.mbox")
    box.write_bytes(box.read_bytes().replace(b"Hello", b"Hallo"))
    with pytest.raises(AssertionError):
        exec(example, {})


@both
def test_a_message_that_is_there_twice_is_delivered_once(tmp_path: Path, format: Any) -> None:
    """The other is an exception that names it, and verify accepts that; what is no message is none in any copy."""
    things = {"a/1.eml": DATED + b"x", "b/1.eml": DATED + b"x", "c.txt": b"no mail", "d.txt": b"no mail"}
    source = MemorySource({name: Thing("good", data) for name, data in things.items()})
    collection = new_job(DirectoryStore(tmp_path / "staging"), source)
    attempt(collection, source)
    _, result = export(collection, DirectoryStore(tmp_path / "out"), format, deduplicate="global")
    checked = verify(tmp_path / "out" / ("test.zip" if format == "mail" else "test"))
    assert (checked.problems, checked.items, checked.not_delivered) == ([], 1, 3)
    assert (result.counts.succeeded, result.counts.failed, result.counts.skipped) == (1, 2, 1)


def test_quoting_is_undone_whatever_the_chunks_are() -> None:
    """mboxrd's quoting, in chunks of any size, is what its rule says, and is undone exactly."""
    odd = [b"", b">", b"From ", b">>>From x", b"\n>>From", b"From From \nFrom \n>F\nFro", b">From \r\n>>"]
    texts = [*BODIES.values(), *odd]
    for text in texts:
        expected = re.sub(rb"(?m)^(>*From )", rb">\1", text)
        for size in (1, 2, 3, 5, 1000):
            chunks = [text[at : at + size] for at in range(0, len(text), size)]
            made = b"".join(b">" if piece is None else piece for piece in quoted(chunks))
            assert made == expected
            chunks = [made[at : at + size] for at in range(0, len(made), size)]
            assert b"".join(unquoted(chunks)) == text


def test_odd_folders_become_names_that_can_be_listed(staging: Any, exports: DirectoryStore) -> None:
    """Folders that end as mbox files do, differ in case, or have line breaks have files of their own or share one."""
    names = [
        "a\nb/1",
        "A.mbox/1",
        "a/1",
        "A/2",
        "a.002/1",
        ".mbox/1",
        "top.eml",
        "x.eml/00000001.eml",
        "é" * 127 + "/1",
    ]
    staging.stage({name: DATED + name.encode() for name in names})
    for format in ("mail", "mail-directory"):
        for messages_as in ("mbox", "eml"):
            built = build(staging, exports, format, f"{format}-{messages_as}", messages=messages_as)
            assert verify(exports.locate(built.key)).problems == []
            assert built.items == len(names)
    table: Any = pq.read_table(io.BytesIO(contents(exports, "mail-mbox")["items.parquet"])).to_pydict()
    assert table["path"] == [
        "MAIL/a_b.mbox", "MAIL/A.mbox", "MAIL/A.mbox", "MAIL/A.mbox", "MAIL/a.002.mbox", "MAIL/_.mbox",
        "MAIL/messages.mbox", "MAIL/x.mbox", table["path"][-1],
    ]  # fmt: skip
    assert len(table["path"][-1].encode()) < 255


def test_what_lists_say_of_origins_is_compared(filled: Any, exports: DirectoryStore, tmp_path: Path) -> None:
    """Custodians, folders, paths, sizes and reasons of both lists are those of items.parquet, if that states them."""
    filled.lost[0] |= {"custodian": "Kim", "source_size": 77}
    files = contents(exports, build(filled, exports, "mail-directory").key)

    def problems(files: dict[str, bytes], **changed: tuple[bytes, bytes]) -> str:
        """Return what verify says of a package in which lists were changed, with right hashes."""
        forged = dict(files)
        for name, (old, new) in changed.items():
            assert old in forged[f"{name}.csv"]
            forged[f"{name}.csv"] = forged[f"{name}.csv"].replace(old, new, 1)
        names = [line.split("  ", 1)[1] for line in forged["manifest-sha256.txt"].decode().splitlines()]
        forged["manifest-sha256.txt"] = b"".join(
            f"{hashlib.sha256(forged[name]).hexdigest()}  {name}\n".encode() for name in names
        )
        folder = tmp_path / f"forged{len(list(tmp_path.iterdir()))}"
        for name, data in forged.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        return "\n".join(map(str, verify(folder).problems))

    assert problems(files) == ""
    index = "INDEX.csv: row {} has another {!r} than the list of items states"
    assert problems(files, INDEX=(b"Jordan Lee", b"Jordan Doe")) == index.format(1, "Custodian")
    assert problems(files, INDEX=(b'"INBOX/Sent"', b'"INBOX"')) == index.format(3, "Folder")
    row = "EXCEPTIONS.csv: row 3 has another {!r} than items.parquet states"
    for name, old, new in (
        ("Custodian", b'"Kim"', b'""'),
        ("File Name", b'"9.eml"', b'"8.eml"'),
        ("Original Path", b'"INBOX/9.eml"', b'"9.eml"'),
        ("File Size", b'"77"', b'"7"'),
        ("Reason", b"Gone", b"Lost"),
    ):
        assert problems(files, EXCEPTIONS=(old, new)) == row.format(name)
    table = pq.read_table(io.BytesIO(files["items.parquet"])).drop_columns(["custodian"])
    pq.write_table(table, tmp_path / "earlier")
    earlier = files | {"items.parquet": (tmp_path / "earlier").read_bytes()}
    assert problems(earlier, INDEX=(b"Jordan Lee", b"x"), EXCEPTIONS=(b'"Kim"', b'"x"')) == ""
