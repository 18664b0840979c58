"""One large HTTP GET with libcurl, received in a thread of its own so that network, hashing and writing overlap."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from time import monotonic
from typing import Final

import pycurl

from prefect_collect.connectors.http.engine import Answer, Limits, Loop, curl_error, new_handle
from prefect_collect.errors import SourceError
from prefect_collect.threads.stop import current_stop

PIECE: Final = 1 << 20
"""Bytes of a piece of the body, except the last one."""

_AHEAD: Final = 8
_ABORTED: Final = pycurl.E_RECV_ERROR, "the job was canceled"
_MOST_OF_AN_ERROR: Final = 64 << 10
_BUFFER: Final = 512 << 10


class Stream:
    """A GET that runs ahead of its reader by at most 8 MiB; or, with `head`, a HEAD.

    `begin` waits for the response, `pieces` then yields its body. `close` stops the transfer at any point, as does a
    cancel of the job.
    """

    def __init__(self, limits: Limits, url: str, lines: list[str], place: str, *, head: bool = False) -> None:
        self._place, self._patience = place, limits.stall
        self._answer = Answer()
        self._ready: queue.Queue[bytes | SourceError | None] = queue.Queue(_AHEAD)
        self._begun = threading.Event()
        self._closed = False
        self._stop = current_stop()
        self._parts: list[bytes] = []
        self._size = 0
        self.failure: SourceError | None = None
        """What broke off the body of an error response, once `error_body` has been called."""
        handle = new_handle(limits, _BUFFER)
        handle.setopt(pycurl.URL, url)
        handle.setopt(pycurl.HTTPHEADER, lines)
        handle.setopt(pycurl.HEADERFUNCTION, self._answer.lines.append)
        handle.setopt(pycurl.WRITEFUNCTION, self._receive)
        if head:
            handle.setopt(pycurl.NOBODY, 1)
        self._thread = threading.Thread(target=self._run, args=(handle,), name="stream", daemon=True)
        self._thread.start()

    def begin(self, wanted: frozenset[bytes]) -> tuple[int, dict[bytes, str]]:
        """Wait for the response; return its status and the wanted headers. Raise SourceError if none comes."""
        self._begun.wait()
        status, headers = self._answer.head(wanted)
        if not status:
            first = self._ready.get()
            raise first if isinstance(first, SourceError) else curl_error(52, "no response", self._place)
        return status, headers

    def pieces(self) -> Iterator[bytes]:
        """Yield the body. Raise SourceError if it breaks off."""
        while (piece := self._ready.get()) is not None:
            if isinstance(piece, SourceError):
                raise piece
            yield piece

    def error_body(self) -> bytes:
        """Return the start of an error response's body, as much as arrives in time.

        The wait is limited to the seconds of the stall limit, as a body that arrives byte by byte may have no end. The
        status alone identifies the error if the body is missing.
        """
        body = b""
        until = monotonic() + self._patience
        while len(body) <= _MOST_OF_AN_ERROR:
            try:
                piece = self._ready.get(timeout=max(0.0, until - monotonic()))
            except queue.Empty:
                break
            if isinstance(piece, SourceError):
                self.failure = piece
            if piece is None or isinstance(piece, SourceError):
                break
            body += piece
        return body[:_MOST_OF_AN_ERROR]

    def close(self) -> None:
        """Stop receiving."""
        self._closed = True
        while not self._ready.empty():
            self._ready.get_nowait()
        self._thread.join(5)

    def _run(self, handle: pycurl.Curl) -> None:
        loop = Loop()
        loop.add(handle)
        try:
            failure: tuple[int, str] | None = None
            ended = False
            while not ended and not self._closed and not self._stop.canceled:
                for _, outcome in loop.step(0.2):
                    ended, failure = True, outcome
            if not ended:
                failure = _ABORTED
            if self._parts:
                self._put(b"".join(self._parts))
            self._put(None if failure is None else curl_error(*failure, self._place))
        except Exception as error:
            self._put(curl_error(0, f"{type(error).__name__} in libcurl", self._place))
        finally:
            self._begun.set()
            loop.remove(handle)
            loop.close()

    def _receive(self, data: bytes) -> int | None:
        if self._closed:
            return 0  # Tells libcurl to stop.
        if not self._begun.is_set():
            self._begun.set()
        self._parts.append(data)
        self._size += len(data)
        if self._size >= PIECE:
            self._put(b"".join(self._parts))
            self._parts, self._size = [], 0
        return None

    def _put(self, piece: bytes | SourceError | None) -> None:
        while not self._closed:
            try:
                self._ready.put(piece, timeout=0.2)
                return
            except queue.Full:
                continue
