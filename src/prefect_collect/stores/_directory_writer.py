"""The writer of one file of a directory store."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Final

from prefect_collect.errors import CorruptSegment
from prefect_collect.stores._base import Blob, Buffer, CopyRange
from prefect_collect.stores._files import NewFile, write_all
from prefect_collect.stores._keys import key_parts
from prefect_collect.stores.os_errors import os_errors
from prefect_collect.threads.abandoned import OPEN, current_fence

_GATHER: Final = 1 << 20
_SMALL: Final = 64 << 10
"""The most bytes of a range that is copied through memory: a kernel call for each takes longer."""

_STEP: Final = 8 << 20
_AT_ONCE: Final = 64 << 20
"""The most bytes that one kernel call copies: such a call cannot be interrupted."""

_CANNOT_COPY: Final = {errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF, errno.ETXTBSY}


class DirectoryWriter:
    """A `BlobWriter` of a file that gets its name at `commit`; small writes are gathered."""

    def __init__(self, root: Path, key: str, *, replace: bool) -> None:
        self.position = 0
        self._key = key
        self._parts = key_parts(key)
        self._location = f"{root}/{key}"
        self._replace = replace
        self._fence = current_fence()
        self._gathered = bytearray()
        self._ahead = "", 0, b""
        with os_errors(self._location):
            self._file = NewFile(root)

    def write(self, data: Buffer) -> None:
        """Append `data`. Raise StoreFull, StoreAccessDenied or StoreUnavailable."""
        size = memoryview(data).nbytes
        if len(self._gathered) + size < _GATHER:
            self._gathered += data
        else:
            with os_errors(self._location):
                self._flush()
                write_all(self._file.fd, data)
        self.position += size

    def patch(self, offset: int, data: Buffer) -> None:
        """Replace bytes that were already written."""
        with os_errors(self._location):
            self._flush()
            os.pwrite(self._file.fd, data, offset)

    def go_on(self, *, replace: bool) -> None:
        """Belong from now on to the work that calls this, whose fence may keep the file from getting its name."""
        self._fence, self._replace = current_fence(), replace

    def cut(self, size: int) -> None:
        """Discard what was written after the first `size` bytes, and what a failed write left."""
        with os_errors(self._location):
            self._flush()
            os.ftruncate(self._file.fd, size)
            os.lseek(self._file.fd, size, os.SEEK_SET)
        self.position = size

    def copy(self, source: int, piece: CopyRange, location: str) -> None:
        """Append a range of an open file, a large one if possible by a kernel copy.

        Small ones that follow one another are read together. Raise CorruptSegment if the file is shorter.
        """
        if piece.size <= _SMALL:
            self.write(self._read(source, piece, location))
            return
        if os.fstat(source).st_size < piece.end:
            raise CorruptSegment(f"The segment ends before byte {piece.end} [{location}]")
        with os_errors(self._location):
            self._flush()
            start = piece.start
            while start < piece.end:
                count = self._copy_some(source, start, piece.end - start)
                if not count:
                    raise CorruptSegment(f"The segment ends before byte {piece.end} [{location}]")
                start += count
        self.position += piece.size

    def _read(self, source: int, piece: CopyRange, location: str) -> Buffer:
        of, first, data = self._ahead
        end = first + len(data)
        is_near = of == location and first <= piece.start <= end + _SMALL
        if not is_near or piece.end > end:
            with os_errors(self._location):
                data = os.pread(source, _GATHER if is_near else piece.size, piece.start)
            if len(data) < piece.size:
                raise CorruptSegment(f"The segment ends before byte {piece.end} [{location}]")
            first, self._ahead = piece.start, (location, piece.start, data)
        return memoryview(data)[piece.start - first : piece.end - first]

    def commit(self) -> Blob:
        """Make the file appear under its key, durably."""
        with os_errors(self._location):
            self._flush()
            if self._fence is not OPEN:
                os.fsync(self._file.fd)  # may take long; if the work is abandoned meanwhile, the file must get no name
            with self._fence.passing():
                self._file.place(self._parts, replace=self._replace)
        self._file.close()
        return Blob(self._key, self.position)

    def abort(self) -> None:
        """Discard what was written; do nothing after `commit`."""
        self._gathered = bytearray()  # not cleared: a failed write's traceback may hold a view of the old one
        self._file.close()

    def _flush(self) -> None:
        if self._gathered:
            write_all(self._file.fd, self._gathered)
            self._gathered = bytearray()  # not cleared: a sampling profiler such as Dask's may hold a view of it

    def _copy_some(self, source: int, start: int, size: int) -> int:
        try:
            return os.copy_file_range(source, self._file.fd, min(size, _AT_ONCE), offset_src=start)
        except OSError as error:
            if error.errno not in _CANNOT_COPY:
                raise
        data = os.pread(source, min(size, _STEP), start)
        write_all(self._file.fd, data)
        return len(data)
