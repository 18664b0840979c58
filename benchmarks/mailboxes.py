"""Mailboxes: `ImapSource` beside mbsync (isync), which copies mailboxes into maildirs, from Dovecot on this machine.

    apt-get install dovecot-imapd isync
    python -m benchmarks.mailboxes

Prints rows of Markdown tables. Both read the same messages over TLS and keep each; ours also hashes, lists and
accounts for each. mbsync has a window of 50 commands, and does not flush each file to the disk. Then an incremental
job of the same mailbox, to which a message came: by a listing that describes every message, and as it is.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

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


def _message(number: int) -> bytes:
    body = f"{number:08d}" * 9 + "\r\n"
    head = f"From: ann@x.example\r\nSubject: message {number}\r\nMessage-ID: <{number}@x.example>\r\n\r\n"
    return (head + body * (SIZE // len(body))).encode()


def _ours(mailbox: Mailbox, folder: Path) -> float:
    source = mailbox.source()
    began = time.perf_counter()
    result = attempt(new_job(DirectoryStore(folder), source), source, workers=2)
    took = time.perf_counter() - began
    assert result.counts.succeeded == MESSAGES
    return took


def _mbsync(mailbox: Mailbox, folder: Path) -> float:
    settings = folder / "mbsyncrc"
    server = mailbox.server
    settings.write_text(
        _MBSYNC.format(
            port=server.tls_port, user=mailbox.user, password=PASSWORD, certificate=server.certificate, folder=folder
        )
    )
    began = time.perf_counter()
    subprocess.run(["mbsync", "-q", "-c", str(settings), "all"], check=True)
    took = time.perf_counter() - began
    assert sum(1 for path in (folder / "INBOX").rglob("*") if path.parent.name in ("cur", "new")) == MESSAGES
    return took


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
    mailbox.deliver([_message(MESSAGES)])
    began, cpu = time.perf_counter(), time.process_time()
    result = attempt(job, _Whole(source) if whole else source, workers=2)  # type: ignore[arg-type]
    took = time.perf_counter() - began, time.process_time() - cpu
    assert result.counts.succeeded == 1
    return took


def main() -> None:
    """Read a mailbox with both, ours first and again last, so that caches do not decide."""
    with dovecot(connections=20) as server, tempfile.TemporaryDirectory() as name:
        os.environ["SSL_CERT_FILE"] = str(server.certificate)
        mailbox = server.new_user()
        mailbox.deliver(_message(number) for number in range(MESSAGES))
        folders = [Path(name) / part for part in ("ours", "mbsync", "again")]
        for folder in folders:
            folder.mkdir()
        ours, peer, again = (run(mailbox, folder) for run, folder in zip((_ours, _mbsync, _ours), folders, strict=True))
        print(
            "| messages | bytes each | prefect-collect, s | mbsync, s | ratio |\n| ---: | ---: | ---: | ---: | ---: |"
        )
        best = min(ours, again)
        print(f"| {MESSAGES:,} | {SIZE:,} | {ours:.2f}, {again:.2f} | {peer:.2f} | {peer / best:.1f} |")
        print("\n| of an incremental job | described anew | as it is | ratio |\n| --- | ---: | ---: | ---: |")
        taken = [_since(mailbox, folders[0], whole=whole) for whole in (True, False, True, False)]
        for what, at in (("time, s", 0), ("CPU, s", 1)):
            whole, new = min(taken[0][at], taken[2][at]), min(taken[1][at], taken[3][at])
            print(f"| {what} | {whole:.2f} | {new:.2f} | {whole / new:.1f} |")


if __name__ == "__main__":
    sys.exit(main())
