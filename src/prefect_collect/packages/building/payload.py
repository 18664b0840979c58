"""Writes the files of a package that is a folder: its items, a few at once, and its lists."""

from __future__ import annotations

import hashlib
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from typing import Final

from prefect_collect.codes import Failure
from prefect_collect.errors import (
    CorruptSegment,
    KeyExists,
    KeyMissing,
    StoreError,
    StoreNameTooLong,
    StoreTooLarge,
)
from prefect_collect.job_folder.store_keys import segment_key
from prefect_collect.packages.building.order import PackageInput
from prefect_collect.packages.building.pieces import Deflated
from prefect_collect.packages.building.placing import until_canceled
from prefect_collect.packages.building.reading import SegmentReader, each_item, plain_chunks
from prefect_collect.packages.building.rows import Row, by_segment
from prefect_collect.packages.building.tag_file import PackageFile
from prefect_collect.stores import Blob, CopyRange, DirectoryStore, Store
from prefect_collect.threads.abandoned import current_fence
from prefect_collect.threads.pool import Pool
from prefect_collect.threads.stop import Stop, stopped_by

_LOCAL_THREADS: Final = 4
_REMOTE_THREADS: Final = 32
LONGEST_PATH: Final = 4095
"""The most bytes of a whole path in Linux (PATH_MAX of limits.h, without the NUL)."""

_OF_THE_ITEM: Final = (StoreError, StoreNameTooLong, StoreTooLarge)
"""Exactly these errors fail one item; others (a full store, no access) end the export."""

_COPIED: Final = 8 << 20
"""Items larger than this are copied by the server: each takes several requests, and smaller ones are read together."""

_SHARE: Final = 64
"""How many items of one segment a thread handles at a time."""

_Create = Callable[[str, bytes | memoryview], Blob]


def put_file(staging: Store, destination: Store, key: str, file: PackageFile, stop: Stop, *, replace: bool) -> Blob:
    """Write a finished file of a package. Raise KeyExists, StoreError, JobCanceled."""
    pieces = (piece for piece in until_canceled(file.pieces(), stop) if not isinstance(piece, Deflated))
    if file.is_composed:
        with stopped_by(stop):
            return destination.compose(key, pieces, staging, replace=replace)
    writer = destination.writer(key, replace=replace)
    try:
        for chunk in pieces:
            if isinstance(chunk, bytes):
                writer.write(chunk)
        return writer.commit()
    finally:
        writer.abort()


class Payload:
    """Writes payload files below a folder of the destination, a few at once; `failed` has why those of rows could not.

    Each item is hashed again on the way, except for large ones that a server copies by itself out of the segments that
    were recognised: their ETags prove the bytes. Where the server refuses to copy, they are hashed as well.
    """

    def __init__(self, given: PackageInput, destination: Store, folder: str, stop: Stop) -> None:
        self._stop = stop
        self._known = given.checked.known if destination.copies_from(given.staging) else {}
        self.failed: dict[int, Failure] = {}
        self._staging, self._destination, self._job_id = given.staging, destination, given.spec.job_id
        self._folder = folder
        self._is_local = isinstance(destination, DirectoryStore)
        self._lock = threading.Lock()

    @property
    def threads(self) -> int:
        """The number of threads to write with."""
        return _LOCAL_THREADS if self._is_local and isinstance(self._staging, DirectoryStore) else _REMOTE_THREADS

    def write(self, rows: list[Row], pool: Pool) -> None:
        """Write a batch; return when all of it is written."""
        waiting: deque[Future[None]] = deque()
        for group in by_segment(rows):
            for start in range(0, len(group), _SHARE):
                waiting.append(pool.submit(self._share, group[start : start + _SHARE]))
        for future in waiting:
            future.result()

    def _share(self, rows: list[Row]) -> None:
        key = segment_key(self._job_id, rows[0].segment)
        is_known = rows[0].segment in self._known
        read = [row for row in rows if not (is_known and self._copy(row))]
        try:
            if read:
                with self._creating() as create:
                    each_item(self._staging, key, read, partial(self._item, create), self._stop)
        except KeyMissing:
            for row in read:
                self._fail(row, "segment_corrupt", "its segment was lost after it was checked")

    @contextmanager
    def _creating(self) -> Iterator[_Create]:
        """Yield the destination's `create`; what it created is safe from a crash when the block has ended."""
        if isinstance(self._destination, DirectoryStore):
            with self._destination.open_folder() as into:
                yield partial(self._destination.create, into=into)
        else:
            yield self._destination.create

    def _item(self, create: _Create, reader: SegmentReader, row: Row, ahead: int) -> None:
        self._stop.require_going()
        chunks, key = plain_chunks(reader, row, ahead), self._folder + row.path
        with self._failing(row):
            if self._is_local and len(os.fsencode(self._destination.locate(key))) > LONGEST_PATH:
                raise StoreNameTooLong(f"its path is longer than the system allows; export as one ZIP file [{key}]")
            if row.deflated or row.stored_size > reader.window:
                self._stream(reader, key, chunks, row)
            else:
                data = next(chunks, b"")
                _prove(hashlib.sha256(data).digest(), row, reader)
                with current_fence().passing():
                    create(key, data)

    def _copy(self, row: Row) -> bool:
        """Have the server copy a large item; return whether it did, or the item failed, and so need not be read."""
        if row.deflated or row.stored_size <= _COPIED:
            return False
        self._stop.require_going()
        segment = self._known[row.segment]
        piece = CopyRange(segment.key, row.offset, row.end, segment.etag)
        is_settled = True
        with self._failing(row), stopped_by(self._stop):
            is_settled = self._destination.copy_range(self._folder + row.path, piece, self._staging) is not None
        return is_settled

    @contextmanager
    def _failing(self, row: Row) -> Iterator[None]:
        """Have an error of the item fail it; others pass through."""
        try:
            yield
        except CorruptSegment as error:
            self._fail(row, "segment_corrupt", str(error).rpartition(" [")[0])
        except KeyExists:
            self._fail(row, "path_collision", "another file has that name; file names may ignore case there")
        except StoreError as error:
            if type(error) not in _OF_THE_ITEM:
                raise
            self._fail(row, error.code, str(error).rpartition(" [")[0])

    def _stream(self, reader: SegmentReader, key: str, chunks: Iterator[bytes | memoryview], row: Row) -> None:
        writer, sha256 = self._destination.writer(key), hashlib.sha256()
        try:
            for chunk in chunks:
                sha256.update(chunk)
                writer.write(chunk)
            _prove(sha256.digest(), row, reader)
            writer.commit()
        finally:
            writer.abort()

    def _fail(self, row: Row, code: str, reason: str) -> None:
        failure = Failure(code, f"The item could not be written: {reason}. [item={row.path}, segment={row.segment}]")
        with self._lock:
            self.failed[row.number] = failure


def _prove(digest: bytes, row: Row, reader: SegmentReader) -> None:
    if digest != row.sha256:
        raise CorruptSegment(f"its bytes were altered after they were checked [{reader.location}]")
