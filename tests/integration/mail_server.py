"""A real Dovecot for the tests, whose mailboxes are written as maildirs."""

from __future__ import annotations

import contextlib
import imaplib
import os
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from prefect_collect.blocks import ImapSource
from tests.integration.servers import free_port

PASSWORD = "not-a-secret-of-anybody"
_PATIENCE = 120.0

_CONFIGURATION = """
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/dovecot.log
protocols = imap
listen = 127.0.0.1
ssl = yes
ssl_cert = <{folder}/server.pem
ssl_key = <{folder}/server.key
disable_plaintext_auth = no
auth_mechanisms = plain login
mail_location = maildir:{folder}/mail/%u
mail_uid = nobody
mail_gid = nogroup
first_valid_uid = 1
default_internal_user = nobody
default_login_user = nobody
default_internal_group = nogroup
mail_max_userip_connections = {connections}
passdb {{
  driver = passwd-file
  args = scheme=PLAIN {folder}/users/%u
}}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home={folder}/mail/%u
}}
namespace inbox {{
  inbox = yes
  separator = /
  mailbox Sent {{
    special_use = \\Sent
  }}
  mailbox "Everything" {{
    special_use = \\All
  }}
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = {tls_port}
  }}
}}
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  chroot =
}}
"""


@dataclass(frozen=True)
class MailServer:
    """A running Dovecot; a user's mailbox is the maildir of the name."""

    folder: Path
    port: int
    tls_port: int

    @property
    def certificate(self) -> Path:
        """The authority by which the server's certificate is trusted."""
        return self.folder / "server.pem"

    def new_user(self, name: str = "") -> Mailbox:
        """Return an empty mailbox."""
        mailbox = Mailbox(self, name or f"u{uuid.uuid4().hex[:12]}")
        (self.folder / "users" / mailbox.user).write_text(f"{mailbox.user}:{PASSWORD}\n")
        return mailbox


@dataclass(frozen=True)
class Mailbox:
    """The mailbox of one user."""

    server: MailServer
    user: str

    def source(self, folder: str = "", *, port: int = 0, **fields: Any) -> ImapSource:
        """Return the mailbox as a source, by TLS; at another port of this machine, if one is given."""
        url = f"imaps://{self.user}@127.0.0.1:{port or self.server.tls_port}{folder and f'/{folder}'}"
        return ImapSource(**{"url": url, "password": PASSWORD} | fields)

    def set_password(self, password: str) -> None:
        """Set the password with which the user may log in from now on; Dovecot looks at the file once a second."""
        (self.server.folder / "users" / self.user).write_text(f"{self.user}:{password}\n")
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            with contextlib.suppress(imaplib.IMAP4.error), imaplib.IMAP4("127.0.0.1", self.server.port) as client:
                client.login(self.user, password)
                return
            time.sleep(0.05)
        raise RuntimeError("Dovecot does not accept a new password")

    def folder(self, name: str = "") -> Path:
        """Return a folder's maildir; "" is INBOX."""
        return self.server.folder / "mail" / self.user / (f".{name.replace('/', '.')}" if name else ".")

    def deliver(self, messages: Iterable[bytes], folder: str = "") -> None:
        """Put messages into a folder, as files: Dovecot numbers them in the order of their names."""
        where = self.folder(folder)
        for part in ("cur", "new", "tmp"):
            (where / part).mkdir(parents=True, exist_ok=True)
        if folder:
            (where / "maildirfolder").touch()
        for number, data in enumerate(messages):
            (where / "cur" / f"{time.time_ns()}.{number:08d}.host:2,").write_bytes(data)
        _give_to_nobody(self.server.folder / "mail" / self.user)

    @contextmanager
    def client(self) -> Iterator[imaplib.IMAP4]:
        """Yield a client that is independent of the code under test, to change and inspect the mailbox."""
        with imaplib.IMAP4("127.0.0.1", self.server.port) as client:
            client.login(self.user, PASSWORD)
            yield client


def _give_to_nobody(folder: Path) -> None:
    subprocess.run(["chown", "-R", "nobody:nogroup", folder], check=True)


@contextmanager
def dovecot(*, connections: int = 10) -> Iterator[MailServer]:
    """Run Dovecot, which has a certificate of its own and refuses a user's further `connections`."""
    program = shutil.which("dovecot", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None or os.geteuid() != 0:
        pytest.skip("Dovecot (Debian: dovecot-imapd) is not installed, or this is not root")
    with tempfile.TemporaryDirectory(prefix="dovecot-", dir="/tmp", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)  # it reads the mailboxes as nobody
        for part in ("run", "state", "mail", "users"):
            (folder / part).mkdir()
        _give_to_nobody(folder / "mail")
        _certify(folder)
        server = MailServer(folder, free_port(), free_port())
        written = _CONFIGURATION.format(
            folder=folder, port=server.port, tls_port=server.tls_port, connections=connections
        )
        (folder / "dovecot.conf").write_text(written)
        process = subprocess.Popen([program, "-F", "-c", str(folder / "dovecot.conf")], stdin=subprocess.DEVNULL)
        try:
            _await(server, process)
            yield server
        finally:
            process.terminate()
            process.wait(10)


def _certify(folder: Path) -> None:
    subprocess.run(
        [
            *["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"],
            *["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
            *["-keyout", str(folder / "server.key"), "-out", str(folder / "server.pem")],
        ],
        check=True,
        capture_output=True,
    )


def _await(server: MailServer, process: subprocess.Popen[bytes]) -> None:
    server.new_user("ready")
    deadline = time.monotonic() + _PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError, imaplib.IMAP4.error), imaplib.IMAP4("127.0.0.1", server.port) as client:
            client.login("ready", PASSWORD)
            return
        time.sleep(0.05)  # the condition is polled: Dovecot announces itself in no other way
    raise RuntimeError(f"Dovecot does not start:\n{(server.folder / 'dovecot.log').read_text()[-4000:]}")
