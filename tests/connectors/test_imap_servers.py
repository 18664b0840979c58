"""Mailboxes on servers unlike Dovecot: Gmail's labels, tokens, sizes that are wrong, busy and broken servers."""

from __future__ import annotations

import json

import pytest

from prefect_collect.codes import CANCELED, CODES
from prefect_collect.connectors.imap import listing, sessions
from prefect_collect.connectors.imap.account import Account
from prefect_collect.errors import JobCanceled, SourceError
from prefect_collect.sources import Content
from prefect_collect.sources.listing import items_of
from prefect_collect.statuses import JobStatus
from prefect_collect.threads.retry_policy import RetryPolicy
from prefect_collect.threads.stop import Stop, stopped_by
from tests.integration.mail_script import PASSWORD, TOKEN, Mail, Script, scripted
from tests.support.memory_store import MemoryStore
from tests.support.run_attempts import attempt, check_account, held, new_job, unsuccessful

BODY = b"Subject: x\r\n\r\nhello\r\n"


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy server is asked again at once."""
    monkeypatch.setattr(sessions, "_FIRST_PAUSE", 0.001)
    monkeypatch.setattr(listing, "_RETRY", RetryPolicy(wait_initial=0.001))


def test_labels_of_gmail() -> None:
    """On Gmail a message under several labels is one item with its labels: folders that are labels are not listed."""
    mails = [Mail(BODY, rb'"\\Inbox" "Caf&AOk-" Work'), Mail(BODY + b"2", b"")]
    script = Script(
        {"INBOX": mails, "[Gmail]": [], "[Gmail]/All Mail": mails, "Work": mails[:1], "[Gmail]/Trash": [Mail(BODY)]},
        {"[Gmail]": "\\Noselect", "[Gmail]/All Mail": "\\All", "[Gmail]/Trash": "\\Trash"},
        "IMAP4rev1 X-GM-EXT-1 SASL-IR",
    )
    with scripted(script):
        source, job = script.source(), new_job(MemoryStore(), script.source())
        attempt(job, source)
        check_account(job)
        rows = {row["path"]: row for row in held(job).values()}
        assert rows.keys() == {
            "[Gmail]/All Mail/1 a subject.eml", "[Gmail]/All Mail/2 a subject.eml", "[Gmail]/Trash/1 a subject.eml",
        }  # fmt: skip
        first = rows["[Gmail]/All Mail/1 a subject.eml"]
        assert json.loads(first["metadata"])["labels"] == ["\\Inbox", "Café", "Work"]
        assert first["source_etag"] == "1001"
        assert "labels" not in json.loads(rows["[Gmail]/All Mail/2 a subject.eml"]["metadata"])
        assert len([*items_of(script.source("Work"))]) == 1


@pytest.mark.parametrize("capabilities", ["IMAP4rev1 AUTH=XOAUTH2", "IMAP4rev1 AUTH=XOAUTH2 SASL-IR"])
def test_tokens(capabilities: str) -> None:
    """A token is given by XOAUTH2; one that has expired is `bad_credentials`, and shows nowhere."""
    with scripted(Script({"INBOX": [Mail(BODY)]}, capabilities=capabilities)) as script:
        assert len([*items_of(script.source(password=None, token=TOKEN))]) == 1
        with pytest.raises(SourceError, match="a token that has not expired") as caught:
            [*items_of(script.source(password=None, token="hush-hush"))]
        assert caught.value.code == "bad_credentials"
        assert "hush" not in str(caught.value)


@pytest.mark.parametrize("error", [-5, 3, 100_000_000])
@pytest.mark.parametrize("uid_last", [False, True])
def test_sizes_that_the_server_estimates(error: int, uid_last: bool) -> None:
    """RFC822.SIZE is an estimate of some servers: it is not held against the bytes, which are counted by the server."""
    with scripted(Script({"INBOX": [Mail(BODY), Mail(BODY * 9)]}, size_error=error, uid_last=uid_last)) as script:
        source = script.source()
        job = new_job(MemoryStore(), source)
        assert attempt(job, source).status is JobStatus.SUCCESSFULLY_COMPLETED
        check_account(job)
        assert {(row["size"], row["source_size"] - row["size"]) for row in held(job).values()} == {
            (len(BODY), error), (9 * len(BODY), error),
        }  # fmt: skip


def test_a_message_without_bytes() -> None:
    """A message of which the server sends nothing, and which it lists with bytes, fails; it is not held as empty."""
    with scripted(Script({"INBOX": [Mail(b"")]}, size_error=9)) as script:
        source = script.source()
        job = new_job(MemoryStore(), source)
        attempt(job, source)
        assert [row["error_code"] for row in unsuccessful(job).values()] == ["truncated"]


def test_subjects_in_literals() -> None:
    """A header may be sent as a literal within the list, or in bytes of any character set; the path has no folder."""
    odd = [
        b'{12}\r\na\r\nb) (c"d\\e',
        b'"=?utf-8?q?gr=C3=BC=C3=9Fe=2Fx?="',
        b'"caf\xe9"',
        b'"=?x-none?b?////?="',
        b"NIL",
    ]
    with scripted(Script({"INBOX": [Mail(BODY, subject=subject) for subject in odd]})) as script:
        paths = [item.path for item in items_of(script.source())]
    assert paths[:3] == ["INBOX/1 a b) (c_d_e.eml", "INBOX/2 grüße_x.eml", "INBOX/3 café.eml"]
    assert paths[4] == "INBOX/5.eml"
    assert all(path.count("/") == 1 for path in paths)


def test_a_busy_server() -> None:
    """A server that is asked too much is asked again later: listing and reading go on, and all is collected."""
    refusals = {"EXAMINE": ["NO [UNAVAILABLE] later"], "UID FETCH": ["NO [THROTTLED] slow down"] * 3}
    with scripted(Script({"INBOX": [Mail(BODY)] * 7}, refusals=refusals)) as script:
        source = script.source()
        job = new_job(MemoryStore(), source)
        result = attempt(job, source)
        check_account(job)
        assert (result.status, result.counts.succeeded) == (JobStatus.SUCCESSFULLY_COMPLETED, 7)
        assert not any(refusals.values())


def test_a_pause_that_another_process_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """After one process was asked for a pause, another with its share of the connections begins nothing until then."""
    monkeypatch.setattr(sessions, "_FIRST_PAUSE", 60.0)
    with scripted(Script({"INBOX": []}, refusals={"EXAMINE": ["NO [THROTTLED] slow down"]})) as script:
        accounts = [
            Account("127.0.0.1", script.port, "ann", PASSWORD, connections=count, tls=False) for count in (1, 2)
        ]
        asked, other = map(sessions.Sessions, accounts)
        with pytest.raises(SourceError, match="slow down"), asked.session() as session:
            session.examine("INBOX")
        said, stop = [*script.said], Stop()
        stop.set(CANCELED)
        with stopped_by(stop), pytest.raises(JobCanceled), other.session():
            pass
        assert script.said == said


def test_a_folder_that_may_not_be_read() -> None:
    """A folder that the server does not open is a failed item; others are collected; a retry takes what is in it."""
    refusals = {"EXAMINE": ["NO [NOPERM] no"]}
    with scripted(Script({"Locked": [Mail(BODY)] * 2, "Open": [Mail(BODY)]}, refusals=refusals)) as script:
        source = script.source()
        job = new_job(MemoryStore(), source)
        attempt(job, source)
        check_account(job)
        (row,) = unsuccessful(job).values()
        assert (row["path"], row["error_code"], len(held(job))) == ("Locked/", "access_denied", 1)
        assert attempt(job, source).counts.succeeded == 3
        assert not unsuccessful(job)
        check_account(job)


def test_one_connection() -> None:
    """A server that allows one connection is enough: the listing holds none while its items are read."""
    with scripted(Script({"INBOX": [Mail(BODY)] * 4, "Work": [Mail(BODY)] * 4})) as script:
        source = script.source(connections=1)
        job = new_job(MemoryStore(), source)
        assert attempt(job, source, workers=2).counts.succeeded == 8


@pytest.mark.parametrize(
    ("name", "sent", "code"),
    [
        ("LOGIN", b"TAG NO no\r\n", "bad_credentials"),
        ("LOGIN", b"TAG NO [UNAVAILABLE] later\r\n", "source_error"),
        ("LOGIN", b"* BYE Too many connections\r\n", "throttled"),
        ("LOGIN", b"TAG BAD User is authenticated but not connected.\r\n", "source_error"),
        ("LIST", b"* BYE Session expired, please login again.\r\n", "bad_credentials"),
        ("LIST", b"* BYE shutting down\r\n", "connection_lost"),
        ("LIST", b"TAG NO [NOPERM] no\r\n", "access_denied"),
        ("LIST", b'* LIST () "/" ((\r\nTAG OK\r\n', "source_error"),
        ("LIST", b"HTTP/1.1 400 Bad Request\r\n", "source_error"),
        ("LIST", b'* LIST () "/" {99999999999}\r\n', "source_error"),
        ("LIST", b"", "connection_lost"),
        ("UID SEARCH", b"* SEARCH 1 x 3\r\nTAG OK\r\n", "source_error"),
        ("UID SEARCH", b"* SEARCH 1 99999999999\r\nTAG OK\r\n", "source_error"),
        ("EXAMINE", b"TAG OK\r\n", "source_error"),
        ("UID FETCH", b"* 1 FETCH (UID 1 RFC822.SIZE x)\r\nTAG OK\r\n", "source_error"),
    ],
)
def test_what_servers_refuse(name: str, sent: bytes, code: str) -> None:
    """Refusals, and answers that are none, get the code of what they mean; what may pass is asked for a few times."""
    with scripted(Script({"INBOX": [Mail(BODY)]})) as script:
        script.instead = {name: sent}
        source = script.source()
        if CODES[code].retryable:
            assert len([*items_of(source)]) == 1  # it is asked once more, on a new connection
        script.instead, script.is_always_so = {name: sent}, True
        with pytest.raises(SourceError) as caught:
            [*items_of(script.source(read_timeout=7))]  # another account: a new connection
        assert caught.value.code == code
        assert PASSWORD not in str(caught.value)
        assert f"[imap://ann@127.0.0.1:{script.port}" in str(caught.value)


@pytest.mark.parametrize(
    "sent",
    [
        b"* 1 FETCH (UID 1 BODY[] {40}\r\nhalf",
        b"* 1 FETCH (UID 1 BODY[] {4}\r\nhalf garbage\r\nTAG OK\r\n",
        b"* 1 FETCH (UID 7 BODY[] {4}\r\nelse)\r\n* 1 FETCH (BODY[] {4}\r\nelse)\r\n",
        b"TAG BAD what\r\n",
        b"TAG NO [SERVERBUG] oh\r\n",
    ],
)
def test_answers_that_break_off(sent: bytes) -> None:
    """An answer that breaks off, is none, or is of another message is never taken for the message."""
    with scripted(Script({"INBOX": [Mail(BODY)] * 3})) as script:
        source = script.source()
        items = [*items_of(source)]
        script.instead = {"UID FETCH": sent}
        for item, got in source.read_many(items, 4):
            if isinstance(got, Content):
                assert b"".join(bytes(chunk) for chunk in got.chunks) == BODY
            with source.open(item) as content:
                assert b"".join(bytes(chunk) for chunk in content.chunks) == BODY


def test_nothing_is_changed() -> None:
    """No command changes anything: folders are opened by EXAMINE, and messages are read by PEEK."""
    with scripted(Script({"INBOX": [Mail(BODY)]})) as script:
        source = script.source()
        attempt(new_job(MemoryStore(), source), source)
        names = {" ".join(said.split()[:2]) if said.startswith("UID") else said.split()[0] for said in script.said}
        assert names <= {"LOGIN", "CAPABILITY", "LIST", "EXAMINE", "UID SEARCH", "UID FETCH", "LOGOUT"}
        assert not any("BODY[" in said for said in script.said)
