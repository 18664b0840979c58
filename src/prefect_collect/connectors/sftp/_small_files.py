"""Reading many small files over SFTP, the requests of all under way at once."""

from __future__ import annotations

import stat
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from prefect_collect.connectors.errors import source_error
from prefect_collect.connectors.sftp import _packets as packets
from prefect_collect.connectors.sftp._failures import status_error
from prefect_collect.connectors.sftp._packets import Attributes
from prefect_collect.connectors.sftp._place import Root, opened_time, require_regular
from prefect_collect.connectors.sftp._session import Exchange, Session
from prefect_collect.errors import SourceError
from prefect_collect.sources import MOST_AT_ONCE, Content, Item

_MOST_BYTES: Final = 16 << 20
"""Bytes that may be under way at once, unless a single file has more."""

_TIMES: Final = 8
"""How often a file is read at once: it has grown, or the server answers with less than it was asked for."""

_IN_ORDER: Final = 64
"""Files under way at least, if the server works on a connection's requests one by one: more are no more work for it at
once, and it does not wait for ours."""

_REALPATH, _OPEN, _FSTAT, _CLOSE = -1, -2, -3, -4


@dataclass(eq=False, slots=True)
class _Read:
    """A file that is being read: the answers that have come, and how many are still under way."""

    item: Item
    path: bytes
    absolute: bytes
    expected: int
    under_way: int = 0
    handle: bytes = b""
    parts: dict[int, memoryview] = field(default_factory=dict)
    real: bytes | None = None
    attributes: Attributes | None = None
    error: SourceError | None = None
    is_refused: bool = False
    times: int = 0

    def begin_again(self, expected: int) -> None:
        """Forget the answers, to read the file again."""
        self.parts.clear()
        self.expected, self.handle, self.real, self.attributes = expected, b"", None, None
        self.error, self.is_refused = None, False
        self.times += 1

    def data(self) -> list[memoryview]:
        """Return the bytes from the beginning up to the first gap."""
        found, at = [], 0
        while part := self.parts.get(at):
            found.append(part)
            at += len(part)
        return found


