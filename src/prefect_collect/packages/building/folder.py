"""Builds a package as a folder of files, one for each item, whatever its lists are."""

from __future__ import annotations

import hashlib
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from itertools import islice
from typing import Final

from prefect_collect.codes import Failure
from prefect_collect.errors import (
    CorruptSegment,
    JobCanceled,
    KeyExists,
    KeyMissing,
    StoreError,
    StoreNameTooLong,
    StoreTooLarge,
)
from prefect_collect.job_folder.store_keys import segment_key
from prefect_collect.packages.building.folder_contents import FolderContents
from prefect_collect.packages.building.reading import SegmentReader, each_item, plain_chunks
from prefect_collect.packages.building.replacing import FolderLeft, Marker, Owner, refusal
from prefect_collect.packages.building.rows import Row, by_segment
from prefect_collect.packages.building.spec import Built
from prefect_collect.packages.building.tag_file import PackageFile, fingerprint_of
from prefect_collect.stores import Blob, DirectoryStore, Store
from prefect_collect.threads.abandoned import current_fence
from prefect_collect.threads.pool import Pool
from prefect_collect.threads.stop import Stop

_LOCAL_THREADS: Final = 4
_REMOTE_THREADS: Final = 32
LONGEST_PATH: Final = 4095
"""The most bytes of a whole path in Linux (PATH_MAX of limits.h, without the NUL)."""

_OF_THE_ITEM: Final = (StoreError, StoreNameTooLong, StoreTooLarge)
"""Exactly these errors fail one item; others (a full store, no access) end the export."""

_SHARE: Final = 64
"""How many items of one segment a thread handles at a time."""

_REMOVED_AT_ONCE: Final = 1000


def build_folder(
    contents: FolderContents,
    staging: Store,
    destination: Store,
    key: str,
    *,
    owner: Owner | None = None,
    replace: bool = False,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    stop: Stop | None = None,
) -> Built:
    """Write the package into the folder `key`, hashing each item again on the way.

    An item that cannot be written fails as an item (in `Built.failed`): ``path_collision`` if its name is taken (on
    file systems that ignore case), ``segment_corrupt``, or the store's own code if its name is not possible there. The
    lists list what is missing; the `last` list is written last, and only then the marker is removed that names the
    job of `owner`. With `replace`, what an earlier attempt of that job left is replaced: a package with a fingerprint
    that it delivered, or a folder with its marker, if no other file is in it; a package that is identical to the new
    one is kept. Anything else is never touched.

    Raises:
        PackageExists: The folder holds something that this job did not write.
        StoreError: A store failed.
        JobCanceled: `stop` was set to cancel; what was written has been removed again.
    """
    stop = Stop() if stop is None else stop
    folder = f"{key}/"
    marker = None if owner is None else Marker(destination, key, owner.job_id)
    over = next(iter(destination.list(folder)), None) is not None
    if over:
        if not replace or owner is None or marker is None:
            raise refusal(destination, key)
        left = FolderLeft(destination, key, contents.form.seal)
        unfinished = marker.name in left.sizes
        if not unfinished and left.fingerprint not in owner.fingerprints:
            return _kept(contents, left, destination, key)
        other = left.others(_names(contents, marker))
        if other is not None:
            raise refusal(destination, key, other)
        if not unfinished:
            marker.set(alone=False)
        # Each list is replaced where it is: the marker must exist until everything else here is deleted.
        _remove_payload(contents, destination, folder, left)
    elif marker is not None:
        marker.set(alone=True)
    local = isinstance(destination, DirectoryStore) and isinstance(staging, DirectoryStore)
    payload = _Payload(staging, destination, f"{folder}{contents.form.payload}", contents.job_id, progress, stop)
    try:
        with contents.lists() as lists:
            with Pool(threads or (_LOCAL_THREADS if local else _REMOTE_THREADS), "package") as pool:
                files, failed = contents.fill(lists, payload.failed, lambda rows: payload.write(rows, pool))
            last = next(file for file in files if file.name == contents.form.last)
            for file in files:
                if file is not last:
                    stop.require_going()
                    _put(staging, destination, folder + file.name, file, replace=over)
            if contents.form.empty and not lists.items and isinstance(destination, DirectoryStore):
                with current_fence().passing():  # RFC 8493, 2.1.2: it may be empty
                    os.makedirs(destination.locate(f"{folder}{contents.form.empty}"), exist_ok=True)
            stop.require_going()
            blob = _put(staging, destination, folder + last.name, last, replace=over)
            built = Built(key, blob, lists.items, lists.bytes, fingerprint_of(files, contents.form.seal), failed)
    except JobCanceled:
        _remove(contents, destination, key, marker)
        raise
    if marker is not None:
        marker.remove()
    return built


