"""The GET of one item of any size: redirects followed, pauses kept, and what breaks off resumed where it broke."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from prefect_collect.connectors.errors import source_error
from prefect_collect.connectors.http.client import REDIRECTS, WANTED, Client, Head, Target, refusal
from prefect_collect.connectors.http.headers import content_range, http_date, is_strong, whole_number
from prefect_collect.connectors.http.stream import Stream
from prefect_collect.errors import SourceError
from prefect_collect.threads.retry_policy import RetryPolicy
from prefect_collect.threads.stop import current_stop

_BREAKS: Final = 5
"""Breaks without `_PROGRESS` bytes between them after which a transfer is given up."""

_PROGRESS: Final = 1 << 20
_RESUMED: Final = ("connection_lost", "timeout", "truncated", "throttled", "source_error")
_PAUSES: Final = RetryPolicy()
_SETTLED: Final = timedelta(seconds=2)
"""What a Last-Modified must be older than the answer, so that it stands for these bytes alone (RFC 9110, 8.8.2.2)."""


class Download:
    """One GET, or with `head` one HEAD, of a target. Every error is a SourceError, or JobCanceled.

    `begin` returns the answer's head, `pieces` the body; `close` ends it at any point. `urgent` is `Pace.begin`'s.
    """

    def __init__(self, client: Client, target: Target, *, head: bool = False, urgent: bool = False) -> None:
        self._client, self._target, self._is_head, self._is_urgent = client, target, head, urgent
        self._stream: Stream | None = None
        self._validator: str | None = None
        self._size: int | None = None
        self._etag: str | None = None
        self.resumed = 0
        """How many times the transfer was resumed."""

    def begin(self) -> Head:
        """Send the request; return the head of a success. Raise the SourceError of any other answer."""
        head = self._answered([])
        if head.status != 200:
            raise self._refusal(head)
        self._etag = head.headers.get(b"etag")
        self._size = whole_number(head.headers.get(b"content-length", ""))
        self._validator = _validator(head)
        return head

    def pieces(self) -> Iterator[bytes]:
        """Yield the body's bytes."""
        received = mark = breaks = skip = 0
        stop = current_stop()
        while True:
            try:
                for piece in self._pieces_from(skip):
                    received += len(piece)
                    yield piece
                if self._size is None or received >= self._size:
                    return
                raise source_error("truncated", f"{received} bytes arrived of {self._size}", self._target.place)
            except SourceError as error:
                breaks = 1 if received - mark >= _PROGRESS else breaks + 1
                mark = received
                if not self._goes_on(error, breaks):
                    raise
            while True:
                stop.wait(_PAUSES.pause(breaks))
                stop.require_going()
                try:
                    skip = self._resume(received)
                    break
                except SourceError as error:
                    breaks += 1
                    if not self._goes_on(error, breaks):
                        raise

    def close(self) -> None:
        """Stop receiving."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None
            self._client.pace.end()

    def _goes_on(self, error: SourceError, breaks: int) -> bool:
        """Return whether to resume after an error: another version of the item would not be noticed without a mark."""
        is_passing = error.code in _RESUMED and not current_stop().canceled
        return is_passing and self._validator is not None and breaks <= _BREAKS

    def _pieces_from(self, skip: int) -> Iterator[bytes]:
        """Yield the pieces of the answer that is being received, without its first `skip` bytes."""
        assert self._stream is not None
        for piece in self._stream.pieces():
            if skip < len(piece):
                yield piece[skip:] if skip else piece
            skip = max(0, skip - len(piece))

    def _resume(self, received: int) -> int:
        """Ask for the rest; return how many bytes of the answer are to be skipped: all of a server without ranges."""
        self.close()
        self._is_urgent = True
        head = self._answered([f"Range: bytes={received}-", f"If-Range: {self._validator}"] if received else [])
        self.resumed += 1
        if head.status not in (200, 206):
            raise self._refusal(head)
        etag, size = head.headers.get(b"etag"), whole_number(head.headers.get(b"content-length", ""))
        if head.status == 206:
            first, total = content_range(head.headers.get(b"content-range", ""))
            if first != received:
                raise source_error("source_error", "The server sent another range than was asked for", self._place)
            size = total
        is_same = etag == self._etag and (size is None or self._size is None or size == self._size)
        if not is_same or _validator(head) != self._validator:
            what = f"The item was changed while it was read: after {received} bytes the server has another one"
            raise source_error("changed_during_read", what, self._place)
        return 0 if head.status == 206 else received

    @property
    def _place(self) -> str:
        return self._target.place

    def _answered(self, lines: list[str]) -> Head:
        """Return the head of the answer after all redirects and pauses."""
        url, hops = self._target.url, 0
        self._client.require_allowed(self._target, url)
        while True:
            head = self._sent(url, lines)
            if head.status in REDIRECTS:
                self.close()
                url, hops = self._client.followed(self._target, head, hops), hops + 1
            elif self._client.ask_again(head):
                self.close()
                url, hops = self._target.url, 0
            else:
                return head

    def _sent(self, url: str, lines: list[str]) -> Head:
        self._client.pace.begin(urgent=self._is_urgent)
        limits = self._client.limits(self._target, url)
        lines = [*self._target.lines(url), *lines]
        try:
            self._stream = Stream(limits, url, lines, self._place, head=self._is_head)
        except BaseException:
            self._client.pace.end()
            raise
        try:
            return Head(*self._stream.begin(WANTED), url)
        except SourceError as error:
            self.close()
            raise self._client.explained(error, self._target, url) from error

    def _refusal(self, head: Head) -> SourceError:
        stream = self._stream
        assert stream is not None
        body = stream.error_body()
        self.close()
        if head.status == 401 and stream.failure is not None:  # maybe only the first half of a challenge and response
            return stream.failure
        return refusal(head, self._target, body)


def _validator(head: Head) -> str | None:
    """Return what If-Range may hold: a strong ETag, or a time that has settled; None if there is neither."""
    etag, modified = head.headers.get(b"etag"), head.headers.get(b"last-modified")
    if etag is not None:
        return etag if is_strong(etag) else None
    at, now = http_date(modified or ""), http_date(head.headers.get(b"date", ""))
    return modified if at is not None and now is not None and now - at >= _SETTLED else None
