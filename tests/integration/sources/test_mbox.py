"""mbox files as a source: of a folder, a single file and a bucket, without Prefect and by the flow."""

from __future__ import annotations

import hashlib
import json
import zipfile
from dataclasses import replace
from email.header import Header
from email.message import EmailMessage
from pathlib import Path
from urllib.parse import quote

import pytest

from prefect_collect import collect, export, jobs
from prefect_collect.blocks import FileSource, MboxSource, source_from
from prefect_collect.collecting import shard
from prefect_collect.errors import InvalidLocation, SourceError
from prefect_collect.packages import verify
from prefect_collect.sources import Item, ListingEnd
from prefect_collect.sources.listing import items_of, proven
from prefect_collect.sources.query import Query
from prefect_collect.statuses import JobStatus
from prefect_collect.stores import DirectoryStore
from prefect_collect.verification import verify_job
from tests.integration.connectors.s3_sources import source_at
from tests.integration.faults import FaultProxy
from tests.integration.prefect_server import PrefectServer
from tests.integration.servers import S3Server
from tests.integration.sources.places import LARGE, NAMES, STREAMED, by_path, patterned, read
from tests.support.mbox_bytes import mail, mbox, separator
from tests.support.memory_store import MemoryStore
from tests.support.run_attempts import attempt, check_account, held, new_incremental_job, new_job, unsuccessful

pytestmark = pytest.mark.integration


def described() -> bytes:
    """Return a message with all that becomes metadata."""
    message = EmailMessage()
    message["From"], message["To"] = "Jörg Ö <joerg@x.example>", "bob@y.example, carol@y.example"
    message["Subject"] = "Re: ../über den /Bericht"
    message["Date"], message["Message-ID"] = "Tue, 6 Jan 2026 23:30:00 -0500", "<odd@x.example>"
    message["X-Gmail-Labels"] = "Inbox,Important"
    message.set_content("text\n")
    message.add_attachment(b"%PDF-1", maintype="application", subtype="pdf", filename="größe ✓.pdf")
    message.add_attachment(b"x", maintype="text", subtype="csv", filename="plain.csv")
    message.set_boundary("=parts=")
    return message.as_bytes()


def test_a_folder_of_mbox_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All messages are collected byte for byte with their metadata; a file that is none is collected as it is, and
    what is not sure is reported. The listing says what it read.
    """
    monkeypatch.setattr(shard, "LARGE_ITEM", STREAMED)
    root = tmp_path / "mail"
    (root / "sub").mkdir(parents=True)
    small = [mail(number) for number in range(2_100)]
    large = mail(7, patterned(LARGE) + b"\n")
    (root / "in!box.mbox").write_bytes(mbox(described(), large, *small))
    (root / "sub/sent").write_bytes(mbox(mail(1, b"\nFrom nobody in particular\nSubject: x\n\n")))
    (root / "note.txt").write_bytes(b"no mail")
    (root / "empty").write_bytes(b"")
    source = MboxSource(inside=str(root))
    job = new_job(MemoryStore(), source)
    result = attempt(job, source, workers=2)
    check_account(job)
    assert (result.status, result.counts.succeeded) == (JobStatus.SUCCESSFULLY_COMPLETED, len(small) + 5)
    rows = {row["path"]: row for row in held(job).values()}
    assert rows["in!box.mbox/2 message 7.eml"]["sha256"] == hashlib.sha256(large).digest()
    assert {hashlib.sha256(data).digest() for data in small} <= {row["sha256"] for row in rows.values()}
    assert rows["note.txt"]["size"] == 7
    row = rows["in!box.mbox/1 Re_ .._über den _Bericht.eml"]
    assert row["sha256"] == hashlib.sha256(described()).digest()
    assert row["item_id"].startswith("in%21box.mbox!")
    assert json.loads(row["metadata"]) == {
        "attachments": ["größe ✓.pdf", "plain.csv"],
        "date": "2026-01-06T23:30:00-05:00",
        "from": ["Jörg Ö <joerg@x.example>"],
        "labels": ["Inbox", "Important"],
        "message_id": "<odd@x.example>",
        "separator": separator().decode().strip(),
        "subject": "Re: ../über den /Bericht",
        "to": ["bob@y.example", "carol@y.example"],
    }
    reported = {row["path"]: row["error_code"] for row in unsuccessful(job).values()}
    assert reported == {"sub/sent/1 message 1.eml": "unsure_split", "note.txt": "unsure_split"}
    assert "4 files were read to the last of" in str([*proven(source)][-1])
    assert not verify_job(job).problems


def test_a_single_file(tmp_path: Path) -> None:
    """The paths of a single file's messages are below the file, as those of a folder are below the folder."""
    (tmp_path / "a.mbox").write_bytes(mbox(mail(1), mail(2)))
    source = MboxSource(inside=str(tmp_path / "a.mbox"))
    assert list(by_path(source)) == ["1 message 1.eml", "2 message 2.eml"]
    assert source.location() == f"mbox:{tmp_path}/a.mbox"


