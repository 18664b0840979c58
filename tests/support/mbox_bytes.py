"""Bytes of mbox files, as a file whose ranges can be read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

DATE = b"Mon Jan  5 10:00:00 2026"


@dataclass
class Held:
    """Bytes in memory as a file, which is read in pieces of a chosen size."""

    data: bytes
    piece: int = 1 << 20
    looks: int = 0

    @property
    def size(self) -> int:
        """The number of bytes."""
        return len(self.data)

    def stream(self, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Yield the bytes from `start` to `end`."""
        end = len(self.data) if end is None else end
        for at in range(start, end, self.piece):
            yield self.data[at : min(end, at + self.piece)]

    def read(self, start: int, end: int) -> bytes:
        """Return the bytes from `start` to `end`, and count the calls."""
        self.looks += 1
        return self.data[max(0, start) : end]


def separator(sender: bytes = b"ann@x.example", date: bytes = DATE) -> bytes:
    """Return a separator line."""
    return b"From " + sender + b" " + date + b"\n"


def mail(number: int, body: bytes = b"text\n", *fields: bytes) -> bytes:
    """Return a message; its body is empty or ends in a line feed, as mbox files want it."""
    assert not body or body.endswith(b"\n")
    lines = (
        b"Message-ID: <%d@x.example>" % number,
        b"From: Ann <ann@x.example>",
        b"Subject: message %d" % number,
        *fields,
    )
    return b"\n".join(lines) + b"\n\n" + body


def mbox(*mails: bytes) -> bytes:
    """Return an mbox file of these messages."""
    return b"".join(separator() + each + b"\n" for each in mails)
