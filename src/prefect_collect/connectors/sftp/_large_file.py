"""Reading one file of any size over SFTP, its next reads under way while a piece is used."""

from __future__ import annotations

import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from prefect_collect.connectors.errors import source_error
from prefect_collect.connectors.sftp import _packets as packets
from prefect_collect.connectors.sftp._failures import status_error
from prefect_collect.connectors.sftp._packets import Attributes
from prefect_collect.connectors.sftp._place import Root, opened_time, require_regular
from prefect_collect.connectors.sftp._session import Exchange, Session
from prefect_collect.sources import Content, Item

_AHEAD: Final = 8 << 20
"""Bytes that are asked for ahead."""

_TICK: Final = 2.0
"""Seconds after a change within which another one could leave the same time, which has whole seconds."""


@contextmanager
def opened(root: Root, item: Item, session: Session) -> Iterator[Content]:
    """Open a file for the time of a `with` block.

    It must be a regular file before it is opened: opening a pipe would stop the server. A file that was changed within
    the last 2 seconds is read when these have passed; a change while it is read then has another time.

    Raises:
        SourceError: The file cannot be opened, has become something else, or leads out of the source.
    """
    with session.exchange() as exchange:
        file = _File(root, root.relative(item), session, exchange)
        session.count(1)
        try:
            before = file.open()
            try:
                yield Content(
                    file.pieces(sys.maxsize if before.size is None else before.size),
                    before.size,
                    opened_time(before.modified, item),
                    finish=lambda: file.end(before),
                )
            finally:
                file.close()
        finally:
            session.count(-1)


class _File:
    """A file that is open, or being opened."""

    def __init__(self, root: Root, path: bytes, session: Session, exchange: Exchange) -> None:
        self._root, self._session, self._exchange = root, session, exchange
        self._path, self._place = path, root.place(path)
        self._handle = b""
        self._end = sys.maxsize
        """Where the server says that the file ends, if it ends early."""

    def open(self) -> Attributes:
        """Open the file, and return its attributes."""
        absolute = packets.text(self._root.absolute(self._path))
        listed = self._attributes(packets.LSTAT, absolute)
        if listed.mode is not None and stat.S_ISLNK(listed.mode) and self._root.follow:
            listed = self._attributes(packets.STAT, absolute)
        require_regular(listed, self._place)
        self._require_within(absolute)
        if listed.modified is not None and 0 <= (age := time.time() - listed.modified) < _TICK:
            self._exchange.stop.wait(_TICK - age)
        self._exchange.send(packets.OPEN, absolute + packets.FOR_READING)
        reply = self._exchange.wait()
        if reply[0] != packets.HANDLE:
            code, said = packets.status(reply)
            if code == packets.FAILURE and self._session.handles > 1:
                self._session.allow(self._session.handles - 1)
                raise source_error("throttled", "The server refuses to open more files at once", self._place)
            raise status_error(code, said, self._place)
        self._handle = packets.text(packets.handle(reply))
        attributes = self._attributes(packets.FSTAT, self._handle)
        require_regular(attributes, self._place)
        return attributes

    def _require_within(self, absolute: bytes) -> None:
        self._exchange.send(packets.REALPATH, absolute)
        reply = self._exchange.wait()
        if reply[0] != packets.NAME:
            code, said = packets.status(reply)
            if code == packets.OP_UNSUPPORTED:
                return
            raise status_error(code, said, self._place)
        if (error := self._root.unsafe(self._path, packets.only_name(reply))) is not None:
            raise error

    def _attributes(self, kind: int, of: bytes) -> Attributes:
        self._exchange.send(kind, of)
        reply = self._exchange.wait()
        if reply[0] != packets.ATTRS:
            raise status_error(*packets.status(reply), self._place)
        return packets.attributes(reply)

    def pieces(self, size: int) -> Iterator[memoryview]:
        """Yield the bytes in order, up to `size`, or to where the server says that the file ends. Raise SourceError."""
        asked = at = 0
        came: dict[int, memoryview] = {}
        while at < min(size, self._end):
            chunk = self._session.chunk
            while asked < min(size, self._end) and asked - at < _AHEAD:
                self._ask(asked, min(chunk, size - asked))
                asked += min(chunk, size - asked)
            if at not in came:
                self._receive(came)
            while (piece := came.pop(at, None)) is not None:
                at += len(piece)
                yield piece

    def _ask(self, at: int, size: int) -> None:
        self._exchange.send(packets.READ, self._handle + packets.extent(at, size), (at, size))

    def _receive(self, came: dict[int, memoryview]) -> None:
        """Keep the answers that come next, by their offsets."""
        for (at, size), reply in self._exchange.receive():
            if reply[0] == packets.DATA:
                data = packets.data(reply)
                if not 0 < len(data) <= size:
                    raise packets.BadPacket(f"{len(data)} bytes where {size} were asked for")
                came[at] = data
                if len(data) < size:  # more may follow, or the file ends here
                    self._ask(at + len(data), size - len(data))
                continue
            code, said = packets.status(reply)
            if code != packets.EOF:
                raise status_error(code, said, self._place)
            self._end = min(self._end, at)

    def end(self, before: Attributes) -> None:
        """Raise SourceError if the file was changed since it was opened."""
        self._exchange.send(packets.FSTAT, self._handle, "end")
        while True:  # answers to READ may come before, if the file has ended early
            last = self._exchange.receive()[-1]
            if last[0] == "end":
                break
        if last[1][0] != packets.ATTRS:
            raise status_error(*packets.status(last[1]), self._place)
        after = packets.attributes(last[1])
        if (after.size, after.modified) != (before.size, before.modified):
            what = f"The file was written to while it was read (from {before.size} to {after.size} bytes)"
            raise source_error("changed_during_read", what, self._place)

    def close(self) -> None:
        """Close the file, if it was opened, without waiting for the answer."""
        if self._handle and self._session.is_alive:
            self._exchange.send(packets.CLOSE, self._handle)
            self._exchange.flush()
