"""Splitting an mbox file into its messages while its bytes pass by.

The file is read once, from its beginning to its end, with about 1 MiB of it in memory, whatever the sizes of file and
messages are. No byte is lost: the messages and what lies between them (separator lines, and the empty line before each)
are the file. A message's bytes are as they stand there, with the ``>`` that programs put before ``From``.

A line of a body that begins with ``From`` does not end a message:

- if a ``Content-Length`` of the header is right, that is, if it ends at the file's end or at a separator, then all
  lines before are the body's; one that is wrong, as after an edit, counts for nothing;
- if the line is not surely a separator (`separators.kind_of`). It then stays in the message, and its place is among the
  message's `doubts`, for the report.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from prefect_collect.connectors.mail.header import LONGEST_HEADER
from prefect_collect.connectors.mbox.passing import HELD, KEPT, Bytes, Passing
from prefect_collect.connectors.mbox.separators import LONGEST_LINE, Kind, kind_of

_MOST_DOUBTS: Final = 20
_PEEK: Final = 2 * LONGEST_LINE + 16
"""Bytes by which a separator and the line after it are recognised."""

_FREE_LOOKS: Final = 16
"""How many wrong lengths that lead out of what is in memory are looked at in a file before they are worth no more."""

_START: Final = re.compile(rb"(?:\xef\xbb\xbf)?(?:\r?\n)*(?=From [^\n]{0,%d}(?:\n|\Z))" % LONGEST_LINE)
_END_OF_HEADER: Final = re.compile(rb"\n\r?\n")
_LENGTH: Final = re.compile(rb"^content-length:[ \t]*(\d{1,15})[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
_MULTIPART: Final = re.compile(rb"^content-type:[ \t]*multipart/", re.IGNORECASE | re.MULTILINE)
_BOUNDARY: Final = re.compile(rb"\bboundary=(?:\"([^\"\r\n]{1,200})\"|([^\s;\"]{1,200}))", re.IGNORECASE)
_NEXT: Final = re.compile(rb"(?:\r?\n)?(?=From )")
_EMPTY_LINES: Final = re.compile(rb"(?:\r?\n){0,2}")


@dataclass(slots=True)
class Message:
    """A message of an mbox file, or (number 0) what lies before the first one.

    Attributes:
        number: Which message it is, from 1 on.
        separator: Where its separator line begins.
        line: The separator line, without its end.
        start: Where the message begins.
        end: Where it ends.
        head: Its first bytes, with the header.
        sha256: The SHA-256 of its bytes.
        doubts: Where lines of it begin that may be separators; no more than 20.
        is_open: True if it is made of parts (MIME) and ends before the line that should end these, so that the
            separator after it may be text of a part.
    """

    number: int
    separator: int
    line: bytes
    start: int
    end: int = 0
    head: bytes = b""
    sha256: bytes = b""
    doubts: list[int] = field(default_factory=list)
    is_open: bool = False


def is_mbox(start: bytes) -> bool:
    """Return whether a file that begins so is an mbox file."""
    return _START.match(start) is not None


def messages(file: Bytes) -> Iterator[Message]:
    """Yield the messages of an mbox file, in order; of a file that is not mbox, all its bytes as message 0."""
    return _Splitter(file).messages()


class _Splitter:
    def __init__(self, file: Bytes) -> None:
        self._file = file
        self._passing = Passing(file)
        self._number = 0
        self._looks = _FREE_LOOKS
        self._length_end: int | None = None
        self._is_right: bool | None = None

    def messages(self) -> Iterator[Message]:
        passing = self._passing
        start = _START.match(passing.peek(0, 64 << 10))
        current: Message | None = Message(0, 0, b"", 0) if start is None else self._begin(start.end())
        if start is None:
            passing.begin(0)
        while current is not None:
            following = self._rest(current)
            if current.number or current.end > current.start:
                yield current
            current = following

    def _begin(self, separator: int) -> Message:
        """Return the message whose separator line is at a place, with its header."""
        passing = self._passing
        line_end = self._line_end(separator)
        line = passing.peek(separator, min(line_end - separator, LONGEST_LINE)).rstrip(b"\r\n")
        self._number += 1
        message = Message(self._number, separator, line, line_end)
        passing.begin(line_end)
        head, size = b"", 4 << 10
        while True:
            head = passing.peek(line_end - 1, size + 1)
            found = _END_OF_HEADER.search(head)
            if found is not None or len(head) <= size or size >= LONGEST_HEADER:
                break
            size *= 4
        message.head = head[1 : None if found is None else found.end()]
        lengths = _LENGTH.findall(message.head)
        known = found is not None and len(lengths) == 1
        self._length_end = line_end - 1 + found.end() + int(lengths[0]) if known and found is not None else None
        self._is_right = None
        return message

    def _line_end(self, start: int) -> int:
        """Return where a line ends, after its line feed; of a line without an end, where the file ends."""
        at = start
        while (found := self._passing.find(b"\n", at)) < 0:
            at = self._passing.end
            if not self._passing.fill(at + 1):
                return at
        return found + 1

    def _rest(self, message: Message) -> Message | None:
        """Read a message to its end, and return the next one."""
        passing, at = self._passing, message.start - 1 if message.start else 0
        while True:
            found = passing.candidate(at)
            if found < 0:
                at = max(at, passing.end - _PEEK)  # a line that is not whole in memory yet is looked at again
                passing.hash_to(max(message.start, at - KEPT))
                if not passing.fill(passing.end + 1):
                    self._last(message)
                    return None
                continue
            at = found
            if self._is_within_length(message, at):
                assert self._length_end is not None
                at = self._pass_to(self._length_end)
                continue
            after = self._judged(message, at)
            if after is not None:
                return after

    def _judged(self, message: Message, at: int) -> Message | None:
        """Return the message that begins at this place; None if the line is, or may be, text of this one."""
        passing = self._passing
        around = passing.peek(at - 3, 3) if at >= 3 else passing.peek(0, at)
        empty = 2 if around.endswith(b"\n\r\n") else 1 if around.endswith(b"\n\n") else 0
        data = passing.peek(at, _PEEK)
        line, _, following = data.partition(b"\n")
        kind = Kind.TEXT if len(line) > LONGEST_LINE else kind_of(line, following, after_empty=empty > 0)
        if self._is_at_length(at, empty) and kind is Kind.DOUBTFUL:
            kind = Kind.SEPARATOR
        if kind is Kind.DOUBTFUL and len(message.doubts) < _MOST_DOUBTS:
            message.doubts.append(at)
        if kind is not Kind.SEPARATOR:
            return None
        self._finish(message, max(message.start, at - empty), at)
        if self._length_end is None or not at - empty <= self._length_end <= at:
            message.is_open = self._is_open(message, at)
        return self._begin(at)

    def _is_open(self, message: Message, at: int) -> bool:
        boundary = _BOUNDARY.search(message.head) if _MULTIPART.search(message.head) else None
        if boundary is None:
            return False
        start = max(message.start, at - HELD)
        return b"--" + (boundary[1] or boundary[2]) + b"--" not in self._passing.peek(start, at - start)

    def _last(self, message: Message) -> None:
        size = self._passing.end
        tail = self._passing.peek(max(message.start, size - 3), 3)
        empty = 2 if tail.endswith(b"\n\r\n") else 1 if tail.endswith(b"\n\n") else 0
        if message.start > 0 and tail in (b"\n", b"\r\n"):  # a message that is an empty line alone
            empty = len(tail)
        self._finish(message, size - empty, size)

    def _finish(self, message: Message, end: int, next_at: int) -> None:
        length = self._length_end
        if length is not None and message.start <= length <= next_at:
            between = self._passing.peek(length, next_at - length) if next_at - length <= KEPT // 2 else b"x"
            if _EMPTY_LINES.fullmatch(between) is not None:
                end = length
        message.end = end
        message.sha256 = self._passing.hash_to(end)

    def _is_at_length(self, at: int, empty: int) -> bool:
        return self._length_end is not None and at - empty <= self._length_end <= at

    def _is_within_length(self, message: Message, at: int) -> bool:
        """Return whether a place lies in the body that the header's length states, if that length is right."""
        if self._length_end is None or at >= self._length_end or not message.number:
            return False
        if self._is_right is None:
            self._is_right = self._leads_on(self._length_end)
        return self._is_right

    def _leads_on(self, end: int) -> bool:
        """Return whether a message that ends at a place ends at the file's end, or before a separator."""
        if end > self._file.size:
            return False
        is_near = end + _PEEK <= self._passing.end + (1 << 20)
        if not is_near:
            if self._looks <= 0:
                return False
            self._looks -= 1
        start = end - 1
        data = self._passing.peek(start, _PEEK) if is_near else self._file.read(start, start + _PEEK)
        found = _NEXT.match(data, 1)
        if found is None:
            right = end + 2 >= self._file.size and _EMPTY_LINES.fullmatch(data, 1) is not None
        else:
            line, _, following = data[found.end() :].partition(b"\n")
            is_on_its_own = data[found.end() - 1 : found.end()] == b"\n"
            right = is_on_its_own and kind_of(line, following, after_empty=found.end() > 1) is not Kind.TEXT
        if right and not is_near:
            self._looks += 2
        return right

    def _pass_to(self, end: int) -> int:
        """Read on to the end that a length states; return from where to look for the next separator."""
        passing = self._passing
        while passing.end < end and passing.fill(passing.end + 1):
            passing.hash_to(min(end, passing.end) - KEPT)
        return max(end - 1, 0)
