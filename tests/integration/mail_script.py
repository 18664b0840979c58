"""A small IMAP server whose answers a test chooses: what Dovecot does not do, but servers of others do."""

from __future__ import annotations

import base64
import re
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from prefect_collect.blocks import ImapSource

PASSWORD = 'not "a" secret\\ of anybody'
TOKEN = "not-a-token-of-anybody"


@dataclass
class Mail:
    """A message as the server describes it."""

    data: bytes
    labels: bytes = b""
    subject: bytes = b'"a subject"'


@dataclass
class Script:
    """What the server has, and how it answers.

    Attributes:
        folders: The messages of each folder, whose UIDs are 1 and so on.
        attributes: What LIST says of folders.
        capabilities: Its capabilities.
        size_error: Is added to every RFC822.SIZE.
        uid_last: Whether UID comes after the message in an answer to FETCH.
        refusals: What the next commands of a name are refused with, used up first to last.
        instead: What is sent in place of the answer to the first command of a name, before the connection ends.
        is_always_so: Whether the same is sent to every command of that name.
        said: The commands that came.
        port: Its port.
    """

    folders: dict[str, list[Mail]] = field(default_factory=dict)
    attributes: dict[str, str] = field(default_factory=dict)
    capabilities: str = "IMAP4rev1"
    size_error: int = 0
    uid_last: bool = False
    refusals: dict[str, list[str]] = field(default_factory=dict)
    instead: dict[str, bytes] = field(default_factory=dict)
    is_always_so: bool = False
    said: list[str] = field(default_factory=list)
    port: int = 0

    def source(self, folder: str = "", **fields: object) -> ImapSource:
        """Return the server as a source."""
        url = f"imap://ann@127.0.0.1:{self.port}/{folder}"
        return ImapSource.model_validate({"url": url, "password": PASSWORD} | fields)


class _Session(socketserver.StreamRequestHandler):
    """One connection."""

    script: Script
    selected: str = ""

    def handle(self) -> None:
        """Answer commands until the client leaves."""
        self.wfile.write(b"* OK [CAPABILITY %b] here\r\n" % self.script.capabilities.encode())
        while line := self.rfile.readline():
            tag, _, rest = line.decode().strip().partition(" ")
            while literal := re.search(r"\{(\d+)\}$", rest):
                self.wfile.write(b"+ go on\r\n")
                rest = rest[: literal.start()] + f"«{self.rfile.read(int(literal[1])).decode()}»"
                rest += self.rfile.readline().decode().strip()
            self.script.said.append(rest)
            name = " ".join(rest.split()[:2]) if rest.startswith("UID") else rest.split()[0]
            if (sent := self.script.instead.get(name)) is not None:
                if not self.script.is_always_so:
                    del self.script.instead[name]
                self.wfile.write(sent.replace(b"TAG", tag.encode()))
                return
            if self.script.refusals.get(name):
                self.wfile.write(f"{tag} {self.script.refusals[name].pop(0)}\r\n".encode())
                continue
            done = getattr(self, f"do_{name.replace(' ', '_').lower()}")(rest)
            self.wfile.write(f"{tag} {done or 'OK done'}\r\n".encode())
            if name == "LOGOUT":
                return

    def do_logout(self, rest: str) -> None:
        """Leave."""

    def do_capability(self, rest: str) -> None:
        """Tell the capabilities."""
        self.wfile.write(b"* CAPABILITY %b\r\n" % self.script.capabilities.encode())

    def do_login(self, rest: str) -> str | None:
        """Check user and password, which has signs that no quoted string of ours has."""
        return None if rest == f'LOGIN "ann"«{PASSWORD}»' or rest == f'LOGIN "ann" «{PASSWORD}»' else "NO no"

    def do_authenticate(self, rest: str) -> str | None:
        """Check a token as Gmail does: the error is a challenge, which the client answers with an empty line."""
        said = rest.split()[2] if len(rest.split()) == 3 else ""
        if not said:
            self.wfile.write(b"+ \r\n")
            said = self.rfile.readline().decode().strip()
        if base64.b64decode(said).decode() == f"user=ann\1auth=Bearer {TOKEN}\1\1":
            return None
        self.wfile.write(b"+ %b\r\n" % base64.b64encode(b'{"status":"400","schemes":"Bearer"}'))
        assert self.rfile.readline() == b"\r\n"
        return "NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)"

    def do_list(self, rest: str) -> None:
        """List the folders, the second and later ones with the name as a literal."""
        for number, name in enumerate(self.script.folders):
            wire = name.encode()
            named = b'"%b"' % wire if not number else b"{%d}\r\n%b" % (len(wire), wire)
            attributes = self.script.attributes.get(name, "").encode()
            self.wfile.write(b'* LIST (%b) "/" %b\r\n' % (attributes, named))

    def do_examine(self, rest: str) -> None:
        """Open a folder."""
        self.selected = re.sub(r'^EXAMINE ["«]?|["»]$', "", rest).lstrip("«")
        self.wfile.write(b"* %d EXISTS\r\n* OK [UIDVALIDITY 9] valid\r\n" % len(self.script.folders[self.selected]))

    def do_uid_search(self, rest: str) -> None:
        """Find all messages, in two answers."""
        uids = [str(uid) for uid in range(1, len(self.script.folders[self.selected]) + 1)]
        for part in (uids[1::2], uids[::2]):
            self.wfile.write(f"* SEARCH {' '.join(part)}\r\n".encode())

    def do_uid_fetch(self, rest: str) -> None:
        """Describe or send messages, between answers that were not asked for."""
        mails = self.script.folders[self.selected]
        for uid in _uids(rest.split()[2]):
            if not 0 < uid <= len(mails):
                continue
            mail = mails[uid - 1]
            parts = [b"RFC822.SIZE %d" % (len(mail.data) + self.script.size_error)]
            parts.append(b'INTERNALDATE " 5-Jan-2026 10:00:00 +0100"')
            if "ENVELOPE" in rest:
                parts.append(b'ENVELOPE (NIL %b NIL NIL NIL NIL NIL NIL NIL "<%d@x>")' % (mail.subject, uid))
            if "X-GM-LABELS" in rest:
                parts.append(b"X-GM-LABELS (%b)" % mail.labels)
            if "X-GM-MSGID" in rest:
                parts.append(b"X-GM-MSGID %d" % (1000 + uid))
            if "BODY.PEEK[]" in rest:
                parts.append(b"BODY[] {%d}\r\n%b" % (len(mail.data), mail.data))
            parts.insert(len(parts) if self.script.uid_last else 0, b"UID %d" % uid)
            self.wfile.write(b"* %d FETCH (FLAGS (\\Seen))\r\n" % uid)
            self.wfile.write(b"* %d FETCH (%b)\r\n" % (uid, b" ".join(parts)))


def _uids(text: str) -> Iterator[int]:
    for part in text.split(","):
        first, _, last = part.partition(":")
        yield from range(int(first), int(last or first) + 1)


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


@contextmanager
def scripted(script: Script) -> Iterator[Script]:
    """Run the server; `script.port` is its port."""
    handler = type("Session", (_Session,), {"script": script})
    with _Server(("127.0.0.1", 0), handler) as server:
        script.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield script
        finally:
            server.shutdown()
