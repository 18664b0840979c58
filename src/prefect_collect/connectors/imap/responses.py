"""The grammar of a server's answers (RFC 3501, section 9): atoms, quoted strings, lists and literals, within bounds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, Protocol, TypeAlias

Value: TypeAlias = "bytes | list[Value] | None"
"""A value: text as bytes, a list in parentheses, or NIL."""

BODY: Final = b"BODY[]"
"""The name of the attribute whose literal is streamed: the message."""

LONGEST_ANSWER: Final = 4 << 20
"""The most bytes of one answer that is held, without the message."""

_DEEPEST: Final = 200
_SPACES: Final = re.compile(rb" *")
_TOKEN: Final = re.compile(
    rb' *(?:(\()|(\))|"((?:[^"\\]++|\\.)*+)"|~?\{(\d{1,19})\+?\}\Z|([^ ()"{\x00-\x1f\x7f]+))', re.DOTALL
)
_OPEN, _CLOSE, _QUOTED, _SIZE = 1, 2, 3, 4
"""The groups of a token; the last is an atom."""

_LITERAL: Final = re.compile(rb"~?\{(\d{1,19})\+?\}\Z")
_NAME: Final = re.compile(rb"[^ ()\[\]\x00-\x1f]+(?:\[[^\]]*\](?:<\d+>)?)?")
_NUMBER: Final = re.compile(rb"\d{1,20}\Z")


class BadAnswer(Exception):
    """The server's answer is not IMAP, or exceeds a bound; the text says how."""


class Bytes(Protocol):
    """Where an answer comes from: `wire.Wire`, or a test's bytes."""

    def line(self) -> bytes:
        """Return the bytes up to the next end of a line, without it."""

    def pieces(self, size: int) -> Iterator[bytes]:
        """Yield the next `size` bytes in pieces."""

    def exactly(self, size: int) -> bytes:
        """Return the next `size` bytes."""


class Literal:
    """The message within an answer to FETCH; what is not read of it is dropped when the answer is read on."""

    def __init__(self, source: Bytes, size: int) -> None:
        self.size = size
        self._pieces = source.pieces(size)

    def __iter__(self) -> Iterator[bytes]:
        return self._pieces

    def read(self) -> bytes:
        """Return the message's bytes."""
        return b"".join(self._pieces)


class Answer:
    """One answer of a server, read from its line on; a literal in it is received when it is reached."""

    def __init__(self, source: Bytes, line: bytes) -> None:
        self._source = source
        self._line, self._at = line, 0
        self._size = len(line)

    def word(self) -> bytes:
        """Return the next word, up to a space, in capitals; b"" at the end."""
        end = self._line.find(b" ", self._at)
        end = len(self._line) if end < 0 else end
        word = self._line[self._at : end]
        self._at = min(end + 1, len(self._line))
        return word.upper()

    def rest(self) -> bytes:
        """Return the rest of the line."""
        rest, self._at = self._line[self._at :], len(self._line)
        return rest

    def value(self) -> Value:
        """Return the next value, with all that is in it. Raise BadAnswer."""
        open_lists: list[list[Value]] = []
        while True:
            token = _TOKEN.match(self._line, self._at)
            kind = (token.lastindex or 0) if token is not None else 0
            if token is None or (kind == _CLOSE and not open_lists):
                raise BadAnswer(f"a value is missing: there is {self._shown()}")
            self._at = token.end()
            done: Value
            if kind == _OPEN:
                if len(open_lists) == _DEEPEST:
                    raise BadAnswer(f"lists are nested more than {_DEEPEST} deep")
                open_lists.append([])
                continue
            if kind == _CLOSE:
                done = open_lists.pop()
            elif kind == _QUOTED:
                done = token[_QUOTED]
                if b"\\" in done:
                    done = re.sub(rb"\\(.)", rb"\1", done, flags=re.DOTALL)
            elif kind == _SIZE:
                done = self._literal(int(token[_SIZE]))
            else:
                done = None if token[kind].upper() == b"NIL" else token[kind]
            if not open_lists:
                return done
            open_lists[-1].append(done)

    def attributes(self) -> Iterator[tuple[bytes, Value | Literal]]:
        """Yield the names, in capitals, and the values of an answer to FETCH. Raise BadAnswer.

        A message (`BODY`) is a `Literal` that must be read before the next attribute is asked for.
        """
        self._skip_spaces()
        self._expect(b"(")
        while True:
            self._skip_spaces()
            if self._line[self._at : self._at + 1] == b")":
                return
            name = _NAME.match(self._line, self._at)
            if name is None:
                raise BadAnswer(f"an attribute has no name, but {self._shown()}")
            self._at = name.end()
            self._skip_spaces()
            literal = _LITERAL.match(self._line, self._at)
            if name[0].upper() == BODY and literal is not None:
                message = Literal(self._source, int(literal[1]))
                yield BODY, message
                for _ in message:  # the reader left the rest
                    pass
                self._next_line()
            else:
                yield name[0].upper(), self.value()

    def _literal(self, size: int) -> bytes:
        self._hold(size)
        data = self._source.exactly(size)
        self._next_line()
        return data

    def _next_line(self) -> None:
        self._line, self._at = self._source.line(), 0
        self._hold(len(self._line))

    def _hold(self, size: int) -> None:
        self._size += size
        if self._size > LONGEST_ANSWER:
            raise BadAnswer(f"an answer has more than {LONGEST_ANSWER:,} bytes beside the message")

    def _skip_spaces(self) -> None:
        self._at = _SPACES.match(self._line, self._at).end()  # type: ignore[union-attr]

    def _expect(self, what: bytes) -> None:
        if not self._line.startswith(what, self._at):
            raise BadAnswer(f"{what.decode()} is expected, and there is {self._shown()}")
        self._at += len(what)

    def _shown(self) -> str:
        return repr(self._line[self._at : self._at + 40]) if self._at < len(self._line) else "the end of the line"


def number(value: object) -> int:
    """Return the number that an atom states. Raise BadAnswer if the value is not a number."""
    if not isinstance(value, bytes) or not _NUMBER.match(value):
        raise BadAnswer(f"a number is expected, and there is {value!r:.60}")
    return int(value)


def uid_of(value: object) -> int:
    """Return the UID that a value is: a number of 32 bits. Raise BadAnswer."""
    uid = number(value)
    if not 0 < uid < 1 << 32:
        raise BadAnswer(f"{uid} is no UID")
    return uid


def uid_set(uids: list[int]) -> bytes:
    """Return ascending UIDs as a set of IMAP, with a range where they are consecutive: ``1:3,7``."""
    parts: list[str] = []
    start = last = -1
    for uid in [*uids, -1]:
        if last >= 0 and uid == last + 1:
            last = uid
            continue
        if last >= 0:
            parts.append(str(start) if start == last else f"{start}:{last}")
        start = last = uid
    return ",".join(parts).encode()
