"""PROPFIND requests: several at once on one thread, whose answers are parsed as they arrive."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Final

import pycurl

from prefect_collect.connectors.errors import source_error
from prefect_collect.connectors.http.client import REDIRECTS, WANTED, Client, Head, Target
from prefect_collect.connectors.http.engine import Answer, Loop, curl_error, new_handle
from prefect_collect.connectors.http.failures import status_error
from prefect_collect.connectors.webdav.multistatus import BadDocument, Multistatus, Resource
from prefect_collect.errors import SourceError
from prefect_collect.threads.stop import current_stop

_BODY: Final = (
    b'<?xml version="1.0" encoding="utf-8"?>\n<d:propfind xmlns:d="DAV:"><d:prop><d:resourcetype/>'
    b"<d:getcontentlength/><d:getlastmodified/><d:creationdate/><d:getetag/></d:prop></d:propfind>"
)
_BUFFER: Final = 64 << 10
_MOST_OF_AN_ERROR: Final = 64 << 10
_LOOK: Final = 0.2


class Propfind:
    """One request, and what has arrived of its answer.

    Attributes:
        target: What is asked.
        found: The resources that have arrived and were not taken yet.
    """

    def __init__(self, target: Target, depth: int) -> None:
        self.target, self.depth = target, depth
        self.found: deque[Resource] = deque()
        self.answer = Answer()
        self._parser: Multistatus | None = None
        self._wrong: BadDocument | None = None
        self._other = b""

    def receive(self, data: bytes) -> int | None:
        """Take the next bytes of the body: parse those of a 207, keep the beginning of another one."""
        if self._parser is None and not self._other and self.head().status == 207:
            self._parser = Multistatus(self.found.append)
        if self._parser is None:
            self._other += data
            return None if len(self._other) < _MOST_OF_AN_ERROR else 0
        try:
            self._parser.feed(data)
        except BadDocument as error:
            self._wrong = error
            return 0
        return None

    @property
    def is_listing(self) -> bool:
        """Whether what lies in the target is asked for."""
        return self.depth > 0

    def head(self) -> Head:
        """Return the head of the answer."""
        return Head(*self.answer.head(WANTED), self.target.url)

    def require_whole(self, failure: tuple[int, str] | None) -> None:
        """Raise SourceError unless the answer was a whole Multi-Status document.

        Args:
            failure: libcurl's error, if the transfer failed.
        """
        place, head = self.target.place, self.head()
        if self._wrong is None and failure is not None and (head.status in (0, 207) or not self._other):
            raise curl_error(*failure, place)
        if head.status != 207:
            raise self._refused(head)
        if self._parser is None:
            raise _unproven("the answer to PROPFIND is empty", place)
        try:
            if self._wrong is not None:
                raise self._wrong
            self._parser.close()
        except BadDocument as error:
            raise _unproven(f"the answer to PROPFIND is wrong or cut: {error}", place) from error

    def _refused(self, head: Head) -> SourceError:
        place = self.target.place
        if head.status in REDIRECTS:
            to = head.headers.get(b"location", "").partition("?")[0][:200]
            said = f"The server redirects the listing to {to or 'nowhere'}; set the source's url to where the folder is"
            return source_error("source_error", said, place, head.status)
        if head.status < 300:
            said = f"the answer to PROPFIND is no listing (HTTP {head.status}), but maybe a page to log in"
            return _unproven(said, place)
        if head.status in (405, 501):
            said = f"The server does not speak WebDAV here (HTTP {head.status} to PROPFIND)"
            return source_error("source_error", said, place, head.status)
        return status_error(head.status, place, self._other, stated=head.stated_pause)


def _unproven(what: str, place: str) -> SourceError:
    return source_error("enumeration_failed", f"The folder cannot be listed: {what}", place)


class Propfinder:
    """Sends PROPFIND requests on connections that are kept; used by one thread at a time."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._loop = Loop()
        self._idle: list[pycurl.Curl] = []
        self._active: dict[pycurl.Curl, Propfind] = {}

    @property
    def active(self) -> list[Propfind]:
        """The requests that are under way."""
        return [*self._active.values()]

    def start(self, request: Propfind, *, urgent: bool = False) -> bool:
        """Send a request; return False if the server's pace (`Pace.try_begin`) does not allow one more now."""
        if not self._client.pace.try_begin(urgent=urgent, listing=request.is_listing):
            return False
        handle = self._idle.pop() if self._idle else self._new()
        handle.setopt(pycurl.URL, request.target.url)
        handle.setopt(
            pycurl.HTTPHEADER,
            [*request.target.lines(request.target.url), f"Depth: {request.depth}", "Content-Type: application/xml"],
        )
        handle.setopt(pycurl.HEADERFUNCTION, request.answer.lines.append)
        handle.setopt(pycurl.WRITEFUNCTION, request.receive)
        self._active[handle] = request
        self._loop.add(handle)
        self._loop.kick()
        return True

    def step(self) -> Iterator[tuple[Propfind, tuple[int, str] | None]]:
        """Wait a moment for the network; yield the requests that ended, each with libcurl's error or None."""
        for handle, failure in self._loop.step(_LOOK):
            request = self._active.pop(handle)
            self._loop.remove(handle)
            self._idle.append(handle)
            self._client.pace.end(listing=request.is_listing)
            yield request, failure

    def ask(self, target: Target, *, urgent: bool = False) -> list[Resource]:
        """Return what the server says of one resource; a request that it has no time for is repeated.

        Raise SourceError, or JobCanceled.
        """
        stop = current_stop()
        while True:
            request = Propfind(target, 0)
            while not self.start(request, urgent=urgent):
                stop.require_going()
                self._client.pace.rest()
            while self._active:
                stop.require_going()
                for _, failure in self.step():
                    if not self._client.ask_again(request.head()):
                        request.require_whole(failure)
                        return [*request.found]

    def stop(self) -> None:
        """Abandon the requests that are under way."""
        for handle, request in self._active.items():
            self._loop.remove(handle)
            self._client.pace.end(listing=request.is_listing)
        self._active.clear()

    def close(self) -> None:
        """Close the kept connections."""
        self.stop()
        self._loop.close()

    def _new(self) -> pycurl.Curl:
        handle = new_handle(self._client.home, _BUFFER)
        handle.setopt(pycurl.CUSTOMREQUEST, "PROPFIND")
        handle.setopt(pycurl.POSTFIELDS, _BODY)
        return handle
