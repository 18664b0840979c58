"""Collections of mailboxes on a real Dovecot."""

from __future__ import annotations

import hashlib
import json
import re
import threading
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from email.message import EmailMessage
from mailbox import mbox as mailbox_of
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pytest

from prefect_collect import collect, export, jobs
from prefect_collect.blocks import DataSource, ImapSource
from prefect_collect.collecting.incremental import since_options
from prefect_collect.connectors.imap import listing
from prefect_collect.connectors.imap.batches import AT_ONCE
from prefect_collect.connectors.imap.session import Session
from prefect_collect.errors import SourceError
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.job_folder.ledger import read_inventory
from prefect_collect.job_folder.table_columns import LISTED
from prefect_collect.packages import verify
from prefect_collect.sources import SMALL_ITEM, Content, Item, Listed, ListingEnd
from prefect_collect.sources.listing import items_of, proven
from prefect_collect.sources.query import Query
from prefect_collect.statuses import JobStatus
from prefect_collect.stores import DirectoryStore
from prefect_collect.verification import verify_job
from tests.integration.mail_proxy import MailProxy, mail_proxy
from tests.integration.mail_server import PASSWORD, Mailbox
from tests.integration.prefect_server import PrefectServer
from tests.integration.sources.contract import BreakingContract, Fault, Place, collected
from tests.support.memory_store import MemoryStore
from tests.support.run_attempts import attempt, check_account, held, new_job, unsuccessful
from tests.support.run_attempts import export as mail_export

pytestmark = pytest.mark.integration

LARGE = SMALL_ITEM + 200_000
"""Bytes of a message that is read alone."""


def message(number: int, size: int = 100) -> bytes:
    """Return a message of about that size, unlike every other."""
    body = (f"{number:08d}" * 9 + "\r\n") * (size // 74 + 1)
    head = f"From: Ann <ann{number % 3}@x.example>\r\nSubject: message {number}\r\nMessage-ID: <{number}@x.example>\r\n"
    return f"{head}Date: Mon, 5 Jan 2026 10:00:00 +0100\r\n\r\n{body}".encode()


class AsListed:
    """A source whose listing is one of before."""

    def __init__(self, source: ImapSource, items: list[Item]) -> None:
        self._source, self._items = source, items

    def items(self) -> Iterator[Listed]:
        """Yield the items of before."""
        yield from self._items
        yield ListingEnd("as it was")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)


class ImapPlace(Place):
    """A mailbox before which faults are caused: an item is a message in INBOX."""

    def __init__(self, mailbox: Mailbox, proxy: MailProxy) -> None:
        self.mailbox, self.proxy = mailbox, proxy

    def source(self) -> DataSource:
        """Return the mailbox, with the password of now."""
        return self.mailbox.source(port=self.proxy.port)

    def put(self, name: str, data: bytes) -> None:
        """Deliver a message of about that size."""
        self.mailbox.deliver([message(len(name), len(data))])

    def put_many(self, count: int) -> None:
        """Deliver messages."""
        self.mailbox.deliver(message(number) for number in range(count))

    def remove(self, name: str) -> None:
        """Messages are not removed by name."""
        raise NotImplementedError

    @contextmanager
    def broken(self, fault: Fault) -> Iterator[None]:
        """Cause a fault between the client and the server, or change the password."""
        before = self.proxy.connections
        if fault in ("listing", "item"):
            self.proxy.cut_after = [20_000 if fault == "listing" else 100_000]
        elif fault == "hang":
            self.proxy.hangs_after = 60_000
        elif fault == "credentials":
            self.mailbox.set_password("another")
            self.proxy.cut_all()
        else:
            self.proxy.is_down = True
            self.proxy.cut_all()
        try:
            yield
            assert fault not in ("listing", "item") or self.proxy.connections > before + 1
            assert fault != "hang" or self.proxy.is_hanging.is_set()
        finally:
            self.proxy.is_down, self.proxy.hangs_after = False, None
            if fault == "credentials":
                self.mailbox.set_password(PASSWORD)
            self.proxy.cut_all()


