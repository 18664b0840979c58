"""HTTP transfers on libcurl and epoll: their limits, their answers, and the loop that runs many of them on one thread.

To read 3,000 objects of 4 KiB from S3, boto3 takes ten times the CPU, and obstore 1.0 to 1.4 times as much
(``python -m benchmarks.libraries``); obstore cannot address keys such as ``a//b``, ``x/../y`` or ``/a``, which a
collection must neither leave out nor confuse with others.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import pycurl

from prefect_collect.connectors.errors import source_error
from prefect_collect.errors import SourceError
from prefect_collect.threads.turns import while_waiting

_SOON: Final = 0.001
"""Seconds within which an answer is waited for without giving the turn to other threads."""

_LISTS: Final = frozenset({b"x-goog-hash"})
"""Headers whose values are lists that a server may send in several lines; of any other the last line counts."""

_EVENTS: Final = {
    pycurl.POLL_IN: select.EPOLLIN,
    pycurl.POLL_OUT: select.EPOLLOUT,
    pycurl.POLL_INOUT: select.EPOLLIN | select.EPOLLOUT,
}

_CODES: Final = {
    pycurl.E_COULDNT_RESOLVE_PROXY: "connection_lost",
    pycurl.E_COULDNT_RESOLVE_HOST: "connection_lost",
    pycurl.E_COULDNT_CONNECT: "connection_lost",
    pycurl.E_PARTIAL_FILE: "truncated",
    pycurl.E_OPERATION_TIMEDOUT: "timeout",
    pycurl.E_FILESIZE_EXCEEDED: "changed_during_read",
    pycurl.E_GOT_NOTHING: "connection_lost",
    pycurl.E_SEND_ERROR: "connection_lost",
    pycurl.E_RECV_ERROR: "connection_lost",
    pycurl.E_SSL_CONNECT_ERROR: "connection_lost",
    pycurl.E_SSL_CERTPROBLEM: "connection_lost",
    pycurl.E_SSL_CACERT: "connection_lost",
    pycurl.E_SSL_CACERT_BADFILE: "connection_lost",
    pycurl.E_SSL_CIPHER: "connection_lost",
    pycurl.E_SSL_ISSUER_ERROR: "connection_lost",
    8: "connection_lost",  # CURLE_WEIRD_SERVER_REPLY, which pycurl does not name
    pycurl.E_AGAIN: "connection_lost",
    94: "bad_credentials",  # CURLE_AUTH_ERROR
}
"""Codes of libcurl's page "libcurl-errors"; those that are missing here are not expected from a GET."""


def curl_error(number: int, text: str, place: str) -> SourceError:
    """Return the SourceError of an error of libcurl."""
    return source_error(_CODES.get(number, "unexpected_error"), f"{text or 'libcurl failed'} (libcurl {number})", place)


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a transfer, and the certificates that it trusts.

    Attributes:
        connect: Seconds to connect.
        stall: Seconds without data after which the transfer fails.
        ca_bundle: A file or folder of certificates; None trusts every server.
        prepare: Called with each new handle, to set what else its transfers need.
        make: Makes each new handle.
    """

    connect: float
    stall: float
    ca_bundle: str | None
    prepare: Callable[[pycurl.Curl], None] | None = None
    make: Callable[[], pycurl.Curl] = pycurl.Curl


class SteppedHandle(pycurl.Curl):  # type: ignore[misc]  # pycurl has no types
    """A handle whose transfer may take several requests, of which only the last is the transfer's."""

    def goes_on(self, *, failed: bool) -> bool:
        """Return whether the next request is to be sent, now that one has ended; `failed` if libcurl says so."""
        raise NotImplementedError


@dataclass(slots=True)
class Answer:
    """A response: its raw header lines, its body in pieces, and libcurl's error if the transfer failed."""

    lines: list[bytes] = field(default_factory=list)
    body: list[bytes] = field(default_factory=list)
    error: tuple[int, str] | None = None

    def head(self, wanted: frozenset[bytes]) -> tuple[int, dict[bytes, str]]:
        """Return the status (0 if there was no response) and the wanted headers, by their lower-case names."""
        status = 0
        headers: dict[bytes, str] = {}
        for line in self.lines:
            name, _, rest = line.partition(b":")
            name = name.lower()
            if name in wanted:
                value = rest.strip().decode("latin-1")
                headers[name] = f"{headers[name]},{value}" if name in _LISTS and name in headers else value
            elif line.startswith(b"HTTP/"):  # A proxy's response and each 1xx have a status line of their own.
                headers.clear()
                words = line.split(None, 2)
                status = int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
        return status, headers


