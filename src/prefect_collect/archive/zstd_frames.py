"""Counts the frames of a Zstandard file (RFC 8878, section 3.1), whose bytes are given to it in their order."""

from __future__ import annotations

from collections.abc import Generator
from typing import Final

MAGIC: Final = b"\x28\xb5\x2f\xfd"
"""The first bytes of a frame with data."""

_RLE: Final = 1


class ZstdFrames:
    """The frames so far: `data` have data, `others` are passed over by programs that decompress.

    It takes for granted that a decompressor accepts the file.
    """

    def __init__(self) -> None:
        self.data = self.others = 0
        self._have = b""
        self._skip = 0
        self._walk = self._walked()
        self._need = next(self._walk)

    def take(self, data: bytes) -> None:
        """Look at the next bytes of the file."""
        at = 0
        while at < len(data):
            if self._skip:
                step = min(self._skip, len(data) - at)
                self._skip -= step
                at += step
                continue
            start, at = at, at + self._need - len(self._have)
            self._have += data[start:at]
            if len(self._have) == self._need:
                whole, self._have = self._have, b""
                self._need = self._walk.send(whole)

    def _walked(self) -> Generator[int, bytes, None]:
        """Yield how many bytes are needed next, after those of `_skip`."""
        while True:
            if (yield 4) != MAGIC:
                self.others += 1
                self._skip = int.from_bytes((yield 4), "little")
                continue
            self.data += 1
            flags = (yield 1)[0]
            alone = bool(flags & 0x20)
            content = (1 if alone else 0, 2, 4, 8)[flags >> 6]
            self._skip = (not alone) + (0, 1, 2, 4)[flags & 3] + content
            while True:
                block = int.from_bytes((yield 3), "little")
                self._skip = 1 if block >> 1 & 3 == _RLE else block >> 3
                if block & 1:
                    break
            if flags & 4:
                yield 4
