"""Whole documents by HTTP GET, one after the other, on one connection that is kept between them."""

from __future__ import annotations

import threading
from time import monotonic
from typing import Final

import pycurl

from prefect_collect.connectors.http.engine import Answer, Limits, Loop, new_handle
from prefect_collect.threads.stop import Stop, current_stop

_BUFFER: Final = 256 << 10
_LOOK: Final = 0.2


class Documents:
    """GETs whose answers are received whole; used by one thread at a time, which also closes it.

    Args:
        limits: The limits of each transfer.
        most: Bytes of a body above which the transfer fails (pycurl.E_FILESIZE_EXCEEDED).
        seconds: Seconds within which an answer must be whole (`LATE`): the limit for silence is never reached by a body
            that arrives byte by byte.
    """

    LATE: Final = -1
    """The number of the error of an answer that was not whole in time, which libcurl has no number for."""

    ABANDONED: Final = pycurl.E_RECV_ERROR, "it was abandoned, as the job was canceled or needs it no more"
    """The error of an answer that is not waited for."""

    def __init__(self, limits: Limits, most: int, seconds: float) -> None:
        self._seconds = seconds
        self._stop: Stop = current_stop()
        self._loop = Loop()
        self._loop.keep(1)
        self._handle = new_handle(limits, _BUFFER)
        self._handle.setopt(pycurl.MAXFILESIZE_LARGE, most)

    def get(self, url: str, lines: list[str], unwanted: threading.Event) -> Answer:
        """Return the answer; after a cancel of the job, or once it is `unwanted`, with an error.

        Args:
            url: Where to.
            lines: The header lines.
            unwanted: Set by any thread, if the answer is no longer wanted.
        """
        answer = Answer()
        handle = self._handle
        handle.setopt(pycurl.URL, url)
        handle.setopt(pycurl.HTTPHEADER, lines)
        handle.setopt(pycurl.HEADERFUNCTION, answer.lines.append)
        handle.setopt(pycurl.WRITEFUNCTION, answer.body.append)
        until = monotonic() + self._seconds
        self._loop.add(handle)
        try:
            while True:
                for _, failure in self._loop.step(_LOOK):
                    answer.error = failure
                    return answer
                if unwanted.is_set() or self._stop.canceled:
                    answer.error = self.ABANDONED
                    return answer
                if monotonic() > until:
                    answer.error = self.LATE, f"it was not whole after {self._seconds:g} s"
                    return answer
        finally:
            self._loop.remove(handle)

    def close(self) -> None:
        """Close the connection."""
        self._loop.close()
