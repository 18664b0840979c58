"""Mailboxes on a Dovecot that breaks off, refuses, or has other messages than it listed."""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from prefect_collect.blocks import DataSource
from prefect_collect.connectors.imap.batches import AT_ONCE
from prefect_collect.errors import SourceError
from prefect_collect.sources import Item
from prefect_collect.sources.listing import items_of
from prefect_collect.statuses import JobStatus
from tests.integration.mail_proxy import MailProxy, mail_proxy
from tests.integration.mail_server import PASSWORD, Mailbox
from tests.integration.sources.contract import BreakingContract
from tests.integration.sources.dates import DatedPlace, DatesContract
from tests.integration.sources.imap_messages import LARGE, message
from tests.integration.sources.places import Fault, Place, collected, listed_before
from tests.integration.sources.proxied import RelayedPlace
from tests.support.memory_store import MemoryStore
from tests.support.run_attempts import attempt, check_account, held, new_incremental_job, new_job, unsuccessful

pytestmark = pytest.mark.integration


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class ImapPlace(RelayedPlace, DatedPlace):
    """A mailbox before which faults are caused: an item is a message in INBOX."""

    reconnects = 2

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

    def put_dated(self, name: str, at: datetime) -> dict[str, datetime | None]:
        """Deliver a message that was received at that time, as far as the server holds it.

        Dovecot keeps 32 bits of it from the first answer on, so that it is asked twice for what it states.
        """
        self.mailbox.deliver([f"Subject: {name}\r\n\r\n{name}".encode()])
        newest = max(self.mailbox.folder().glob("cur/*"), key=lambda path: path.name.partition(",")[0])
        seconds = (at - _EPOCH) // timedelta(seconds=1)
        os.utime(newest, (seconds, seconds))
        for _ in range(2):
            with self.mailbox.client() as client:
                client.select(readonly=True)
                _, [found] = client.fetch("*", "(UID INTERNALDATE)")
        assert isinstance(found, bytes)
        [(uid, stated)] = re.findall(r'UID (\d+) INTERNALDATE "(.*)"', found.decode())
        received = datetime.strptime(stated.strip(), "%d-%b-%Y %H:%M:%S %z")
        return {f"INBOX/{uid} {name}.eml": received.astimezone(UTC)}

    def cuts(self, fault: Fault) -> list[int]:
        """Return after how many bytes the next connection is cut."""
        return [20_000 if fault == "listing" else 100_000]

    def allow(self, *, allowed: bool) -> None:
        """Change the password, or give it back."""
        self.mailbox.set_password(PASSWORD if allowed else "another")


class TestBreakingImap(BreakingContract, DatesContract):
    """Mailboxes keep the contract where connections break.

    The rest of the contract is about items that are named and changed by their users, which messages are not; the tests
    below hold what it means for mailboxes.
    """

    @pytest.fixture
    def place(self, mailbox: Mailbox, proxy: MailProxy) -> Place:
        """An empty mailbox."""
        return ImapPlace(mailbox, proxy)

    @pytest.fixture
    def dated(self, place: ImapPlace) -> DatedPlace:
        """The same."""
        return place

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


def test_refused_searches(mailbox: Mailbox) -> None:
    """A search that the server does not understand ends the listing with the server's words."""
    mailbox.deliver([message(1)])
    with pytest.raises(SourceError, match=r"refuses \(BAD .*\[imaps://"):
        [*items_of(mailbox.source(search="NOSUCHKEY x"))]


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
    with pytest.raises(SourceError, match="recreated"), source.open(old[0]):
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
    attempt(job, listed_before(source, items))
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
    attempt(job, listed_before(source, items))
    assert {row["error_code"] for row in unsuccessful(job).values()} <= {"bad_credentials", "connection_lost"}
    assert proxy.connections <= before + 2


def test_a_certificate_that_is_not_trusted(mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is sent to a server whose certificate is not trusted, by TLS or STARTTLS."""
    monkeypatch.delenv("SSL_CERT_FILE")
    for url in (mailbox.source().url, f"imap://{mailbox.user}@127.0.0.1:{mailbox.server.port}"):
        with pytest.raises(SourceError, match=r"certificate is not trusted.*SSL_CERT_FILE"):
            [*items_of(mailbox.source(url=url))]


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
    second = new_incremental_job(store, source)
    attempt(second, source)
    rows = [*held(first).values(), *held(second).values()]
    assert sorted(row["sha256"] for row in rows) == sorted(hashlib.sha256(each).digest() for each in (message(1), data))