def _names(contents: FolderContents, marker: Marker) -> Iterator[set[str]]:
    yield {marker.name}
    yield from contents.names()


def _remove(contents: FolderContents, destination: Store, key: str, marker: Marker | None) -> None:
    """Remove a half-written package, unless its folder also holds a file of another writer."""
    if (
        marker is None
        or (left := FolderLeft(destination, key, contents.form.seal)).others(_names(contents, marker)) is not None
    ):
        return
    _remove_payload(contents, destination, f"{key}/", left)
    with current_fence().passing():
        destination.delete(f"{key}/")


def _kept(contents: FolderContents, left: FolderLeft, destination: Store, key: str) -> Built:
    """Return the existing package if it is the one that would be built. Raises PackageExists if not."""
    sizes: dict[str, int] = {}
    with contents.lists() as lists:
        files, _ = contents.fill(
            lists, {}, lambda rows: sizes.update({f"{contents.form.payload}{row.path}": row.size for row in rows})
        )
        sizes |= {file.name: file.size for file in files}
        if (left.sizes, left.fingerprint) != (sizes, fingerprint_of(files, contents.form.seal)):
            raise refusal(destination, key)
        blob = destination.stat(f"{key}/{contents.form.last}")
        return Built(key, blob, lists.items, lists.bytes, left.fingerprint, {})


def _remove_payload(contents: FolderContents, destination: Store, folder: str, left: FolderLeft) -> None:
    """Remove the folders of the payload, a part at a time, so that a cancel does not wait for all of it."""
    fence = current_fence()
    payload = [name for name in left.sizes if contents.is_payload(name)]
    names = iter(payload)
    while some := [f"{folder}{name}" for name in islice(names, _REMOVED_AT_ONCE)]:
        with fence.passing():
            destination.remove(some)
    for top in sorted({contents.form.payload or "", *(f"{name.partition('/')[0]}/" for name in payload)} - {""}):
        with fence.passing():
            destination.delete(f"{folder}{top}")


def _put(staging: Store, destination: Store, key: str, file: PackageFile, *, replace: bool) -> Blob:
    if file.is_composed:
        return destination.compose(key, file.pieces(), staging, replace=replace)
    writer = destination.writer(key, replace=replace)
    try:
        for chunk in file.pieces():
            if isinstance(chunk, bytes):
                writer.write(chunk)
        return writer.commit()
    finally:
        writer.abort()


class _Payload:
    """Writes payload files, a few at once."""

    def __init__(
        self,
        staging: Store,
        destination: Store,
        folder: str,
        job_id: str,
        progress: Callable[[int, int], None] | None,
        stop: Stop,
    ) -> None:
        self._stop = stop
        self.failed: dict[int, Failure] = {}
        self._staging, self._destination, self._job_id, self._progress = staging, destination, job_id, progress
        self._folder = folder
        self._is_local = isinstance(destination, DirectoryStore)
        self._lock = threading.Lock()

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
        try:
            each_item(self._staging, key, rows, self._item, self._stop)
        except KeyMissing:
            for row in rows:
                self._fail(row, "segment_corrupt", "its segment was lost after it was checked")
        if self._progress is not None:
            with self._lock:
                self._progress(len(rows), sum(row.size for row in rows))

    def _item(self, reader: SegmentReader, row: Row, ahead: int) -> None:
        self._stop.require_going()
        chunks, key = plain_chunks(reader, row, ahead), self._folder + row.path
        try:
            if self._is_local and len(os.fsencode(self._destination.locate(key))) > LONGEST_PATH:
                raise StoreNameTooLong(f"its path is longer than the system allows; export as one ZIP file [{key}]")
            if row.deflated or row.stored_size > reader.window:
                self._stream(reader, key, chunks, row)
            else:
                data = next(chunks, b"")
                _prove(hashlib.sha256(data).digest(), row, reader)
                with current_fence().passing():
                    self._destination.create(key, data)
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
