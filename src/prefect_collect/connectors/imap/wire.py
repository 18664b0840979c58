"""The bytes of an IMAP connection: lines, literals of any size, timeouts and cancels."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator
from time import monotonic
from typing import Final

from prefect_collect.connectors.errors import source_error
from prefect_collect.errors import SourceError
from prefect_collect.threads.stop import current_stop

PIECE: Final = 256 << 10
"""The most bytes that are received at once, and that a chunk of a literal has."""

LONGEST_LINE: Final = 64 << 20
"""The most bytes of a line: SEARCH answers with one, of up to 11 bytes a message."""

_LOOK: Final = 0.5
"""Seconds between two checks whether the job was canceled."""


class Wire:
    """A connected socket, used by one thread at a time. Every error is a SourceError, or JobCanceled."""

    def __init__(self, connection: socket.socket, place: str, read_timeout: float) -> None:
        self.place = place
        self._socket = connection
        self._read_timeout = read_timeout
        self.is_broken = False
        self._data = b""
        self._at = 0
        connection.settimeout(_LOOK)

    def send(self, data: bytes) -> None:
        """Send bytes."""
        try:
            self._socket.settimeout(self._read_timeout)
            self._socket.sendall(data)
            self._socket.settimeout(_LOOK)
        except OSError as error:
            raise self._lost(error) from error

    def line(self) -> bytes:
        """Return the bytes up to the next end of a line, without it."""
        parts: list[bytes] = []
        size = 0
        while (end := self._data.find(b"\n", self._at)) < 0:
            parts.append(self._data[self._at :])
            size += len(parts[-1])
            if size > LONGEST_LINE:
                self.is_broken = True
                raise source_error("source_error", f"The server sent a line of more than {size:,} bytes", self.place)
            self._receive()
        parts.append(self._data[self._at : end])
        self._at = end + 1
        line = parts[0] if len(parts) == 1 else b"".join(parts)
        return line[:-1] if line.endswith(b"\r") else line

    def pieces(self, size: int) -> Iterator[bytes]:
        """Yield the next `size` bytes, at most `PIECE` at a time."""
        while size:
            if self._at == len(self._data):
                self._receive()
            piece = self._data[self._at : self._at + size]
            self._at += len(piece)
            size -= len(piece)
            yield piece

    def exactly(self, size: int) -> bytes:
        """Return the next `size` bytes."""
        return b"".join(self.pieces(size))

    def is_silent(self) -> bool:
        """Return whether nothing waits to be received."""
        try:
            return self._at == len(self._data) and not select.select([self._socket], [], [], 0)[0]
        except (OSError, ValueError):
            return False

    def forget(self) -> None:
        """Drop what was received: before TLS begins, nothing that came unencrypted may count as said within it."""
        self._data, self._at = b"", 0

    def replace(self, connection: socket.socket) -> None:
        """Go on with another socket: the same connection, within TLS."""
        self._socket = connection
        connection.settimeout(_LOOK)

    @property
    def socket(self) -> socket.socket:
        """The socket."""
        return self._socket

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _receive(self) -> None:
        """Wait for more bytes; in between look whether the job was canceled."""
        self.is_broken = True  # unless bytes come
        deadline = monotonic() + self._read_timeout
        while True:
            try:
                data = self._socket.recv(PIECE)
                break
            except TimeoutError:
                current_stop().require_going()
                if monotonic() > deadline:
                    silent = f"The server sent nothing for {self._read_timeout:g} seconds"
                    raise source_error("timeout", silent, self.place) from None
            except OSError as error:
                raise self._lost(error) from error
        if not data:
            raise source_error("connection_lost", "The server closed the connection", self.place)
        self._data, self._at, self.is_broken = data, 0, False

    def _lost(self, error: OSError) -> SourceError:
        """Return the error of a connection that broke."""
        self.is_broken = True
        if isinstance(error, TimeoutError):
            return source_error("timeout", "The server did not take what was sent in time", self.place)
        return source_error("connection_lost", f"The connection broke: {error.strerror or error}", self.place)
