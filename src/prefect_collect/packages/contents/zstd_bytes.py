"""The bytes that a Zstandard file (RFC 8878) holds, read in their order.

pyarrow decompresses them, in at most 128 MiB of memory (libzstd's own bound). It passes over frames that hold no data,
so the frames are counted too.
"""

from __future__ import annotations

import io
import threading
from typing import Final

from prefect_collect.archive.problems import Damaged, Problems
from prefect_collect.archive.random_access import Bytes
from prefect_collect.archive.zstd_frames import ZstdFrames
from prefect_collect.errors import CollectError

_STEP: Final = 1 << 20
_UNKNOWN: Final = 1 << 62


class ZstdBytes:
    """The decompressed bytes of a file; what is read must ascend, or the file is read again from its start."""

    window: Final = 1 << 20

    def __init__(self, source: Bytes) -> None:
        self._source = source
        self._lock = threading.Lock()
        self._end = _UNKNOWN
        self._start, self._count = 0, 0
        self._kept = b""
        self._restart()

    @property
    def size(self) -> int:
        """The number of bytes; before the end was seen, more than any file has."""
        return self._end

    def read(self, start: int, end: int) -> bytes:
        """Return the bytes from `start` to `end`, or to the file's end. Raise Damaged."""
        with self._lock:
            if start < self._start:
                self._restart()
            at = self._start + len(self._kept)
            while at < start and (data := self._next()):
                at += len(data)
                self._kept = data
                self._start = at - len(data)
            cut = min(start - self._start, len(self._kept))
            parts, held = [self._kept[cut:]], len(self._kept) - cut
            self._start += cut
            while held < end - start and (data := self._next()):
                parts.append(data)
                held += len(data)
            self._kept = b"".join(parts)
            return self._kept[: max(0, end - start)]

    def _restart(self) -> None:
        import pyarrow as pa  # only here: most packages are not compressed

        self._feed = _Feed(self._source)
        self._stream = pa.CompressedInputStream(pa.PythonFile(self._feed, mode="r"), "zstd")
        self._start, self._count, self._kept = 0, 0, b""

    def _next(self) -> bytes:
        try:
            data: bytes = self._stream.read(_STEP)
        except OSError as error:
            if self._feed.failed is not None:
                raise self._feed.failed from error
            raise Damaged(f"its compressed bytes are damaged or cut off ({error})") from error
        self._count += len(data)
        if not data:
            self._end = self._count
        return data

    def check_frames(self, form: Problems) -> None:
        """Report frames beside the one that is written here; call it at the end of the first pass."""
        frames = self._feed.frames
        if (frames.data, frames.others) != (1, 0):
            form.add("package", "its compressed bytes have other frames than were written")

    def close(self) -> None:
        """Close the file."""
        self._stream.close()
        self._source.close()


class _Feed(io.RawIOBase):
    """The compressed bytes as the file that pyarrow reads."""

    def __init__(self, source: Bytes) -> None:
        self._source, self._at = source, 0
        self.frames = ZstdFrames()
        self.failed: Exception | None = None

    def readable(self) -> bool:
        """Return True."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes."""
        end = self._source.size if size < 0 else self._at + size
        try:
            data = self._source.read(self._at, end)
        except (Damaged, CollectError) as error:
            self.failed = error
            raise OSError("the package cannot be read") from error
        self._at += len(data)
        self.frames.take(data)
        return data
