"""The pauses that servers ask for, which all processes that collect from one source keep.

Whatever limits the requests to a server in a process joins under the server's name. It announces each pause that it was
asked for, and receives those of the others, in this process and in the processes connected to it: the socket between a
job's process and each of its workers carries them (`collecting.worker_processes`, `collecting.worker`).
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from time import monotonic
from typing import Final, Protocol
from weakref import WeakKeyDictionary


@dataclass(frozen=True, slots=True)
class Pause:
    """A pause that a server asked for.

    Attributes:
        server: Names the server, and the account there, in the same way in every process.
        until: When requests may begin again, by the monotonic clock, which all processes of the machine share.
        most: How many requests at once the process that was asked sends from then on.
    """

    server: str
    until: float
    most: int


class Pausing(Protocol):
    """Receives pauses: it keeps them, or passes them on to another process."""

    def paused(self, pause: Pause) -> None:
        """Take a pause that others were asked for. Does not raise."""


class ServerPauses:
    """The pauses of a process, and what receives them.

    Attributes:
        processes: How many processes share each server's budget of requests: this one, and others like it.
    """

    def __init__(self) -> None:
        self.processes = 1
        self._lock = threading.Lock()
        self._receivers: WeakKeyDictionary[Pausing, str] = WeakKeyDictionary()
        self._last: dict[str, Pause] = {}

    def join(self, pausing: Pausing, server: str = "") -> None:
        """Pass the server's pauses ("": all pauses) to `pausing` as long as it exists, first those under way."""
        with self._lock:
            self._receivers[pausing] = server
            known = [pause for pause in self._last.values() if server in ("", pause.server)]
        for pause in known:
            if pause.until > monotonic():
                pausing.paused(pause)

    def announce(self, pause: Pause, sender: Pausing) -> None:
        """Pass a pause to all receivers but `sender`."""
        with self._lock:
            now = monotonic()
            self._last = {name: last for name, last in self._last.items() if last.until > now}
            if pause.server not in self._last or self._last[pause.server].until < pause.until:
                self._last[pause.server] = pause
            others = [
                one for one, server in self._receivers.items() if one is not sender and server in ("", pause.server)
            ]
        for one in others:
            one.paused(pause)


PAUSES: Final = ServerPauses()
"""The pauses of this process."""
