"""The bytes of an mbox file as they pass by once: those around one place are in memory, and hashed as they leave it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import Final, Protocol

from prefect_collect.connectors.mbox.separators import LONGEST_LINE

KEPT: Final = 8
"""Bytes before the place that is looked at that are not hashed yet: the empty line before a separator."""

HELD: Final = 2_048
"""Bytes before the place that is looked at that stay in memory: the end of a message, by which it is known as whole."""

_CANDIDATE: Final = re.compile(rb"\nFrom (?:(?<=\n\nFrom )|(?<=\n\r\nFrom )|(?=[^\n]{0,%d}?\d:\d\d))" % LONGEST_LINE)
"""Matches every line that `kind_of` could take for more than text: after an empty line, or with a time."""


class Bytes(Protocol):
    """A file whose bytes can be read from any place on."""

    @property
    def size(self) -> int:
        """The number of its bytes."""

    def stream(self, start: int = 0, end: int | None = None) -> Iterator[bytes | memoryview]:
        """Yield the bytes from `start` to `end`."""

    def read(self, start: int, end: int) -> bytes:
        """Return the bytes from `start` to `end`, or to the file's end."""


class Passing:
    """The bytes of a file as they pass by: those around one place are in memory."""

    def __init__(self, file: Bytes) -> None:
        self._chunks = file.stream()
        self._buffer = bytearray()
        self._at = 0
        self._hashed = 0
        self._hash = hashlib.sha256()
        self.is_whole = False

    @property
    def end(self) -> int:
        """Where the bytes in memory end."""
        return self._at + len(self._buffer)

    def fill(self, until: int) -> bool:
        """Read on until the bytes before `until` are in memory; return False if the file ends before."""
        while self.end < until and not self.is_whole:
            chunk = next(self._chunks, None)
            if chunk is None:
                self.is_whole = True
            else:
                self._buffer += chunk
        return self.end >= until

    def peek(self, start: int, size: int) -> bytes:
        """Return up to so many bytes."""
        self.fill(start + size)
        return bytes(self._buffer[max(0, start - self._at) : max(0, start + size - self._at)])

    def find(self, sign: bytes, start: int) -> int:
        """Return where the next `sign` is, -1 if there is none in memory."""
        found = self._buffer.find(sign, max(0, start - self._at))
        return -1 if found < 0 else found + self._at

    def candidate(self, start: int) -> int:
        """Return where the next line begins that may be a separator, -1 if there is none in memory."""
        found = _CANDIDATE.search(self._buffer, max(0, start - self._at))
        return -1 if found is None else found.start() + 1 + self._at

    def begin(self, start: int) -> None:
        """Begin a hash at a place."""
        self._hash = hashlib.sha256()
        self._drop(start - HELD)
        self._hashed = start

    def hash_to(self, until: int) -> bytes:
        """Add the bytes before `until` to the hash, and drop them; return the hash so far."""
        if until > self._hashed:
            with memoryview(self._buffer) as view:
                self._hash.update(view[self._hashed - self._at : until - self._at])
            self._hashed = until
            self._drop(until - HELD)
        return self._hash.digest()

    def _drop(self, until: int) -> None:
        # Dropping costs a copy of what stays, so it waits until there is much to drop.
        if until - self._at > 1 << 19:
            del self._buffer[: until - self._at]
            self._at = until
