"""A relay between a client and a mail server, which can cut connections, let them hang, or refuse them."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class MailProxy:
    """A relay on a port of its own.

    Attributes:
        port: The port.
        connections: How many connections it has accepted.
        cut_after: The bytes of the server that each of the next connections relays before it is cut; used up first to
            last.
        hangs_after: The bytes of the server after which a connection relays nothing more; None for never.
        is_hanging: Set when a connection hangs.
        is_down: Whether connections are closed at once, as of a server that is restarted.
    """

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.connections = 0
        self.cut_after: list[int] = []
        self.hangs_after: int | None = None
        self.is_hanging = threading.Event()
        self.is_down = False
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def cut_all(self) -> None:
        """Cut every connection, as a server that is restarted does."""
        for connection in self._open:
            _shut(connection)
        self._open.clear()

    def close(self) -> None:
        """Accept no more connections, and cut those that are open."""
        _shut(self._listening)
        self._listening.close()
        self.cut_all()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            if self.is_down:
                client.close()
                continue
            self.connections += 1
            server = socket.create_connection(("127.0.0.1", self._server_port))
            self._open += [client, server]
            limit = self.cut_after.pop(0) if self.cut_after else None
            threading.Thread(target=self._relay, args=(client, server), daemon=True).start()
            threading.Thread(target=self._relay, args=(server, client, limit, True), daemon=True).start()

    def _relay(
        self, here: socket.socket, there: socket.socket, limit: int | None = None, is_of_server: bool = False
    ) -> None:
        relayed = 0
        with suppress(OSError):
            while data := here.recv(1 << 16):
                if limit is not None and relayed + len(data) > limit:
                    there.sendall(data[: limit - relayed])
                    break
                relayed += len(data)
                if is_of_server and self.hangs_after is not None and relayed > self.hangs_after:
                    self.is_hanging.set()
                    continue
                there.sendall(data)
        _shut(here)
        _shut(there)


def _shut(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def mail_proxy(server_port: int) -> Iterator[MailProxy]:
    """Run a relay to a server of this machine."""
    proxy = MailProxy(server_port)
    try:
        yield proxy
    finally:
        proxy.close()
