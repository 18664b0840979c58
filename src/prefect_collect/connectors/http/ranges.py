"""One large item read as ranges of its bytes, several at once, each asked for again where it broke off.

Many servers, and long ways to them, limit the bytes a second of each connection: ranges side by side add up. One thread
receives all of them; they come out in the order of the item's bytes. There is one more range at once each time that the
reader has to wait, as bytes that wait for the reader only take memory, and are slower to use.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import Final, Protocol

import pycurl

from prefect_collect.connectors.errors import source_error
from prefect_collect.connectors.http.engine import Answer, Limits, Loop, curl_error, new_handle
from prefect_collect.connectors.http.stream import PIECE
from prefect_collect.errors import SourceError
from prefect_collect.threads.byte_budget import RANGES
from prefect_collect.threads.retry_policy import RetryPolicy
from prefect_collect.threads.stop import current_stop

_RANGE: Final = 4 << 20
"""The most bytes of a range."""

_SMALLEST: Final = 1 << 20
_MOST: Final = 16
"""The most ranges of an item at once."""

_STEP: Final = PIECE // 4
"""The reader is woken each time that so many more bytes have arrived."""

_BUFFER: Final = 128 << 10
_LOOK: Final = 0.2
_BREAKS: Final = 5
"""How often a range may break off, without `_SMALLEST` bytes between, before the item is given up."""

RESUMED: Final = ("connection_lost", "timeout", "truncated", "throttled", "source_error")
"""The codes of errors after which the rest of an item may still be had."""

_PAUSES: Final = RetryPolicy()
_MOST_OF_AN_ERROR: Final = 64 << 10

_lock: Final = threading.Lock()
_open: set[int] = set()
"""The streams that are open in this process: each may have its share of `RANGES`."""


class Asked(Protocol):
    """How ranges of one item are asked for. Its methods are called by the receiving thread."""

    def prepare(self, start: int, end: int) -> tuple[str, list[str]]:
        """Return URL and header lines of the request for bytes (`end` is exclusive). Raise SourceError."""

    def require(self, answer: Answer, start: int) -> None:
        """Raise SourceError unless an answer's head is that of a range from `start` of the same item."""

    def refusal(self, answer: Answer) -> SourceError:
        """Return the error of an answer with an error's status, from its body."""

    def not_before(self) -> float:
        """Return when the server may be asked again, by the monotonic clock."""


@dataclass(slots=True, eq=False)
class _Range:
    """Bytes that are asked for, from `start`: received up to `at`, and used up to `used`.

    The receiving thread puts bytes into `buffer` before it moves `at`, and the reader copies those before it.
    """

    start: int
    at: int
    end: int
    used: int
    reserved: int
    buffer: bytearray
    answer: Answer = field(default_factory=Answer)
    wrong: SourceError | None = None
    is_proven: bool = False
    mark: int = 0
    breaks: int = 0
    begins: float = 0.0
    handle: pycurl.Curl | None = None


