"""Answers of an IMAP server from bytes, without a connection."""

from __future__ import annotations

from collections.abc import Iterator

from prefect_collect.connectors.imap.responses import Answer


class Given:
    """Bytes that were received; reading beyond them raises EOFError."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def line(self) -> bytes:
        """Return the bytes up to the next end of a line, without it."""
        line, end, self._data = self._data.partition(b"\n")
        if not end:
            raise EOFError
        return line[:-1] if line.endswith(b"\r") else line

    def pieces(self, size: int) -> Iterator[bytes]:
        """Yield the next `size` bytes, in two pieces."""
        for part in (size // 2, size - size // 2):
            yield self.exactly(part)

    def exactly(self, size: int) -> bytes:
        """Return the next `size` bytes."""
        if len(self._data) < size:
            raise EOFError
        found, self._data = self._data[:size], self._data[size:]
        return found


def answer_of(data: bytes) -> Answer:
    """Return the answer that bytes are."""
    given = Given(data)
    return Answer(given, given.line())