def test_the_query(tmp_path: Path) -> None:
    """Files of which the query takes nothing are not read; messages are chosen by path, date and size."""
    (tmp_path / "a").write_bytes(mbox(mail(1), mail(2, b"x" * 5_000 + b"\n")))
    (tmp_path / "b").write_bytes(mbox(mail(1)))
    (tmp_path / "b").chmod(0)
    source = MboxSource(inside=str(tmp_path))

    def found(**query: object) -> list[str]:
        chosen = Query(**query)  # type: ignore[arg-type]
        return [each.path for each in chosen.select(proven(source, chosen)) if isinstance(each, Item)]

    assert found(include=("a/**",), min_size=5_000) == ["a/2 message 2.eml"]
    assert found(include=("a/**",), modified_before="2026-01-05T10:00:00Z") == []
    assert len(found(include=("a/**",), modified_after="2026-01-05T10:00:00Z")) == 2


def test_the_query_of_a_single_file(tmp_path: Path) -> None:
    """Messages of a single file are chosen by their own paths, which have no folder; if it cannot be read, that is said
    whatever they are.
    """
    file = tmp_path / "a.mbox"
    file.write_bytes(mbox(mail(1), mail(2)))
    source, chosen = MboxSource(inside=str(file)), Query(include=("/1 *",))
    assert [item.path for item in chosen.select(proven(source, chosen)) if isinstance(item, Item)] == [
        "1 message 1.eml"
    ]
    file.write_bytes(mbox(*(mail(number, b"x" * 100_000 + b"\n") for number in range(40))))
    listing = (item for item in chosen.select(proven(source, chosen)) if isinstance(item, Item))
    next(listing)
    file.write_bytes(mbox(mail(1)))
    [failed] = listing
    assert failed.failure is not None
    assert (failed.path, failed.failure.code) == ("a.mbox/", "changed_during_read")


def test_a_file_that_grows_or_is_changed(tmp_path: Path) -> None:
    """A file that mail was appended to after the listing is read as listed; one that was rewritten is
    `changed_during_read`, and a retry finds that its messages are at other places.
    """
    file = tmp_path / "a"
    file.write_bytes(mbox(mail(1), mail(2)))
    source = MboxSource(inside=str(tmp_path))
    items = [*items_of(source)]
    file.write_bytes(mbox(mail(1), mail(2), mail(3)))
    assert [read(source, item) for item in items] == [mail(1), mail(2)]
    file.write_bytes(mbox(mail(8), mail(9)))
    with pytest.raises(SourceError) as caught:
        read(source, items[0])
    assert caught.value.code == "changed_during_read"
    file.write_bytes(mbox(mail(1, b"longer than before\n"), mail(2)))
    with pytest.raises(SourceError) as caught:
        read(source, items[1])
    assert caught.value.code == "not_found"
    assert [[*source.relist(item)] for item in items] == [[], []]
    file.write_bytes(mbox(mail(1), mail(2)))
    assert [*source.relist(items[1])] == [replace(items[1], size=None, modified=None, etag=None)]
    file.unlink()
    assert [*source.relist(items[1])] == []


def test_only_what_is_new(tmp_path: Path) -> None:
    """An incremental job reads messages that were appended; of a file that was rewritten, all again."""
    (tmp_path / "mail").mkdir()
    file = tmp_path / "mail/a"
    source, store = MboxSource(inside=str(tmp_path / "mail")), MemoryStore()

    def collected() -> tuple[int, int]:
        job = new_incremental_job(store, source)
        counts = attempt(job, source).counts
        check_account(job)
        return counts.succeeded, counts.skipped

    file.write_bytes(mbox(mail(1), mail(2)))
    assert collected() == (2, 0)
    file.write_bytes(mbox(mail(1), mail(2), mail(3)))
    assert collected() == (1, 2)
    file.write_bytes(mbox(mail(2), mail(3)))
    assert collected() == (2, 0)  # the second message lies where the first did, and the third where the second did


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """A file that is changed while it is listed fails as a folder does; the others are listed, and a retry looks again
    into it.
    """
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(mbox(*(mail(number, b"x" * 100_000 + b"\n") for number in range(40))))

    source = MboxSource(inside=str(tmp_path))
    listing = source.items()
    first = [next(listing)]
    (tmp_path / "a").write_bytes(mbox(mail(1)))
    *rest, end = listing
    assert isinstance(end, ListingEnd)
    failed = [item for item in rest if isinstance(item, Item) and item.failure is not None]
    assert [(item.id, item.path, item.failure.code) for item in failed if item.failure] == [
        ("a!/", "a/", "changed_during_read")
    ]
    assert sum(isinstance(item, Item) and item.path.startswith("b/") for item in [*first, *rest]) == 40
    *again, end = source.relist(failed[0])
    assert isinstance(end, ListingEnd)
    assert [(item.path, item.expands) for item in again if isinstance(item, Item)] == [("a/1 message 1.eml", "a!/")]


