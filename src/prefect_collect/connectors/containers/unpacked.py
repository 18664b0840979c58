"""The bytes of a deflated file from any place on, without unpacking all before it each time.

An entry of a ZIP file may be an mbox file of 10 GB, whose messages are read one by one, by many threads, more or less
in order. So the last bytes that were unpacked stay in memory, and the state of the decompressor is kept each 16 MiB:
going back to a place costs at most that.
"""

from __future__ import annotations

import threading
import zlib
from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from prefect_collect.archive.problems import Damaged

STEP: Final = 1 << 20
"""The most bytes that are read, or unpacked, at once."""

_WINDOW: Final = 8 << 20
"""The bytes that stay in memory."""

_SPACING: Final = 16 << 20
_MOST_POINTS: Final = 256
"""The most states that are kept, of about 45 KB each; then every second one is dropped."""


class _Point(NamedTuple):
    """The state of the decompressor: so many bytes are out, so many of the packed ones are in."""

    out: int
    taken: int
    decompressor: Any


class Unpacked:
    """The bytes of raw deflated data; several threads may read them.

    Args:
        read: Returns the packed bytes from a place to another.
        packed: The number of packed bytes.
        size: The number of bytes that they unpack to, as the ZIP file says.
    """

    def __init__(self, read: Callable[[int, int], bytes], packed: int, size: int) -> None:
        self._read, self._packed, self._size = read, packed, size
        self._lock = threading.Lock()
        self._points = [_Point(0, 0, zlib.decompressobj(-zlib.MAX_WBITS))]
        self._spacing = _SPACING
        self._window = bytearray()
        self._start = 0
        self._taken = 0
        self._waiting = b""
        self._decompressor: Any = self._points[0].decompressor.copy()

    def stream(self, start: int, end: int) -> Iterator[bytes]:
        """Yield the bytes from `start` to `end`. Raise Damaged."""
        while start < end:
            with self._lock:
                piece = self._at(start, min(end, start + STEP))
            start += len(piece)
            yield piece

    def _at(self, start: int, end: int) -> bytes:
        if start < self._start:
            self._go_back(start)
        while self._out < end:
            self._unpack()
        return bytes(self._window[start - self._start : end - self._start])

    @property
    def _out(self) -> int:
        return self._start + len(self._window)

    def _go_back(self, start: int) -> None:
        point = self._points[bisect_right(self._points, start, key=lambda point: point.out) - 1]
        self._start, self._taken = point.out, point.taken
        self._window.clear()
        self._waiting = b""
        self._decompressor = point.decompressor.copy()

    def _unpack(self) -> None:
        """Add up to a step of bytes to the window."""
        if not self._waiting:
            self._waiting = self._read(self._taken, min(self._packed, self._taken + STEP))
            self._taken += len(self._waiting)
        if not self._waiting or self._decompressor.eof:
            raise Damaged(f"its deflated bytes end at {self._out}, before {self._size}")
        try:
            data = self._decompressor.decompress(self._waiting, STEP)
        except zlib.error as error:
            raise Damaged(f"its deflated bytes were changed ({error})") from error
        self._waiting = self._decompressor.unconsumed_tail
        self._window += data
        if self._out > self._size:
            raise Damaged("it inflates to more than its stated size")
        if len(self._window) > _WINDOW + STEP:
            dropped = len(self._window) - _WINDOW
            del self._window[:dropped]
            self._start += dropped
        if self._out >= self._points[-1].out + self._spacing:
            self._keep()

    def _keep(self) -> None:
        taken = self._taken - len(self._waiting)
        self._points.append(_Point(self._out, taken, self._decompressor.copy()))
        if len(self._points) > _MOST_POINTS:
            self._points = self._points[::2]
            self._spacing *= 2