class TestBreakingImap(BreakingContract):
    """Mailboxes keep the contract where connections break.

    The rest of the contract is about items that are named and changed by their users, which messages are not; the tests
    below hold what it means for mailboxes.
    """

    @pytest.fixture
    def place(self, mailbox: Mailbox, proxy: MailProxy) -> Place:
        """An empty mailbox."""
        return ImapPlace(mailbox, proxy)

    @pytest.mark.parametrize("size", [200_000, LARGE])
    def test_a_connection_that_breaks(self, place: Place, tmp_path: Path, size: int) -> None:
        """A message whose connection breaks within its bytes is tried again, and is whole."""
        place.put("item", bytes(size))
        with place.broken("item"):
            folder, status = collected(tmp_path, place.source())
        assert status is JobStatus.SUCCESSFULLY_COMPLETED
        (row,) = held(folder).values()
        assert row["sha256"] == hashlib.sha256(message(4, size)).digest()


@pytest.fixture
def proxy(mailbox: Mailbox) -> Iterator[MailProxy]:
    """A relay to Dovecot, from which clients get TLS."""
    with mail_proxy(mailbox.server.tls_port) as relay:
        yield relay


def test_a_whole_mailbox(mailbox: Mailbox) -> None:
    """All folders are collected byte for byte, the path of a message is made of folder, UID and subject, its metadata
    is in the manifest, nothing is marked as read, and the folder that only shows others is skipped.
    """
    odd = EmailMessage()
    odd["From"], odd["To"] = "Jörg Ö <joerg@x.example>", "bob@y.example, carol@y.example"
    odd["Subject"] = "Re: ../über den /Bericht"
    odd["Date"], odd["Message-ID"] = "Tue, 6 Jan 2026 23:30:00 -0500", "<odd@x.example>"
    odd.set_content("text\n")
    odd.add_attachment(b"%PDF-1", maintype="application", subtype="pdf", filename="größe ✓.pdf")
    small, large = [message(number) for number in range(2 * AT_ONCE + 5)], message(7, LARGE)
    mailbox.deliver([odd.as_bytes().replace(b"\n", b"\r\n"), large, *small])
    mailbox.deliver([message(1), message(2)], "Caf&AOk-/2024")
    mailbox.deliver([message(1)], "Everything")
    source = mailbox.source()
    job = new_job(MemoryStore(), source)
    result = attempt(job, source)
    check_account(job)
    assert (result.counts.succeeded, result.counts.skipped) == (len(small) + 4, 1)
    assert result.status is JobStatus.SUCCESSFULLY_COMPLETED
    rows = {row["path"]: row for row in held(job).values()}
    assert rows["INBOX/2 message 7.eml"]["sha256"] == hashlib.sha256(large).digest()
    assert {"Café/2024/1 message 1.eml", "Café/2024/2 message 2.eml"} <= rows.keys()
    hashes = {hashlib.sha256(data).digest() for data in small}
    assert hashes <= {row["sha256"] for row in rows.values()}
    (row,) = (row for row in rows.values() if row["path"].startswith("INBOX/1 "))
    assert row["path"] == "INBOX/1 Re_ .._über den _Bericht.eml"
    described = json.loads(row["metadata"])
    described.pop("received")
    assert described == {
        "attachments": ["größe ✓.pdf"],
        "date": "2026-01-06T23:30:00-05:00",
        "from": ["Jörg Ö <joerg@x.example>"],
        "message_id": "<odd@x.example>",
        "subject": "Re: ../über den /Bericht",
        "to": ["bob@y.example", "carol@y.example"],
    }
    (view,) = unsuccessful(job).values()
    assert (view["path"], view["error_code"]) == ("Everything/", "virtual_folder")
    assert not verify_job(job).problems
    with mailbox.client() as client:
        client.select("INBOX", readonly=True)
        assert client.search(None, "SEEN")[1] == [b""]


def test_folders(mailbox: Mailbox) -> None:
    """A folder is taken with what is below it; a special use names its folder; one that is not there is `not_found`."""
    for folder in ("", "Archive", "Archive/2024", "Archived", "Sent", "Everything"):
        mailbox.deliver([message(1)], folder)

    def found(folder: str) -> list[str]:
        return [item.path.rpartition("/")[0] for item in items_of(mailbox.source(folder))]

    assert found("Archive") == ["Archive", "Archive/2024"]
    assert found("Archive/2024/") == ["Archive/2024"]
    assert found("inbox") == ["INBOX"]
    assert found("%5CSent") == ["Sent"]
    assert found("\\All") == ["Everything"]
    with pytest.raises(SourceError, match=r"no folder Nothing; there are: Archive.*\[imaps://u") as caught:
        found("Nothing")
    assert caught.value.code == "not_found"