def test_a_bucket(moto: S3Server) -> None:
    """mbox files in a bucket are read by ranges; a connection that breaks while a file is split is taken up again."""
    bucket = moto.new_bucket()
    mails = [mail(1), mail(2, patterned(3_000_000) + b"\n"), *(mail(number) for number in range(3, 50))]
    moto.client().put_object(Bucket=bucket, Key="x/a.mbox", Body=mbox(*mails))
    with FaultProxy(moto.url) as proxy:
        source = MboxSource(inside=source_at(moto.at(proxy.url), bucket, prefix="x/", name="place"))
        proxy.truncate_next(path="a.mbox")
        items = [*items_of(source)]
        assert items[1].path == "a.mbox/2 message 2.eml"
        assert source.place(items[1]) == f"mbox:s3://{bucket}/x/a.mbox/2 message 2.eml"
        job = new_job(MemoryStore(), source)
        assert attempt(job, source).status is JobStatus.SUCCESSFULLY_COMPLETED
    assert sorted(row["sha256"] for row in held(job).values()) == sorted(
        hashlib.sha256(data).digest() for data in mails
    )
    moto.client().put_object(Bucket=bucket, Key="x/a.mbox", Body=mbox(*mails[1:]))
    with pytest.raises(SourceError):
        read(source_again := MboxSource(inside=source_at(moto, bucket, prefix="x/")), items[1])
    assert [*source_again.relist(items[1])] == []


def test_a_store_among_the_files(tmp_path: Path) -> None:
    """A staging store in the folder is refused: its segments would be looked into."""
    source = MboxSource(inside=FileSource(root=tmp_path))
    with pytest.raises(InvalidLocation, match="use a store outside"):
        source.overlap(DirectoryStore(tmp_path / "store"))
    assert source.overlap(DirectoryStore(tmp_path.parent / "elsewhere")) is None


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with an mbox file."""
    (tmp_path / "mail").mkdir()
    (tmp_path / "mail/a.mbox").write_bytes(mbox(mail(1), mail(2, b"x" * 5_000 + b"\n")))
    return tmp_path / "mail"


def test_through_prefect(prefect_server: PrefectServer, folder: Path, tmp_path: Path) -> None:
    """The flow collects an mbox file, and the package has the messages and their metadata."""
    store = str(tmp_path / "store")
    with prefect_server.used():
        state = collect(source=source_from(f"mbox:{folder}"), query={"min_size": 4_000}, store=store, return_state=True)
        assert state.name == "Successfully completed", state.message
        job = jobs.get(str(state.state_details.flow_run_id))
        assert job.result is not None
        (row,) = job.result.successful.to_arrow().to_pylist()
        assert json.loads(row["metadata"])["message_id"] == "<2@x.example>"
        state = export(job.id, str(tmp_path / "out"), store=store, return_state=True)
        assert state.name == "Successfully completed", state.message
        (package,) = (tmp_path / "out").iterdir()
        assert verify(package).valid
        with zipfile.ZipFile(package) as archive:
            names = archive.namelist()
            (name,) = (name for name in names if name.endswith("2 message 2.eml"))
            assert archive.read(name) == mail(2, b"x" * 5_000 + b"\n")
            assert any(name.endswith("/metadata.jsonl") for name in names)


def test_odd_names(tmp_path: Path) -> None:
    """Files and subjects whose names shells, URLs and spreadsheets dislike are collected, and messages are found again
    from their ids alone.
    """
    root = tmp_path / "mail"
    root.mkdir()
    mails = {name: mail(1, f"{name}\n".encode(), b"X-Name: " + quote(name).encode()) for name in NAMES}
    for name, data in mails.items():
        (root / name).write_bytes(mbox(data, data.replace(b"Subject: message 1", b"Subject: " + encoded(name))))
    source = MboxSource(inside=str(root))
    items = by_path(source)
    assert len({item.id for item in items.values()}) == len(items) == 2 * len(NAMES)
    for name, data in mails.items():
        assert read(source, Item(items[f"{name}/1 message 1.eml"].id, "")) == data
    job = new_job(MemoryStore(), source)
    assert attempt(job, source).status is JobStatus.SUCCESSFULLY_COMPLETED
    check_account(job)
    assert {row["original_path"] for row in held(job).values()} == items.keys()


def encoded(name: str) -> bytes:
    """Return a name as it stands in a header."""
    return Header(name, "utf-8", maxlinelen=10_000).encode(linesep="").encode()