def new_handle(limits: Limits, buffer: int) -> pycurl.Curl:
    """Return a handle that sends URLs unchanged and receives up to `buffer` bytes at a time."""
    handle = limits.make()
    handle.setopt(pycurl.NOSIGNAL, 1)
    handle.setopt(pycurl.PATH_AS_IS, 1)
    handle.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)
    handle.setopt(pycurl.BUFFERSIZE, buffer)
    handle.setopt(pycurl.CONNECTTIMEOUT_MS, int(limits.connect * 1000))
    handle.setopt(pycurl.LOW_SPEED_LIMIT, 1)
    handle.setopt(pycurl.LOW_SPEED_TIME, max(1, round(limits.stall)))
    handle.setopt(pycurl.USERAGENT, "prefect-collect")
    if limits.ca_bundle is None:
        handle.setopt(pycurl.SSL_VERIFYPEER, 0)
        handle.setopt(pycurl.SSL_VERIFYHOST, 0)
    else:
        handle.setopt(pycurl.CAPATH if os.path.isdir(limits.ca_bundle) else pycurl.CAINFO, limits.ca_bundle)
    if limits.prepare is not None:
        limits.prepare(handle)
    return handle


class Loop:
    """Transfers on one epoll set, used by one thread; pycurl's own select cannot handle more than 1,024 descriptors."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._bell: int | None = None
        self._watched: set[int] = set()
        self._deadline: float | None = None
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._schedule)

    def keep(self, connections: int) -> None:
        """Keep up to this many idle connections for later transfers."""
        self._multi.setopt(pycurl.M_MAXCONNECTS, connections)

    def add(self, handle: pycurl.Curl) -> None:
        """Add a transfer; it starts at the next `kick`."""
        self._multi.add_handle(handle)

    def remove(self, handle: pycurl.Curl) -> None:
        """Remove a transfer, whether it has ended or not."""
        self._multi.remove_handle(handle)

    def kick(self) -> None:
        """Do the work that is due now, such as sending the requests of added transfers."""
        if self._deadline is not None and self._deadline <= time.monotonic():
            self._deadline = None
            self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)

    def make_bell(self) -> Callable[[], None]:
        """Return a function that ends the wait of `step`, which any thread may call until the loop is closed."""
        bell = self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(bell, select.EPOLLIN)
        return lambda: os.eventfd_write(bell, 1)

    def step(self, seconds: float) -> Iterator[tuple[pycurl.Curl, tuple[int, str] | None]]:
        """Yield the transfers that ended, each with libcurl's error or None; if none did, wait for at most `seconds`.

        A transfer may end while it is begun (`kick`), as libcurl looks for the answer as soon as it has sent a request.
        Then the network has nothing more to tell, and a wait would last for all its seconds.
        """
        ended = [*self._ended()]
        if not ended:
            self._wait(seconds)
            ended = [*self._ended()]
        yield from ended

    def _wait(self, seconds: float) -> None:
        """Wait for the network, and do what is due then."""
        if self._deadline is not None:
            seconds = min(seconds, max(0.0, self._deadline - time.monotonic()))
        found = self._epoll.poll(min(seconds, _SOON))
        if not found and seconds > _SOON:
            with while_waiting():
                found = self._epoll.poll(seconds)
        for descriptor, events in found:
            if descriptor == self._bell:
                os.eventfd_read(descriptor)
                continue
            action = pycurl.CSELECT_IN if events & (select.EPOLLIN | select.EPOLLHUP) else 0
            if events & select.EPOLLOUT:
                action |= pycurl.CSELECT_OUT
            if events & select.EPOLLERR:
                action |= pycurl.CSELECT_ERR
            self._multi.socket_action(descriptor, action)
        self.kick()

    def _ended(self) -> Iterator[tuple[pycurl.Curl, tuple[int, str] | None]]:
        left = 1
        while left:
            left, good, bad = self._multi.info_read()
            for handle in good:
                if not self._goes_on(handle):
                    yield handle, None
            for handle, number, text in bad:
                if isinstance(handle, SteppedHandle):
                    handle.goes_on(failed=True)
                yield handle, (number, text)

    def _goes_on(self, handle: pycurl.Curl) -> bool:
        """Send the next request of a handle that takes several; return whether it does."""
        if not isinstance(handle, SteppedHandle) or not handle.goes_on(failed=False):
            return False
        self._multi.remove_handle(handle)
        self._multi.add_handle(handle)
        return True

    def close(self) -> None:
        """Close every connection."""
        self._multi.close()
        self._epoll.close()
        if self._bell is not None:
            os.close(self._bell)

    def _watch(self, what: int, descriptor: int, _multi: Any, _data: Any) -> None:
        if what == pycurl.POLL_REMOVE:
            if descriptor in self._watched:
                self._watched.discard(descriptor)
                with suppress(OSError):  # The kernel has already dropped a closed descriptor.
                    self._epoll.unregister(descriptor)
        elif descriptor in self._watched:
            self._epoll.modify(descriptor, _EVENTS[what])
        else:
            self._epoll.register(descriptor, _EVENTS[what])
            self._watched.add(descriptor)

    def _schedule(self, milliseconds: int) -> None:
        self._deadline = None if milliseconds < 0 else time.monotonic() + milliseconds / 1000
