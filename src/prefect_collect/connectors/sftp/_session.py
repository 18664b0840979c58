"""One connection to an SFTP server, over which several threads have requests under way at once.

A protocol of our own, because it lists and reads 10,000 small files 10 to 12 times as fast as ``rclone copy`` (on idle
loopback, by a prototype; whole collections: docs/sources.md): requests do not wait for the answers of earlier ones.
asyncssh and paramiko encrypt in Python's process and know neither all of ``~/.ssh/config`` nor every agent; OpenSSH's
``ssh`` does both, in a process of its own.
"""

from __future__ import annotations

import os
import select
import threading
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from prefect_collect.connectors.errors import source_error
from prefect_collect.connectors.sftp import _packets as packets
from prefect_collect.connectors.sftp._ssh import Ssh
from prefect_collect.errors import SourceError
from prefect_collect.threads.stop import current_stop

if TYPE_CHECKING:
    from prefect_collect.connectors.sftp._place import Root

Request = tuple[int, bytes, Any]

_LOOK: Final = 0.2
"""Seconds between two checks for a cancel, and for what another thread wants to send."""

_AT_ONCE: Final = 1 << 18
_CHUNK: Final = 32 << 10
"""The bytes of a READ that every server has to answer in full."""

_LEAST_CHUNK: Final = 256
_MOST_CHUNK: Final = 255 << 10
_MOST_HANDLES: Final = 64
_LIMITS: Final = b"limits@openssh.com"
_OPENSSH: Final = {_LIMITS, b"lsetstat@openssh.com", b"posix-rename@openssh.com"}
"""Extensions by which OpenSSH's own server (from 8.5 on) is known."""


