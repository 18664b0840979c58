"""Reading a large object: by one request, and by several ranges at once where the server's bytes come too slowly.

One connection is enough for a reader that hashes and writes no faster than its bytes come. If the reader waits for most
of its time, and the bytes come slowly, the rest is asked for as ranges, side by side; and so is the rest after a break.
Each range is asked for with the ETag of the first answer (If-Match), and its answer is compared with it, so that an
object that is replaced meanwhile is noticed.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from time import monotonic
from typing import Final

from prefect_collect.connectors.buckets.headers import RANGE
from prefect_collect.connectors.errors import source_error
from prefect_collect.connectors.http.engine import Answer, Limits
from prefect_collect.connectors.http.headers import content_range, is_strong
from prefect_collect.connectors.http.pace import Pace
from prefect_collect.connectors.http.ranges import RESUMED, RangedStream
from prefect_collect.connectors.http.stream import PIECE, Stream
from prefect_collect.errors import SourceError
from prefect_collect.threads.stop import current_stop

LARGE: Final = 32 << 20
"""Bytes that must be left, for ranges to be asked for."""

HEADERS: Final = frozenset({b"accept-ranges"})
"""The header that tells, beside those of the content, whether ranges can be asked for."""

_OVERLAP: Final = 4 << 20
"""Bytes that the first request still receives while the connections of the ranges are made."""

_LOOK: Final = 0.2
"""Seconds after which it is judged whether the reader waits."""

_FAST: Final = 128 << 20
"""Bytes a second of one connection beyond which more connections take more CPU than they save time."""

_IGNORED: Final = "The server announced ranges of objects, and does not send them"

Prepare = Callable[[list[str]], tuple[str, list[str]]]
"""Returns URL and header lines of a request for the object, with these header lines of its own among them."""

Refused = Callable[[int, dict[bytes, str], bytes, str], SourceError]
"""Returns the error of an answer that is no success, from its status, headers and body, and the location."""


class Large:
    """An object of known size and version that is being received by a request for all of it.

    Args:
        stream: The request's answer, which has begun.
        size: The object's size, as the answer states it.
        etag: The object's ETag, as the answer states it.
        limits: The limits of each request for a range.
        prepare: Prepares them.
        refused: Makes the errors of their answers.
        pace: The pace of the server.
        place: The location, in which messages end.
    """

    def __init__(
        self, stream: Stream, size: int, etag: str, *,
        limits: Limits, prepare: Prepare, refused: Refused, pace: Pace, place: str,
    ) -> None:  # fmt: skip
        self._pace, self._refused = pace, refused
        self._stream, self._size, self._etag = stream, size, etag
        self._limits, self._prepare, self._place = limits, prepare, place
        self._ranges: RangedStream | None = None
        self._broken: SourceError | None = None

    def pieces(self) -> Iterator[bytes]:
        """Yield the bytes in order. Raise SourceError."""
        try:
            used = yield from self._until_ranges()
            if self._ranges is not None:
                self._stream.close()
                yield from self._ranges.pieces()
            elif self._broken is not None:
                ranges = self._ranged(used)
                if not self._has_begun():
                    raise self._broken
                yield from ranges.pieces()
        finally:
            if self._ranges is not None:
                self._ranges.close()

    def _until_ranges(self) -> Generator[bytes, None, int]:
        """Yield what the first request receives, up to where ranges go on, or where it breaks off; return where."""
        used, cut, waited, began, counted = 0, self._size, 0.0, monotonic(), 0
        source = self._stream.pieces()
        is_able = True
        while used < self._size:
            asked = monotonic()
            try:
                piece = next(source, b"")
            except SourceError as error:
                if error.code not in RESUMED or not used or current_stop().canceled:
                    raise
                self._drop()
                self._broken = error
                return used
            if not piece:
                return used
            now = monotonic()
            waited += now - asked
            if used + len(piece) > cut:
                if used < cut:
                    yield piece[: cut - used]
                    piece, used = piece[cut - used :], cut
                if self._has_begun():
                    return used
                cut, is_able = self._size, False
            used += len(piece)
            yield piece
            if cut < self._size or not is_able or self._size - used < LARGE or now - began < _LOOK:
                continue
            if waited > (now - began) / 2 and used - counted < _FAST * (now - began):
                cut = used + _OVERLAP
                self._ranged(cut)
            waited, began, counted = 0.0, monotonic(), used
        return used

    def _ranged(self, start: int) -> RangedStream:
        self._ranges = RangedStream(self._limits, start, self._size, self, self._place)
        return self._ranges

    def _has_begun(self) -> bool:
        """Wait for the first range; return False, and leave ranges alone, if the server sends the whole object."""
        assert self._ranges is not None
        try:
            self._ranges.begin()
        except SourceError as error:
            if error.http_status != 200:
                raise
            self._drop()
            return False
        return True

    def _drop(self) -> None:
        if self._ranges is not None:
            self._ranges.close()
            self._ranges = None

    def prepare(self, start: int, end: int) -> tuple[str, list[str]]:
        """Return URL and header lines of the request for a range (see `RangedStream`)."""
        return self._prepare([f"Range: bytes={start}-{end - 1}", f"If-Match: {self._etag}"])

    def require(self, answer: Answer, start: int) -> None:
        """Raise SourceError unless an answer is that of a range from `start` of this version of the object."""
        status, headers = answer.head(RANGE)
        if status == 200:
            raise source_error("unexpected_error", _IGNORED, self._place, status)
        if status != 206:
            raise self._refused(status, headers, b"", self._place)
        first, total = content_range(headers.get(b"content-range", ""))
        etag = headers.get(b"etag")
        if etag != self._etag or total != self._size:
            what = f"its ETag was {self._etag} and is {etag}" if etag != self._etag else f"it has {total} bytes now"
            raise source_error("changed_during_read", f"The object was replaced while it was read: {what}", self._place)
        if first != start:
            raise source_error("source_error", "The server sent another range than was asked for", self._place)

    def refusal(self, answer: Answer) -> SourceError:
        """Return the error of an answer with an error's status, from its body; the pace takes note of it."""
        status, headers = answer.head(RANGE)
        self._pace.answered(status, headers)
        return self._refused(status, headers, b"".join(answer.body), self._place)

    def not_before(self) -> float:
        """Return when the server may be asked again, by the monotonic clock."""
        return self._pace.not_before


def can_be_ranged(headers: dict[bytes, str], size: int | None) -> bool:
    """Return whether an answer is that of an object whose rest can be asked for as ranges."""
    is_able = headers.get(b"accept-ranges", "").lower() == "bytes" and is_strong(headers.get(b"etag", ""))
    return is_able and size is not None and size >= LARGE + PIECE
