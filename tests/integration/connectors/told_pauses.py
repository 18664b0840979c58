"""Listens for the pauses that servers ask for."""

from __future__ import annotations

import threading

from prefect_collect.threads.server_pauses import PAUSES, Pause


class Told:
    """Is told of the pauses of a server, as what limits the job's own requests to it is.

    Attributes:
        until: The end of the last one, once `event` is set.
    """

    def __init__(self, server: str) -> None:
        self.until, self.event = 0.0, threading.Event()
        PAUSES.join(self, server)

    def paused(self, pause: Pause) -> None:
        """Take a pause."""
        self.until = pause.until
        self.event.set()
