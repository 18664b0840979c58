"""A session with an IMAP server: connected, logged in, and its commands, which may be pipelined."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from prefect_collect.connectors.errors import source_error
from prefect_collect.connectors.imap.account import Account
from prefect_collect.connectors.imap.connecting import connected, encrypted
from prefect_collect.connectors.imap.refusals import refused
from prefect_collect.connectors.imap.responses import Answer, BadAnswer, number
from prefect_collect.errors import SourceError

_LOCAL: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_CODE: Final = re.compile(rb"\[([A-Z0-9-]+)(?: ([^\]]*))?\]", re.IGNORECASE)
_CAPABILITIES: Final = re.compile(rb"\[CAPABILITY ([^\]]*)\]", re.IGNORECASE)
_PLAIN: Final = re.compile(rb"[\x20\x21\x23-\x5b\x5d-\x7e]*\Z")


@dataclass(frozen=True, slots=True)
class Selected:
    """A folder that is open for reading.

    Attributes:
        name: The folder's name, as the protocol sends it.
        uidvalidity: The number that holds as long as UIDs mean the same messages.
        exists: The messages in it when it was opened.
    """

    name: str
    uidvalidity: int
    exists: int


class Session:
    """One connection, logged in; used by one thread at a time. Every error is a SourceError, or JobCanceled.

    If `is_whole` is False, only `close` may be called.
    """

    def __init__(self, account: Account) -> None:
        self._account = account
        self._tags = 0
        self._pending: set[bytes] = set()
        self._refused: dict[bytes, SourceError] = {}
        self.capabilities: frozenset[bytes] = frozenset()
        self.selected: Selected | None = None
        self.exists = 0
        self._has_ended = False
        self._wire = connected(account)
        try:
            self._begin()
        except BaseException:
            self.close()
            raise

    @property
    def is_whole(self) -> bool:
        """Whether the connection is whole; commands may still wait for their answers."""
        return not self._has_ended and not self._wire.is_broken

    @property
    def is_usable(self) -> bool:
        """Whether another user may have the session: the connection is whole, and every command is answered."""
        return self.is_whole and not self._pending

    def is_silent(self) -> bool:
        """Return whether the server has sent nothing since the last command, such as the end of the connection."""
        return self._wire.is_silent()

    def has(self, capability: str) -> bool:
        """Return whether the server has a capability."""
        return capability.encode() in self.capabilities

    def send(self, *parts: bytes) -> bytes:
        """Send a command, without waiting for an answer to an earlier one; return its tag.

        A part that is not the first is an argument, which is quoted, or sent as a literal if it cannot be.
        """
        self._tags += 1
        tag = b"C%d" % self._tags
        line = tag + b" " + parts[0]
        for argument in parts[1:]:
            if _PLAIN.match(argument):
                line += b' "%b"' % argument
                continue
            self._wire.send(line + b" {%d}\r\n" % len(argument))
            self._await_continuation(tag)
            line = argument
        self._pending.add(tag)
        self._wire.send(line + b"\r\n")
        return tag

    def answers(self, tag: bytes) -> Iterator[tuple[bytes, Answer]]:
        """Yield the untagged answers, by their first word (of FETCH: after the number), until the command is done.

        A server may answer pipelined commands in any order, or mix their answers: some may belong to another command.
        Raise SourceError if the server refuses the command, or the connection breaks.
        """
        while tag in self._pending:
            answer = Answer(self._wire, self._wire.line())
            first = answer.word()
            if first == b"*":
                yield from self._untagged(answer)
            elif first in self._pending:
                self._complete(first, answer)
            elif first != b"+":
                raise self._bad(f"it begins with {first[:40]!r}")
        if (error := self._refused.pop(tag, None)) is not None:
            raise error

    def run(self, *parts: bytes) -> list[tuple[bytes, Answer]]:
        """Run one command, and return its untagged answers, whose literals must not have been left unread."""
        return [*self.answers(self.send(*parts))]

    def examine(self, name: str, *, again: bool = False) -> Selected:
        """Open a folder for reading, so that nothing in it can be changed; unless `again`, it may be open already."""
        if self.selected is not None and self.selected.name == name and not again:
            return self.selected
        self.selected, self.exists = None, 0
        validity = 0
        for word, answer in self.answers(self.send(b"EXAMINE", name.encode())):
            code = _CODE.search(answer.rest()) if word == b"OK" else None
            if code is not None and code[1].upper() == b"UIDVALIDITY":
                validity = number(code[2] or b"")
        if not validity:
            raise source_error("source_error", f"The server gives folder {name} no UIDVALIDITY", self.place)
        self.selected = Selected(name, validity, self.exists)
        return self.selected

    @property
    def place(self) -> str:
        """The account's URL, in which messages end."""
        return self._account.place

    def close(self) -> None:
        """Close the connection."""
        self._has_ended = True
        self._wire.close()

    def log_out(self) -> None:
        """Say goodbye, without waiting for the answer, and close the connection."""
        with suppress(SourceError):
            self.send(b"LOGOUT")
        self.close()

    def not_imap(self, error: BadAnswer) -> SourceError:
        """Return the error of an answer that is not IMAP; the session cannot be used any more."""
        return self._bad(str(error))

    def _begin(self) -> None:
        greeting = Answer(self._wire, self._wire.line())
        if greeting.word() != b"*":
            raise self._bad("its greeting is not one of IMAP")
        word, text = greeting.word(), greeting.rest()
        if word == b"BYE":
            raise refused("BYE", text.decode(errors="replace"), self.place)
        if word not in (b"OK", b"PREAUTH"):
            raise self._bad(f"its greeting is {word[:40]!r}")
        self._learn(text)
        if not self.capabilities:
            self._ask_capabilities()
        if not self._account.tls:
            self._start_tls()
        if word != b"PREAUTH":
            self._log_in()

    def _start_tls(self) -> None:
        if self.has("STARTTLS"):
            self.run(b"STARTTLS")
            self._wire.forget()
            self._wire.replace(encrypted(self._wire.socket, self._account))
            self._ask_capabilities()
        elif self._account.host not in _LOCAL:
            what = "The server offers no encryption (STARTTLS), and nothing secret is sent without it; use imaps://"
            raise source_error("bad_credentials", what, self.place)

    def _log_in(self) -> None:
        account = self._account
        if account.token is not None:
            said = f"user={account.user}\1auth=Bearer {account.token}\1\1".encode()
            self._authenticate(b"XOAUTH2", said)
        elif account.password is None:
            what = "There is neither a password nor a token; set one in the block, or in the environment"
            raise source_error("bad_credentials", what, self.place)
        elif self.has("AUTH=PLAIN"):
            self._authenticate(b"PLAIN", f"\0{account.user}\0{account.password}".encode())
        elif self.has("LOGINDISABLED"):
            what = "The server accepts no passwords (LOGINDISABLED); use a token, or imaps://"
            raise source_error("bad_credentials", what, self.place)
        else:
            self._checked_login(self.send(b"LOGIN", account.user.encode(), account.password.encode()))
        if not self.capabilities:
            self._ask_capabilities()

    def _authenticate(self, mechanism: bytes, secret: bytes) -> None:
        encoded = base64.b64encode(secret)
        if self.has("SASL-IR"):
            tag = self.send(b"AUTHENTICATE " + mechanism + b" " + encoded)
        else:
            tag = self.send(b"AUTHENTICATE " + mechanism)
            self._await_continuation(tag)
            self._wire.send(encoded + b"\r\n")
        self._checked_login(tag)

    def _checked_login(self, tag: bytes) -> None:
        """Await the answer to the credentials; XOAUTH2 sends its error as a challenge, which is answered empty."""
        self.capabilities = frozenset()
        while tag in self._pending:
            answer = Answer(self._wire, self._wire.line())
            first = answer.word()
            if first == b"+":
                self._wire.send(b"\r\n")
            elif first == b"*":
                for _ in self._untagged(answer):
                    pass
            elif first == tag:
                self._pending.discard(tag)
                kind, text = answer.word(), answer.rest()
                if kind != b"OK":
                    raise refused(kind.decode(errors="replace"), self._without_secrets(text), self.place, at_login=True)
                self._learn(text)
            else:
                raise self._bad(f"it begins with {first[:40]!r}")

    def _without_secrets(self, text: bytes) -> str:
        said = text.decode(errors="replace")
        for secret in (self._account.password, self._account.token):
            if secret:
                said = said.replace(secret, "…")
        return said

    def _ask_capabilities(self) -> None:
        self.capabilities = frozenset()
        self.run(b"CAPABILITY")

    def _await_continuation(self, tag: bytes) -> None:
        while True:
            answer = Answer(self._wire, self._wire.line())
            first = answer.word()
            if first == b"+":
                return
            if first == b"*":
                for _ in self._untagged(answer):
                    pass
                continue
            self._pending.discard(tag)
            raise refused(answer.word().decode(errors="replace"), self._without_secrets(answer.rest()), self.place)

    def _untagged(self, answer: Answer) -> Iterator[tuple[bytes, Answer]]:
        word = answer.word()
        if word.isdigit():
            kind = answer.word()
            if kind == b"EXISTS":
                self.exists = int(word)
            elif kind == b"EXPUNGE":
                self.exists -= 1
            elif kind == b"FETCH":
                yield kind, answer
        elif word == b"BYE":
            self._has_ended = True
            if self._pending:
                raise refused("BYE", self._without_secrets(answer.rest()), self.place)
        elif word == b"CAPABILITY":
            self.capabilities = frozenset(answer.rest().upper().split())
        else:
            yield word, answer

    def _complete(self, tag: bytes, answer: Answer) -> None:
        """Take the answer that ends a command; a refusal is raised when that command is awaited."""
        kind, text = answer.word(), answer.rest()
        self._pending.discard(tag)
        if kind == b"OK":
            self._learn(text)
        else:
            said = self._without_secrets(text)
            self._refused[tag] = refused(kind.decode(errors="replace"), said, self.place)

    def _learn(self, text: bytes) -> None:
        if found := _CAPABILITIES.search(text):
            self.capabilities = frozenset(found[1].upper().split())

    def _bad(self, what: str) -> SourceError:
        self._has_ended = True
        return source_error("source_error", f"The server's answer cannot be understood: {what}", self.place)
