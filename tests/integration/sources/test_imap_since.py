"""Incremental jobs of mailboxes: only new messages are asked about, as long as the others are the same."""

from __future__ import annotations

import pyarrow.compute as pc
import pytest

from prefect_collect.connectors.imap import listing
from prefect_collect.connectors.imap.session import Session
from prefect_collect.job_folder.ledger import read_inventory
from prefect_collect.job_folder.table_columns import LISTED
from tests.integration.mail_server import Mailbox
from tests.integration.sources.imap_messages import message
from tests.support.memory_store import MemoryStore
from tests.support.run_attempts import attempt, check_account, held, new_incremental_job, new_job, unsuccessful

pytestmark = pytest.mark.integration


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
    second = new_incremental_job(store, source)
    assert attempt(second, source).counts.skipped == 5
    assert next(iter(held(second))).endswith("UID=6")
    with mailbox.client() as client:
        client.delete("Box")
        client.create("Box")
        client.append("Box", "", None, message(9))
    third = new_incremental_job(store, source)
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
    second = new_incremental_job(store, source)
    result = attempt(second, source)
    check_account(second)
    assert (result.counts.skipped, result.counts.succeeded, len(result.notes)) == (58, 3, 1)
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
    second = new_incremental_job(store, source)
    result = attempt(second, source)
    check_account(second)
    assert (result.counts.skipped, result.counts.succeeded) == (29, 1)
    assert {row["error_code"] for row in unsuccessful(second).values()} == {"unchanged"}
    assert "compared with the held one by its SHA-256" in str(result.warnings)
    third = new_incremental_job(store, source)
    result = attempt(third, source)
    assert (result.counts.skipped, result.warnings) == (30, ())