def test_many_messages(mailbox: Mailbox) -> None:
    """Messages of several shards and many FETCH commands are listed once, and collected."""
    count = 2_000 + 5 * AT_ONCE + 1
    mailbox.deliver(message(number) for number in range(count))
    source = mailbox.source()
    job = new_job(MemoryStore(), source)
    assert attempt(job, source, workers=2).counts.succeeded == count
    assert len({row["sha256"] for row in held(job).values()}) == count


def test_mail_is_exported_as_it_was(mailbox: Mailbox, tmp_path: Path) -> None:
    """Each folder becomes an mbox file with its messages, byte for byte and by when the server received them."""
    quoted = message(1) + b"From here\r\n>From there\r\n"
    mailbox.deliver([quoted, message(2)])
    mailbox.deliver([message(3)], "Archive/2024")
    source = mailbox.source("")
    job, out = new_job(MemoryStore(), source), DirectoryStore(tmp_path)
    attempt(job, source)
    _, result = mail_export(job, out, "mail-directory")
    assert result.status is JobStatus.SUCCESSFULLY_COMPLETED
    assert verify(tmp_path / "test").problems == []
    folder = tmp_path / "test" / "MAIL"
    assert {str(path.relative_to(folder)) for path in folder.rglob("*.mbox")} == {"INBOX.mbox", "Archive/2024.mbox"}
    box = mailbox_of(folder / "INBOX.mbox")
    read = [re.sub(rb"(?m)^>(>*From )", rb"\1", box.get_bytes(key)) for key in box.keys()]  # noqa: SIM118
    box.close()
    assert sorted(read) == sorted([quoted, message(2)])
    [row] = [row for row in held(job).values() if row["path"].startswith("Archive")]
    received = datetime.fromisoformat(json.loads(row["metadata"])["received"]).astimezone(UTC)
    first = (folder / "Archive" / "2024.mbox").read_bytes().partition(b"\n")[0]
    assert first == f"From ann0@x.example {received.ctime()}".encode()


def test_the_server_searches(mailbox: Mailbox) -> None:
    """The source's search keys and the query's dates, sizes and folders are the server's to find; what it gives is what
    the query takes, and the proof of the listing names the search.
    """
    mailbox.deliver([message(number) for number in range(9)])
    mailbox.deliver([message(1, 5_000)], "Archive")
    source = mailbox.source(search='FROM ann1@x.example NOT SUBJECT "message 4"')
    assert [item.path for item in items_of(source)][1:] == ["INBOX/2 message 1.eml", "INBOX/8 message 7.eml"]
    everything = mailbox.source()
    for query, count in (
        (Query(min_size=5_000), 1),
        (Query(max_size=1_000), 9),
        (Query(include=("Archive/**",)), 1),
        (Query(modified_before="2020-01-01"), 0),  # type: ignore[arg-type]
        (Query(modified_after="2020-01-01"), 10),  # type: ignore[arg-type]
    ):
        *listed, end = everything.items_for(query)
        assert isinstance(end, ListingEnd)
        assert (len(listed), end.items) == (count, count)
        assert [*query.select(proven(everything))][:-1] == listed
    assert "SEARCH found 1" in str([*everything.items_for(Query(min_size=5_000))][-1])
    assert "INBOX (UIDVALIDITY" in str([*everything.items()][-1])


def test_refused_searches(mailbox: Mailbox) -> None:
    """A search that the server does not understand ends the listing with the server's words."""
    mailbox.deliver([message(1)])
    with pytest.raises(SourceError, match=r"refuses \(BAD .*\[imaps://"):
        [*items_of(mailbox.source(search="NOSUCHKEY x"))]