class RangedStream:
    """The bytes of an item from `start` to `size`; runs ahead of its reader within a budget of all such items.

    `pieces` yields the bytes. `close` stops the transfers at any point, as does a cancel of the job.
    """

    def __init__(self, limits: Limits, start: int, size: int, asked: Asked, place: str) -> None:
        self._limits, self._start, self._size, self._asked, self._place = limits, start, size, asked, place
        self._window = 4
        self._changed = threading.Condition()
        self._ranges: deque[_Range] = deque()
        self._begun = start
        self._failure: SourceError | None = None
        self._closed = False
        self._stop = current_stop()
        self._loop = Loop()
        self._ring = self._loop.make_bell()
        self._idle: list[pycurl.Curl] = []
        self._spare: list[bytearray] = []
        self.resumed = 0
        """How many times a range was asked for again."""
        with _lock:
            _open.add(id(self))
        self._thread = threading.Thread(target=self._run, name="stream", daemon=True)
        self._thread.start()

    def begin(self) -> None:
        """Wait for the first range's answer. Raise SourceError if it is not an answer to a range."""
        with self._changed:
            self._changed.wait_for(lambda: self._failure is not None or (self._ranges and self._ranges[0].is_proven))
            if self._failure is not None:
                raise self._failure

    def pieces(self) -> Iterator[bytes]:
        """Yield the bytes in order; `begin` comes first. Raise SourceError if they cannot be had."""
        used = grown = self._start
        while used < self._size:
            with self._changed:
                if not self._has_piece() and used > grown:
                    self._window, grown = min(_MOST, self._window + 1), used + _RANGE
                    self._wake()
                self._changed.wait_for(self._has_piece)
                if self._failure is not None:
                    raise self._failure
                first = self._ranges[0]
            until = min(first.used + PIECE, first.at)
            with memoryview(first.buffer) as held:
                piece = bytes(held[first.used - first.start : until - first.start])
            first.used = used = until
            yield piece
            if used == first.end:
                with self._changed:
                    if self._ranges:  # else the thread has ended, and given back what was reserved
                        self._ranges.popleft()
                        self._spare.append(first.buffer)
                        RANGES.release(first.reserved)
                    self._wake()

    def close(self) -> None:
        """Stop receiving."""
        with self._changed:
            self._closed = True
            self._wake()
        self._thread.join(5)

    def _has_piece(self) -> bool:
        if self._failure is not None:
            return True
        first = self._ranges[0] if self._ranges else None
        return first is not None and (first.at - first.used >= PIECE or first.at == first.end)

    def _wake(self) -> None:
        with suppress(OSError):  # the loop has ended
            self._ring()

    def _run(self) -> None:
        running: dict[pycurl.Curl, _Range] = {}
        try:
            while not self._closed and not self._stop.canceled and self._failure is None:
                if self._begun == self._size and not self._ranges:
                    return
                for handle, failure in self._loop.step(self._begin(running)):
                    self._loop.remove(handle)
                    self._idle.append(handle)
                    self._ended(running.pop(handle), failure)
            if self._stop.canceled:
                self._fail(source_error("connection_lost", "The job was canceled", self._place))
        except Exception as error:
            self._fail(curl_error(0, f"{type(error).__name__} in libcurl", self._place))
        finally:
            for handle in running:
                self._loop.remove(handle)
            with self._changed:
                RANGES.release(sum(each.reserved for each in self._ranges))
                self._ranges.clear()
            self._idle.clear()  # they refer to this object, which would keep the buffers
            self._spare.clear()
            with _lock:
                _open.discard(id(self))
            self._loop.close()

    def _begin(self, running: dict[pycurl.Curl, _Range]) -> float:
        """Ask for what may be asked for; return for how many seconds there is nothing more to ask for."""
        with self._changed:
            self._extend()
            waiting = [each for each in self._ranges if each.handle is None and each.at < each.end]
        wait = _LOOK
        for each in waiting:
            if (left := each.begins - monotonic()) > 0:
                wait = min(wait, left)
            elif not self._send(each, running):
                for other in waiting:  # what is missing, such as a token, is missing for all of them
                    other.begins = max(other.begins, each.begins)
                break
        self._loop.kick()
        return wait

    def _extend(self) -> None:
        """Add the next ranges, as far as this item's share of the budget goes."""
        while self._begun < self._size:
            with _lock:
                share = RANGES.share(len(_open))
            length = min(max(_SMALLEST, min(_RANGE, share // 2)), self._size - self._begun)
            if len(self._ranges) >= min(self._window, max(2, share // _RANGE)) or not RANGES.try_acquire(length):
                return
            start, end = self._begun, self._begun + length
            buffer = self._spare.pop() if self._spare and len(self._spare[-1]) >= length else bytearray(length)
            self._ranges.append(_Range(start, start, end, start, length, buffer, mark=start))
            self._begun += length

    def _send(self, each: _Range, running: dict[pycurl.Curl, _Range]) -> bool:
        """Return whether a range could be asked for."""
        try:
            url, lines = self._asked.prepare(each.at, each.end)
        except SourceError as error:
            self._broke(each, error)
            return False
        handle = self._idle.pop() if self._idle else new_handle(self._limits, _BUFFER)
        each.answer, each.is_proven, each.wrong, each.handle = Answer(), False, None, handle
        handle.setopt(pycurl.URL, url)
        handle.setopt(pycurl.HTTPHEADER, lines)
        handle.setopt(pycurl.HEADERFUNCTION, each.answer.lines.append)
        handle.setopt(pycurl.WRITEFUNCTION, lambda data: self._receive(each, data))
        self._loop.add(handle)
        running[handle] = each
        return True

    def _receive(self, each: _Range, data: bytes) -> int | None:
        if self._closed:
            return 0  # tells libcurl to stop
        if not each.is_proven:
            if each.wrong is None:
                try:
                    self._asked.require(each.answer, each.at)
                except SourceError as error:
                    each.wrong = error
                else:
                    with self._changed:
                        each.is_proven = True
                        self._changed.notify()
            if each.wrong is not None:  # the body explains it
                each.answer.body.append(data)
                return None if sum(map(len, each.answer.body)) < _MOST_OF_AN_ERROR else 0
        if each.at + len(data) > each.end:
            each.wrong = source_error("source_error", "The server sent more than the range asked for", self._place)
            return 0
        each.buffer[each.at - each.start : each.at - each.start + len(data)] = data
        before, each.at = each.at, each.at + len(data)
        if each.at // _STEP > before // _STEP or each.at == each.end:
            with self._changed:
                self._changed.notify()
        return None

    def _ended(self, each: _Range, failure: tuple[int, str] | None) -> None:
        each.handle = None
        if each.at == each.end:
            with self._changed:
                self._changed.notify()
            return
        self._broke(each, self._error(each, failure))

    def _broke(self, each: _Range, error: SourceError) -> None:
        """Have what is missing of a range asked for later, unless the error stays."""
        each.breaks = 1 if each.at - each.mark >= _SMALLEST else each.breaks + 1
        each.mark = each.at
        if error.code not in RESUMED or each.breaks > _BREAKS:
            self._fail(error)
            return
        self.resumed += 1
        each.begins = max(monotonic() + _PAUSES.pause(each.breaks), self._asked.not_before())

    def _error(self, each: _Range, failure: tuple[int, str] | None) -> SourceError:
        """Return why a range is not whole."""
        if not each.is_proven and each.wrong is None and (failure is None or each.answer.lines):
            try:
                self._asked.require(each.answer, each.at)
            except SourceError as error:
                each.wrong = error
        if each.wrong is not None:
            is_refused = each.answer.body and (each.wrong.http_status or 0) >= 300
            return self._asked.refusal(each.answer) if is_refused else each.wrong
        if failure is not None:
            return curl_error(*failure, self._place)
        return source_error("truncated", f"A range ended {each.end - each.at} bytes early", self._place)

    def _fail(self, error: SourceError) -> None:
        with self._changed:
            self._failure = self._failure or error
            self._changed.notify()