class Session:
    """A connection; `exchange` gives a thread its part of it.

    The thread that waits for an answer receives those of the others, too, so that one thread alone pays for no other.

    Attributes:
        chunk: The bytes of a READ; made smaller if the server answers with fewer.
        most_handles: How many files and folders may be open at once; made smaller if the server refuses more.
        handles: How many are open, or being opened.
        users: How many threads use it; changed by its pool only.
        root: What it has found of the source's root.
        reads_in_order: Whether several READDIR of a folder may be under way: OpenSSH's server answers one by one.
    """

    def __init__(self, ssh: Ssh, place: str, *, connect_timeout: float, read_timeout: float) -> None:
        self.place, self._ssh = place, ssh
        self._patience = connect_timeout + read_timeout  # until the server's first answer
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._is_receiving = False
        self._waiting: dict[int, tuple[Exchange, Any]] = {}
        self._number = 0
        self._out, self._in = bytearray(), packets.Received()
        self._heard = monotonic()
        self._failure: SourceError | None = None
        self.users, self.reads_in_order = 0, False
        self.root: Root | None = None
        self.chunk, self.most_handles, self.handles = _CHUNK, _MOST_HANDLES, 0
        try:
            self._begin()
        except BaseException:
            self.close()
            raise
        self._patience = read_timeout

    def _begin(self) -> None:
        """Agree on the version, and learn the server's limits."""
        with self.exchange() as exchange:
            self._out += packets.init()
            self._waiting[packets.OF_VERSION] = exchange, None
            extensions = packets.version(exchange.wait())
            self._ssh.connected()
            self.reads_in_order = extensions.keys() >= _OPENSSH
            if _LIMITS not in extensions:
                return
            exchange.send(packets.EXTENDED, packets.text(_LIMITS))
            reply = exchange.wait()
            if reply[0] == packets.EXTENDED_REPLY:
                most_read, handles = packets.limits(reply)
                self.chunk = max(_CHUNK, min(most_read or _MOST_CHUNK, _MOST_CHUNK))
                if handles:
                    self.most_handles = max(1, min(_MOST_HANDLES, handles - 2))

    @property
    def is_alive(self) -> bool:
        """Whether requests can be sent."""
        return self._failure is None

    def count(self, more: int) -> None:
        """Count files or folders that are opened, or (negative) closed."""
        with self._lock:
            self.handles += more

    def allow(self, handles: int) -> None:
        """Have at most so many open from now on, as the server refused to open more."""
        self.most_handles = max(1, min(self.most_handles, handles))

    def expect(self, size: int) -> None:
        """Ask for at most so many bytes at once from now on, as the server answers with no more."""
        self.chunk = max(_LEAST_CHUNK, min(self.chunk, size))

    def exchange(self) -> Exchange:
        """Return a part of the connection for one thread; use it as a context manager."""
        return Exchange(self)

    def broken(self, error: packets.BadPacket) -> SourceError:
        """End the connection because of what the server sent; return the error."""
        with self._changed:
            return self._fail(source_error("connection_lost", f"The server sent {error}, which is no SFTP", self.place))

    def close(self) -> None:
        """End the connection."""
        with self._changed:
            self._fail(source_error("connection_lost", "The connection was closed", self.place))

    def _fail(self, error: SourceError) -> SourceError:
        """Keep the first error; every thread that waits raises it. The lock is held."""
        if self._failure is None:
            self._failure = error
            self._ssh.end()
            self._waiting.clear()
            self._changed.notify_all()
        if not self._is_receiving:  # else the thread that receives could read from what is opened next
            self._ssh.close()
        return self._failure

    def send(self, exchange: Exchange, requests: Iterable[Request]) -> None:
        """Put requests in line; `flush` sends them."""
        with self._lock:
            if not self._waiting:
                self._heard = monotonic()
            for kind, body, tag in requests:
                self._number = number = self._number + 1 & 0x7FFFFFFF
                self._waiting[number] = exchange, tag
                self._out += packets.packet(kind, number, body)

    def flush(self) -> None:
        """Send what the pipe takes at once; the rest is sent while answers are received."""
        with self._changed:
            if self._failure is None:
                self._write()

    def _write(self) -> None:
        try:
            while self._out:
                del self._out[: os.write(self._ssh.write, self._out[:_AT_ONCE])]
        except BlockingIOError:
            pass
        except OSError:
            self._fail(self._ssh.error())

    def receive(self, exchange: Exchange) -> None:
        """Wait until the exchange has answers. Raise SourceError if the connection broke or the job was canceled."""
        stop = exchange.stop
        while True:
            with self._changed:
                if exchange.answers:
                    return
                if self._failure is not None:
                    raise type(self._failure)(str(self._failure), code=self._failure.code)  # each thread its own
                if stop.canceled:
                    # The server may never answer: the next job needs another connection.
                    raise self._fail(source_error("connection_lost", "The job was canceled", self.place))
                self._write()
                if self._failure is not None:
                    continue  # the pipes are closed, and their numbers may be those of what another thread opens
                if self._is_receiving:
                    self._changed.wait(_LOOK)
                    continue
                self._is_receiving = True
                poll = select.poll()
                poll.register(self._ssh.read, select.POLLIN)
                if self._out:
                    poll.register(self._ssh.write, select.POLLOUT)
            received: bytes | None = None
            try:
                received = self._received()
                if received is None and poll.poll(_LOOK * 1000):
                    received = self._received()
            finally:
                with self._changed:
                    self._is_receiving = False
                    self._take(received)
                    if self._failure is not None:
                        self._ssh.close()
                    if self.users > 1:
                        self._changed.notify_all()

    def _received(self) -> bytes | None:
        """Return what has come; None if that is nothing, b"" if nothing comes any more."""
        try:
            return os.read(self._ssh.read, _AT_ONCE)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    def _take(self, received: bytes | None) -> None:
        if self._failure is not None:
            return
        if received == b"":
            self._fail(self._ssh.error())
        elif received:
            self._heard = monotonic()
            try:
                self._dispatch(received)
            except packets.BadPacket as error:
                self._fail(source_error("connection_lost", f"The server sent {error}, which is no SFTP", self.place))
        elif self._waiting and monotonic() - self._heard > self._patience:
            what = f"The server did not answer for {self._patience:g} seconds"
            self._fail(source_error("timeout", what, self.place))

    def _dispatch(self, received: bytes) -> None:
        """Hand each whole packet to the exchange that waits for it."""
        for number, reply in self._in.take(received):
            if (found := self._waiting.pop(number, None)) is None:
                raise packets.BadPacket(f"an answer to request {number}, which was not sent")
            exchange, tag = found
            if exchange.is_open:
                exchange.answers.append((tag, reply))
            elif reply[0] == packets.HANDLE:
                self._close_abandoned(packets.handle(reply))

    def leave(self, exchange: Exchange) -> None:
        """Drop the answers of an exchange, and close what they opened."""
        with self._changed:
            exchange.is_open = False
            for _, reply in exchange.answers:
                if reply[0] == packets.HANDLE:
                    with suppress(packets.BadPacket):
                        self._close_abandoned(packets.handle(reply))
            exchange.answers.clear()

    def _close_abandoned(self, handle: bytes) -> None:
        """Close what a thread opened that has gone since."""
        self._number = self._number + 1 & 0x7FFFFFFF
        self._waiting[self._number] = Exchange(self, is_open=False), None
        self._out += packets.packet(packets.CLOSE, self._number, packets.text(handle))


class Exchange:
    """A thread's requests and their answers. Leaving its `with` block drops the answers that are still under way."""

    def __init__(self, session: Session, *, is_open: bool = True) -> None:
        self.session, self.is_open = session, is_open
        self.answers: deque[tuple[Any, bytes]] = deque()
        self.stop = current_stop()

    def send(self, kind: int, body: bytes, tag: Any = None) -> None:
        """Put a request in line; the answer comes with the tag. It is sent by `receive` or `flush`."""
        self.session.send(self, ((kind, body, tag),))

    def send_all(self, requests: Iterable[Request]) -> None:
        """Put requests in line: of each its type, its body, and the tag with which the answer comes."""
        self.session.send(self, requests)

    def flush(self) -> None:
        """Send now."""
        self.session.flush()

    def receive(self) -> list[tuple[Any, bytes]]:
        """Send, wait, and return the answers that have come, in their order.

        Raise SourceError if the connection broke or the job was canceled.
        """
        if not self.answers:
            self.session.receive(self)
        found = [*self.answers]
        self.answers.clear()
        return found

    def wait(self) -> bytes:
        """Send, and return the next answer. Raise as `receive`."""
        if not self.answers:
            self.session.receive(self)
        return self.answers.popleft()[1]

    def __enter__(self) -> Exchange:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        """Leave; raise SourceError in the place of a BadPacket, which ends the connection."""
        self.session.leave(self)
        if isinstance(error, packets.BadPacket):
            raise self.session.broken(error) from error