def incremental(store: MemoryStore, source: object) -> JobFolder:
    """Return the folder of a new job that compares with those before it."""
    record = replace(new_job(MemoryStore(), source).record(), job_id="probe")  # type: ignore[arg-type]
    return new_job(store, source, options=since_options(store, record))  # type: ignore[arg-type]


def test_since(mailbox: Mailbox) -> None:
    """An incremental job reads new messages only: a message that an earlier job holds is known by folder, UIDVALIDITY
    and UID, whatever its flags are. A folder that was made anew, with a new UIDVALIDITY, is collected again.
    """
    mailbox.deliver([message(number) for number in range(5)], "Box")
    source, store = mailbox.source(), MemoryStore()
    attempt(new_job(store, source), source)
    with mailbox.client() as client:
        client.select("Box")
        client.store("1:3", "+FLAGS", r"(\Seen \Flagged)")
        client.append("Box", "", None, message(9))
    second = incremental(store, source)
    assert attempt(second, source).counts.skipped == 5
    assert next(iter(held(second))).endswith("UID=6")
    with mailbox.client() as client:
        client.delete("Box")
        client.create("Box")
        client.append("Box", "", None, message(9))
    third = incremental(store, source)
    result = attempt(third, source)
    assert result.counts.succeeded == 1
    assert "its UIDVALIDITY was" in str(result.warnings)
    assert not held(second).keys() & held(third).keys()


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The commands that are sent to the server, without those of logins."""
    sent: list[str] = []
    send = Session.send

    def noted(self: Session, *parts: bytes) -> bytes:
        sent.append(parts[0].decode())
        return send(self, *parts)

    monkeypatch.setattr(Session, "send", noted)
    return sent


def test_since_asks_about_new_messages_only(
    mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch, commands: list[str]
) -> None:
    """The listing of an incremental job asks what new messages are, and the last 20 held ones. The others are taken
    over from the earlier jobs, but for those that were deleted. No command is of CONDSTORE, which servers may lack.
    """
    monkeypatch.setattr(listing, "AT_ONCE", 10)
    mailbox.deliver(message(number) for number in range(60))
    source, store = mailbox.source("INBOX"), MemoryStore()
    first = new_job(store, source)
    attempt(first, source)
    with mailbox.client() as client:
        client.select("INBOX")
        client.store("1:9", "+FLAGS", r"(\Seen \Flagged)")
        client.store("3,11", "+FLAGS", r"(\Deleted)")
        client.expunge()
    mailbox.deliver(message(number) for number in range(100, 103))
    commands.clear()
    second = incremental(store, source)
    result = attempt(second, source)
    check_account(second)
    assert (result.counts.skipped, result.counts.succeeded, len(result.warnings)) == (58, 3, 1)
    asked = [command for command in commands if not command.startswith(("EXAMINE", "LOGOUT", "LIST"))]
    assert [command for command in asked if "PEEK" not in command] == [
        "UID SEARCH ALL",
        *(f"UID FETCH {uids} (UID RFC822.SIZE INTERNALDATE ENVELOPE)" for uids in ("41:60", "61:62", "63")),
    ]
    before = {row["item_id"]: row for row in held(first).values()}
    inventory = read_inventory(second, 1, 0)
    columns = [field.name for field in LISTED]
    for row in inventory.filter(pc.equal(inventory["outcome"], "skipped")).select(columns).to_pylist():
        assert row == {name: before[row["item_id"]][name] for name in columns}
    assert "58 of which earlier jobs hold" in str(second.inventory_totals(1))


def test_a_server_that_was_restored(mailbox: Mailbox) -> None:
    """If the last UIDs mean other messages than they did, though UIDVALIDITY is the same, no message of the folder is
    taken for unchanged unread: those that differ are collected again, and the result says why. The next job is as ever.
    """
    mailbox.deliver(message(number) for number in range(30))
    source, store = mailbox.source("INBOX"), MemoryStore()
    attempt(new_job(store, source), source)
    *_, last = sorted((mailbox.folder() / "cur").iterdir())
    last.write_bytes(message(77, 3_000))
    for index in mailbox.folder().glob("dovecot.index*"):
        index.unlink()
    source = mailbox.source("INBOX", connections=3)  # other settings have connections of their own
    second = incremental(store, source)
    result = attempt(second, source)
    check_account(second)
    assert (result.counts.skipped, result.counts.succeeded) == (29, 1)
    assert {row["error_code"] for row in unsuccessful(second).values()} == {"unchanged"}
    assert "compared with the held one by its SHA-256" in str(result.warnings)
    third = incremental(store, source)
    result = attempt(third, source)
    assert (result.counts.skipped, len(result.warnings)) == (30, 1)


def test_a_folder_that_was_made_anew(mailbox: Mailbox) -> None:
    """After UIDVALIDITY changed, messages that were listed before are `not_found`, and the message says why."""
    mailbox.deliver([message(1), message(2, LARGE)])
    source = mailbox.source()
    items = [*items_of(source)]
    old = [replace(item, id="INBOX;UIDVALIDITY=7/;UID=1") for item in items]
    for _, got in source.read_many(old, 8):
        assert isinstance(got, SourceError)
        assert got.code == "not_found"
        assert "its UIDVALIDITY was 7 and is" in str(got)
    with pytest.raises(SourceError, match="made anew"), source.open(old[0]):
        pass


def test_deleted_after_the_listing(mailbox: Mailbox) -> None:
    """Messages that were deleted after they were listed are `not_found`, small and large; the others are collected."""
    mailbox.deliver([message(1), message(2, LARGE), message(3), message(4, LARGE)])
    source = mailbox.source()
    items = [*items_of(source)]
    with mailbox.client() as client:
        client.select("INBOX")
        client.store("1:2", "+FLAGS", r"(\Deleted)")
        client.expunge()
    job = new_job(MemoryStore(), source)
    attempt(job, AsListed(source, items))
    check_account(job)
    assert [[*source.relist(item)] == [item] for item in items] == [False, False, True, True]
    assert sorted(path[:7] for path in (row["path"] for row in held(job).values())) == ["INBOX/3", "INBOX/4"]
    assert {row["error_code"] for row in unsuccessful(job).values()} == {"not_found"}


@pytest.mark.parametrize("at", [6_000, 30_000, 200_000, 1_500_000])
def test_lost_connections(mailbox: Mailbox, proxy: MailProxy, at: int) -> None:
    """A connection that is cut, in the listing or inside a small or large message, is made anew; all is collected."""
    mailbox.deliver([*(message(number, 2_000) for number in range(AT_ONCE + 50)), message(0, 2 * LARGE)])
    source = mailbox.source(port=proxy.port)
    proxy.cut_after = [at, at + 777]
    job = new_job(MemoryStore(), source)
    result = attempt(job, source)
    check_account(job)
    assert result.status is JobStatus.SUCCESSFULLY_COMPLETED
    assert result.counts.succeeded == AT_ONCE + 51
    assert proxy.connections > 1


def test_wrong_secrets(mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong password, or none, is `bad_credentials`, and the message holds no secret."""
    mailbox.deliver([message(1)])
    for password in ("hush-hush", None):
        with pytest.raises(SourceError) as caught:
            [*items_of(mailbox.source(password=password))]
        assert caught.value.code == "bad_credentials"
        assert "hush" not in str(caught.value)
    monkeypatch.setenv("IMAP_PASSWORD", PASSWORD)
    assert len([*items_of(mailbox.source(password=None))]) == 1


