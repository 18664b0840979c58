"""Collections of mailboxes on a real Dovecot: what is collected, searched for and exported."""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from datetime import UTC, datetime
from email.message import EmailMessage
from mailbox import mbox as mailbox_of
from pathlib import Path

import pytest

from prefect_collect import collect, export, jobs
from prefect_collect.connectors.imap.batches import AT_ONCE
from prefect_collect.errors import SourceError
from prefect_collect.packages import verify
from prefect_collect.sources import Content, ListingEnd
from prefect_collect.sources.listing import items_of, proven
from prefect_collect.sources.query import Query
from prefect_collect.statuses import JobStatus
from prefect_collect.stores import DirectoryStore
from prefect_collect.verification import verify_job
from tests.integration.mail_server import PASSWORD, Mailbox
from tests.integration.prefect_server import PrefectServer
from tests.integration.sources.imap_messages import LARGE, message
from tests.support.memory_store import MemoryStore
from tests.support.run_attempts import attempt, check_account, held, new_job, unsuccessful
from tests.support.run_attempts import export as mail_export

pytestmark = pytest.mark.integration


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


def test_starttls(mailbox: Mailbox) -> None:
    """With imap:// the connection is encrypted by STARTTLS."""
    mailbox.deliver([message(1)])
    assert len([*items_of(mailbox.source(url=f"imap://{mailbox.user}@localhost:{mailbox.server.port}"))]) == 1


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
