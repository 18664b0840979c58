"""The row of mailboxes: `ImapSource` beside mbsync (isync), which copies mailboxes into maildirs, from Dovecot.

    apt-get install dovecot-imapd isync
    python -m benchmarks --only imap
    python -m benchmarks.mailboxes

Both read the same messages over TLS and keep each; ours also hashes, lists and accounts for each. mbsync has a window
of 50 commands, and does not flush each file to the disk. The module by itself prints a Markdown table of an incremental
job of such a mailbox, to which a message came: by a listing that describes every message, and as it is.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from benchmarks.context import Bench, collecting
from benchmarks.measure import Comparison, Contender, Folders
from benchmarks.peers import Command
from benchmarks.servers import find_program
from benchmarks.took import Took
from prefect_collect.blocks import ImapSource
from prefect_collect.collecting.incremental import since_options
from prefect_collect.sources import Listed
from prefect_collect.sources.query import Query
from prefect_collect.stores import DirectoryStore
from tests.integration.mail_server import PASSWORD, Mailbox, dovecot
from tests.support.memory_store import MemoryStore
from tests.support.run_attempts import attempt, new_job

MESSAGES: Final = 10_000
SIZE: Final = 5_000

_MBSYNC: Final = """FSync no

IMAPAccount account
Host localhost
Port {port}
User {user}
Pass {password}
SSLType IMAPS
CertificateFile {certificate}
PipelineDepth 50

IMAPStore server
Account account

MaildirStore here
Path {folder}/
Inbox {folder}/INBOX
SubFolders Verbatim

Channel all
Far :server:
Near :here:
Patterns INBOX
Create Near
Sync Pull
SyncState *
"""


def message(number: int) -> bytes:
    """Return a message of `SIZE` bytes or a little less."""
    body = f"{number:08d}" * 9 + "\r\n"
    head = f"From: ann@x.example\r\nSubject: message {number}\r\nMessage-ID: <{number}@x.example>\r\n\r\n"
    return (head + body * (SIZE // len(body))).encode()


def imap(bench: Bench) -> Comparison:
    """Compare a folder of messages of 5 KB, over TLS."""
    count = bench.small.count
    server = bench.stack.enter_context(dovecot(connections=20))
    mailbox, none = server.new_user(), server.new_user()
    mailbox.deliver(message(number) for number in range(count))
    none.deliver([])
    worker, place = bench.worker(SSL_CERT_FILE=str(server.certificate)), Folders(bench.out)
    urls = [f"imaps://{box.user}@127.0.0.1:{server.tls_port}" for box in (mailbox, none)]
    blocks = [{"block": "ImapSource", "fields": {"url": url, "password": PASSWORD}} for url in urls]
    settings = bench.scratch("mbsync") / "mbsyncrc"

    def mbsync(_: int, where: str, empty: bool) -> Took:
        user = none.user if empty else mailbox.user
        made = {"certificate": server.certificate, "folder": where, "password": PASSWORD}
        settings.write_text(_MBSYNC.format(port=server.tls_port, user=user, **made))
        took = Command(
            [[find_program("mbsync", "isync (from the Linux distribution)"), "-q", "-c", str(settings), "all"]]
        ).run(bench.log("mbsync"))
        made_files = sum(1 for path in Path(where, "INBOX").rglob("*") if path.parent.name in ("cur", "new"))
        if made_files != (0 if empty else count):
            raise RuntimeError(f"mbsync left {made_files} of {count} messages")
        return took

    ours = Contender("prefect-collect", place, collecting(worker, blocks[0], blocks[1], count))
    return Comparison("IMAP to local, messages of 5 KB", count, ours, [Contender("mbsync", place, mbsync)])


class _Whole:
    """A mailbox whose listing describes every message, also those that are held."""

    def __init__(self, source: ImapSource) -> None:
        self._source = source

    def items_for(self, query: Query) -> Iterator[Listed]:
        """Yield the messages."""
        return self._source.items_for(query)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)


def _since(mailbox: Mailbox, folder: Path, *, whole: bool) -> tuple[float, float]:
    """Return the seconds, and those of this process's CPU, of an incremental job."""
    source = mailbox.source()
    store = DirectoryStore(folder)
    record = replace(new_job(MemoryStore(), source).record(), job_id="probe")
    job = new_job(store, source, options=since_options(store, record))
    mailbox.deliver([message(MESSAGES)])
    began, cpu = time.perf_counter(), time.process_time()
    result = attempt(job, _Whole(source) if whole else source, workers=2)
    took = time.perf_counter() - began, time.process_time() - cpu
    assert result.counts.succeeded == 1
    return took


def main() -> None:
    """Measure an incremental job of a mailbox, to which a message came: described anew, and as it is, in turn."""
    with dovecot(connections=20) as server, tempfile.TemporaryDirectory() as name:
        os.environ["SSL_CERT_FILE"] = str(server.certificate)
        mailbox = server.new_user()
        mailbox.deliver(message(number) for number in range(MESSAGES))
        source = mailbox.source()
        assert attempt(new_job(DirectoryStore(Path(name)), source), source, workers=2).counts.succeeded == MESSAGES
        print("| of an incremental job | described anew | as it is | ratio |\n| --- | ---: | ---: | ---: |")
        taken = [_since(mailbox, Path(name), whole=whole) for whole in (True, False, True, False)]
        for what, at in (("time, s", 0), ("CPU, s", 1)):
            whole, new = min(taken[0][at], taken[2][at]), min(taken[1][at], taken[3][at])
            print(f"| {what} | {whole:.2f} | {new:.2f} | {whole / new:.1f} |")


if __name__ == "__main__":
    main()