def test_credentials_are_not_tried_often(mailbox: Mailbox, proxy: MailProxy) -> None:
    """An attempt whose credentials are refused does not try them for each item: servers lock users out who do."""
    mailbox.deliver([message(number, LARGE) for number in range(30)])
    source = mailbox.source(port=proxy.port, connections=1)
    items = [*items_of(source)]
    mailbox.set_password("another")
    proxy.cut_all()
    before = proxy.connections
    job = new_job(MemoryStore(), source)
    attempt(job, AsListed(source, items))
    assert {row["error_code"] for row in unsuccessful(job).values()} <= {"bad_credentials", "connection_lost"}
    assert proxy.connections <= before + 2


def test_through_prefect(
    prefect_server: PrefectServer, mailbox: Mailbox, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The flow collects a mailbox by a query that the server searches for, and exports it; the secret shows nowhere."""
    mailbox.deliver([message(1), message(2, 5_000)])
    source, store = mailbox.source(), str(tmp_path / "store")
    with prefect_server.used():
        state = collect(source=source, query={"min_size": 4_000}, store=store, return_state=True)
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
            (name,) = (name for name in archive.namelist() if name.endswith("/metadata.jsonl"))
            (line,) = archive.read(name).splitlines()
        assert json.loads(line) == {
            "path": f"data/{row['path']}", "item_id": row["item_id"], "metadata": json.loads(row["metadata"]),
        }  # fmt: skip
        options = {"messages": "eml"}
        state = export(job.id, str(tmp_path / "mail"), "mail", store=store, mail=options, return_state=True)
        assert state.name == "Successfully completed", state.message
        (package,) = (tmp_path / "mail").iterdir()
        with zipfile.ZipFile(package) as archive:
            (name,) = (name for name in archive.namelist() if name.endswith("/MAIL/INBOX/00000001.eml"))
            assert archive.read(name) == message(2, 5_000)
        shown = repr((source, job, job.parameters, job.result, job.record, state)) + str(capfd.readouterr())
    assert PASSWORD not in shown
    assert PASSWORD.encode() not in prefect_server.stored()
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and PASSWORD.encode() in path.read_bytes()]


def test_a_certificate_that_is_not_trusted(mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is sent to a server whose certificate is not trusted, by TLS or STARTTLS."""
    monkeypatch.delenv("SSL_CERT_FILE")
    for url in (mailbox.source().url, f"imap://{mailbox.user}@127.0.0.1:{mailbox.server.port}"):
        with pytest.raises(SourceError, match=r"certificate is not trusted.*SSL_CERT_FILE"):
            [*items_of(mailbox.source(url=url))]


def test_starttls(mailbox: Mailbox) -> None:
    """With imap:// the connection is encrypted by STARTTLS."""
    mailbox.deliver([message(1)])
    assert len([*items_of(mailbox.source(url=f"imap://{mailbox.user}@localhost:{mailbox.server.port}"))]) == 1


def test_more_connections_than_the_server_allows(mailbox: Mailbox) -> None:
    """If the server allows fewer connections than the source has, the source makes do with fewer."""
    mailbox.deliver([message(number, LARGE) for number in range(14)])
    source = mailbox.source(connections=20)
    gate = threading.Barrier(3)

    def read(item: Item) -> int:
        with source.open(item) as content:
            if item.path.startswith(("INBOX/1 ", "INBOX/2 ", "INBOX/3 ")):
                gate.wait(60)
            return sum(len(chunk) for chunk in content.chunks)

    items = [*items_of(source)]
    with ThreadPoolExecutor(14) as pool:
        assert [*pool.map(read, items)] == [item.size for item in items]


def test_a_size_that_dovecot_has_wrong(mailbox: Mailbox) -> None:
    """Dovecot believes the size in a maildir's file name, announces it, sends fewer bytes and ends the connection; then
    it has the message under its UID, or under another: the job says that it is gone, and the next one has the new one.
    """
    mailbox.deliver([message(1)])
    data = message(5)
    name = f"9999999999.wrong.host,S={len(data)},W={len(data) + 40}:2,"
    (mailbox.folder() / "cur" / name).write_bytes(data)
    source, store = mailbox.source(), MemoryStore()
    first = new_job(store, source)
    attempt(first, source)
    check_account(first)
    assert {row["error_code"] for row in unsuccessful(first).values()} <= {"not_found"}
    second = incremental(store, source)
    attempt(second, source)
    rows = [*held(first).values(), *held(second).values()]
    assert sorted(row["sha256"] for row in rows) == sorted(hashlib.sha256(each).digest() for each in (message(1), data))


def test_a_large_message_is_streamed(mailbox: Mailbox) -> None:
    """The chunks of a message of 64 MiB are small, and its size is what the server announces."""
    mailbox.deliver([message(1, 64 << 20)])
    source = mailbox.source()
    (item,) = items_of(source)
    with source.open(item) as content:
        assert isinstance(content, Content)
        sizes = [len(chunk) for chunk in content.chunks]
        assert content.finish is not None
        content.finish()
    assert sum(sizes) == content.size == item.size
    assert max(sizes) <= 256 << 10
