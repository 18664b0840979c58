"""An item of a segment as a file that can be read at any place."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, Final

from prefect_collect.packages.building.reading import each_item, plain_chunks
from prefect_collect.packages.building.rows import Row
from prefect_collect.stores import Store
from prefect_collect.threads.stop import Stop

_IN_MEMORY: Final = 8 << 20


@contextmanager
def item_file(staging: Store, key: str, row: Row, stop: Stop) -> Iterator[Any]:
    """Yield a seekable reader of an item: of its range of the segment, or, if it is compressed, of its bytes unpacked.

    Raise KeyMissing, CorruptSegment, StoreError, JobCanceled.
    """
    if not row.deflated:
        yield _Range(staging, key, row, stop)
        return
    with tempfile.SpooledTemporaryFile(_IN_MEMORY) as file:
        each_item(staging, key, [row], lambda reader, one, ahead: _unpack(file, plain_chunks(reader, one, ahead)), stop)
        file.seek(0)
        yield file


def _unpack(file: IO[bytes], chunks: Iterator[bytes | memoryview]) -> None:
    for chunk in chunks:
        file.write(chunk)


class _Range(io.RawIOBase):
    def __init__(self, staging: Store, key: str, row: Row, stop: Stop) -> None:
        super().__init__()
        self._staging, self._key, self._row, self._stop, self._at = staging, key, row, stop, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._row.size}[whence] + offset
        return self._at

    def read(self, size: int = -1) -> bytes:
        self._stop.require_going()
        start = self._row.offset + self._at
        end = self._row.end if size is None or size < 0 else min(self._row.end, start + size)
        data = self._staging.read(self._key, start, end) if start < end else b""
        self._at += len(data)
        return data
