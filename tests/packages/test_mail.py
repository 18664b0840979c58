"""Mail sets: what other programs read in them, and that every message is there byte for byte."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import mailbox
import re
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from prefect_collect.connectors.mbox.splitting import messages
from prefect_collect.packages import Owner, verify
from prefect_collect.packages.mail.quoting import quoted, unquoted
from prefect_collect.stores import DirectoryStore
from tests.packages.mail_packages import BODIES, DATED, both, build, contents, index
from tests.support.memory_source import MemorySource, Thing
from tests.support.package_modules import ROOT
from tests.support.run_attempts import attempt, export, new_job


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


@both
def test_every_message_is_in_an_mbox_file(
    filled_mail: Any, exports: DirectoryStore, tmp_path: Path, format: str
) -> None:
    """Python's mailbox and our own reader find the messages; un-quoted at the index's place, each is the item."""
    built = build(filled_mail, exports, format)
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
    assert [row["source_modified"] for row in listed[:5]] == [row["source_modified"] for row in filled_mail.rows[:5]]
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
def test_items_that_are_no_messages_are_exceptions(filled_mail: Any, exports: DirectoryStore, format: str) -> None:
    """They fail as items with a code of their own, as does what was not collected; verify counts both ways."""
    built = build(filled_mail, exports, format, messages="eml")
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


def test_mbox_files_are_no_larger_than_asked(filled_mail: Any, exports: DirectoryStore) -> None:
    """A file ends before it gets larger, quoting counted; a larger message has one of its own; ZIP and folder agree."""
    most = 2 * len(BODIES["INBOX/1 Hi.eml"]) + 200
    built = build(filled_mail, exports, "mail", mbox_of="all", volume_bytes=most)
    files = contents(exports, built.key)
    boxes = {name: len(data) for name, data in files.items() if name.startswith("MAIL/")}
    assert [*boxes] == [f"MAIL/messages{n}.mbox" for n in ("", ".002", ".003")[: len(boxes)]]
    assert len(boxes) > 1
    assert all(size <= most for size in boxes.values())
    assert verify(exports.locate(built.key)).problems == []
    tiny = contents(exports, build(filled_mail, exports, "mail-directory", mbox_of="all", volume_bytes=1).key)
    assert sum(name.startswith("MAIL/") for name in tiny) == len(BODIES)
    assert verify(exports.locate("out")).valid
    again = build(filled_mail, exports, "mail", "again.zip", mbox_of="all", volume_bytes=most)
    assert Path(exports.locate(again.key)).read_bytes() == Path(exports.locate(built.key)).read_bytes()
    folder = build(filled_mail, exports, "mail-directory", "again", mbox_of="all", volume_bytes=most)
    assert contents(exports, folder.key) == files
    assert folder.fingerprint == built.fingerprint


@both
def test_a_retry_after_repair_replaces_the_package(
    filled_mail: Any, exports: DirectoryStore, damage: Any, format: str
) -> None:
    """A damaged message is an exception; after the repair the same export delivers it, and nothing old is left."""
    row = filled_mail.rows[1]
    segment = Path(filled_mail.store.locate(f"{filled_mail.spec().job_id}/{row['segment']}"))
    whole = segment.read_bytes()
    damage(row["segment"], row["offset"], b"X")
    first = build(filled_mail, exports, format, owner=Owner("job", frozenset()), volume_bytes=700)
    assert verify(exports.locate(first.key)).not_delivered == 4
    segment.write_bytes(whole)
    owner = Owner("job", frozenset({first.fingerprint}))
    second = build(filled_mail, exports, format, owner=owner, replace=True, volume_bytes=300)
    checked = verify(exports.locate(second.key))
    assert (checked.problems, checked.items, checked.not_delivered) == ([], 5, 3)
    owner = Owner("job", frozenset({second.fingerprint}))
    kept = build(filled_mail, exports, format, owner=owner, replace=True, volume_bytes=300)
    assert kept.fingerprint == second.fingerprint


@both
def test_the_list_of_items_may_have_another_order(filled_mail: Any, exports: DirectoryStore, format: str) -> None:
    """Messages lie in an mbox file as in the segments, and are listed as in the manifest; verify compares both."""
    filled_mail.rows.reverse()
    built = build(filled_mail, exports, format)
    rows = index(contents(exports, built.key))
    assert [row["Item ID"] for row in rows] == [f"id-{n:05d}" for n in reversed(range(5))]
    assert int(rows[-1]["Offset"]) < int(rows[-2]["Offset"])
    assert verify(exports.locate(built.key)).problems == []


def test_the_example_of_the_page_proves_a_package(
    filled_mail: Any, exports: DirectoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The example of docs/mail.md undoes the quoting of every message, and finds one that was changed."""
    [example] = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "mail.md").read_text(encoding="utf-8"), re.DOTALL)
    built = build(filled_mail, exports, "mail-directory")
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