class SmallFiles:
    """The files that are read at once over one connection.

    Of each file these requests are sent: REALPATH and OPEN; then at once READ for all its bytes and one more, FSTAT
    and CLOSE. So the attributes are those after the last byte, and each file costs two round trips.

    Attributes:
        left: The items that are under way.
    """

    def __init__(self, root: Root, session: Session, exchange: Exchange) -> None:
        self._root, self._session, self._exchange = root, session, exchange
        self._again: deque[_Read] = deque()
        self._active: dict[int, _Read] = {}
        self._bytes = 0

    def read(self, waiting: Iterator[Item], concurrency: int) -> Iterator[tuple[Item, Content | Exception]]:
        """Yield each item with what was read of it, in the order in which the answers end.

        Raise SourceError if the connection breaks; `left` then has the items that were taken and not yielded.

        Args:
            waiting: The items.
            concurrency: How many to read at once; more, if the server answers in order anyway.
        """
        at_once = max(concurrency, _IN_ORDER) if self._session.reads_in_order else concurrency
        taken: Item | None = None
        done: list[tuple[_Read, Content | SourceError]] = []
        try:
            while True:
                while len(self._active) < at_once:
                    if self._again:
                        if not self._has_room(self._again[0].expected):
                            break
                        self._start(self._again.popleft())
                        continue
                    taken = next(waiting, None) if taken is None else taken
                    if taken is None or not self._has_room(taken.size or 0):
                        break
                    item, taken = taken, None
                    try:
                        path = self._root.relative(item)
                    except SourceError as error:
                        yield item, error
                        continue
                    self._start(_Read(item, path, self._root.absolute(path), item.size or 0))
                if done:
                    self._exchange.flush()  # the server has something to do while these are used
                    yield from self._given(done)
                    done = []
                    continue
                if not self._active:
                    return
                try:
                    for tag, reply in self._exchange.receive():
                        if (read := self._take(tag, reply)) is not None and (content := self._ended(read)) is not None:
                            done.append((read, content))
                except SourceError:
                    yield from self._given(done)
                    raise
        finally:
            if taken is not None:
                self._again.append(_Read(taken, b"", b"", 0))
            self._session.count(-len(self._active))

    def _given(self, done: list[tuple[_Read, Content | SourceError]]) -> Iterator[tuple[Item, Content | Exception]]:
        for read, content in done:
            yield read.item, content
            self._bytes -= read.expected

    @property
    def left(self) -> list[Item]:
        """The items that were taken and have no answer."""
        return [read.item for read in (*self._active.values(), *self._again)]

    def _has_room(self, size: int) -> bool:
        if not self._active:
            return True
        return self._session.handles < self._session.most_handles and self._bytes + size <= _MOST_BYTES

    def _start(self, read: _Read) -> None:
        self._active[id(read)] = read
        self._bytes += read.expected
        self._session.count(1)
        path = packets.text(read.absolute)
        read.under_way = 2
        self._exchange.send_all(
            (
                (packets.REALPATH, path, (read, _REALPATH)),
                (packets.OPEN, path + packets.FOR_READING, (read, _OPEN)),
            )
        )

    def _take(self, tag: tuple[_Read, int], reply: bytes) -> _Read | None:
        """Keep an answer; return the file if it was the last one."""
        read, what = tag
        read.under_way -= 1
        kind = reply[0]
        try:
            if kind == packets.DATA and what >= 0:
                read.parts[what] = packets.data(reply)
            elif kind == packets.HANDLE and what == _OPEN:
                read.handle = packets.handle(reply)
                self._ask(read)
            elif kind == packets.ATTRS and what == _FSTAT:
                read.attributes = packets.attributes(reply)
            elif kind == packets.NAME and what == _REALPATH:
                read.real = packets.only_name(reply)
            elif what != _CLOSE:
                self._refused(read, what, *packets.status(reply))
        except packets.BadPacket as error:
            raise self._session.broken(error) from error
        if read.under_way:
            return None
        del self._active[id(read)]
        self._session.count(-1)
        return read

    def _ask(self, read: _Read) -> None:
        """Ask for all bytes and one more, which shows whether the file has grown, for its attributes, and close it."""
        handle, chunk, end = packets.text(read.handle), self._session.chunk, read.expected + 1
        requests = [
            (packets.READ, handle + packets.extent(at, min(chunk, end - at)), (read, at)) for at in range(0, end, chunk)
        ]
        requests += (packets.FSTAT, handle, (read, _FSTAT)), (packets.CLOSE, handle, (read, _CLOSE))
        self._exchange.send_all(requests)
        read.under_way += len(requests)

    def _refused(self, read: _Read, what: int, code: int, said: str) -> None:
        if (what == _REALPATH and code == packets.OP_UNSUPPORTED) or (what >= 0 and code == packets.EOF):
            return
        if what == _OPEN:  # what opening says counts more than what was said of the path before
            read.is_refused = code == packets.FAILURE
        elif read.error is not None:
            return
        read.error = status_error(code, said, self._root.place(read.path))

    def _ended(self, read: _Read) -> Content | SourceError | None:
        """Return what was read, or why it was not; None if the file is read again."""
        if read.is_refused and self._session.handles and read.times < _TIMES:
            self._session.allow(self._session.handles)
            if not self._active:  # others on this connection have the handles
                self._exchange.stop.wait(0.1)
            self._once_more(read, read.expected)
            return None
        if read.is_refused and self._session.handles:
            return self._error(read, "throttled", "The server refuses to open more files at once")
        if read.error is not None:
            return read.error
        if read.real != read.absolute and (error := self._root.unsafe(read.path, read.real)) is not None:
            return error
        attributes = read.attributes or Attributes()
        if attributes.mode is not None and not stat.S_ISREG(attributes.mode):
            try:
                require_regular(attributes, self._root.place(read.path))
            except SourceError as error:
                return error
        data = read.data()
        got, size = sum(map(len, data)), attributes.size
        is_changed = read.item.is_current and read.item.size is not None and read.item.size != size
        if size is None and got > read.expected:
            return self._error(read, "changed_during_read", "The file is longer than it was listed")
        if size is None or got == size or is_changed:  # what changed is found by the comparison with the listing
            return Content(data, size, opened_time(attributes.modified, read.item))
        if got > size or size > MOST_AT_ONCE:
            return self._error(read, "changed_during_read", f"The file has now {size:,} bytes; more were read")
        if read.times >= _TIMES:
            return self._error(read, "truncated", f"The server gave {got:,} of {size:,} bytes")
        if data and got < read.expected:
            self._session.expect(min(len(part) for part in data))
        self._once_more(read, size)
        return None

    def _error(self, read: _Read, code: str, what: str) -> SourceError:
        return source_error(code, what, self._root.place(read.path))

    def _once_more(self, read: _Read, expected: int) -> None:
        self._bytes -= read.expected
        read.begin_again(expected)
        self._again.append(read)
