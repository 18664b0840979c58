"""Writing one S3 object: with one PUT if it is small, else as a multipart upload in the background.

boto3's own uploads (s3transfer) pull their bytes from a file, and make no conditional creates. Here bytes are sent as
they come, from memory that all uploads share, and the beginning can be changed until the end.
"""

from __future__ import annotations

from concurrent.futures import Future, wait
from functools import partial
from typing import Final

from prefect_collect.errors import StoreTooLarge
from prefect_collect.stores._base import Blob, Buffer
from prefect_collect.stores._s3_bucket import Bucket
from prefect_collect.stores._s3_upload import Upload
from prefect_collect.threads.abandoned import OPEN, current_fence, fenced_by
from prefect_collect.threads.byte_budget import submit_within_budget
from prefect_collect.threads.pool import Pool

_MIB: Final = 1 << 20

# Parts grow so that 10,000 of them hold 5 TiB, S3's largest object: up to (that part's number, bytes of a part).
_GROWTH: Final = ((1000, 8 * _MIB), (2000, 32 * _MIB), (4000, 256 * _MIB), (10_000, 800 * _MIB))


def part_size(number: int) -> int:
    """Bytes of part `number` (from 1); raises StoreTooLarge past the last one that S3 takes."""
    for last, size in _GROWTH:
        if number <= last:
            return size
    raise StoreTooLarge(f"S3 holds no object above 5 TiB [part={number}]")


class S3Writer:
    """A `BlobWriter` on an S3 object.

    The first part is held back until `commit`, so that `patch` can change it, and the one being filled is in memory; so
    are parts on their way, as far as the process has room for them. An object of up to two parts is one PUT.
    """

    def __init__(self, bucket: Bucket, key: str, pool: Pool, *, replace: bool) -> None:
        bucket.key(key)
        self.position = 0
        self._bucket = bucket
        self._key = key
        self._pool = pool
        self._replace = replace
        self._fence = current_fence()
        self._first = bytearray()
        self._current = self._first
        self._number = 1
        self._upload: Upload | None = None
        self._sending: list[Future[None]] = []
        self._done = False

    def write(self, data: Buffer) -> None:
        """Append; raises what went wrong in the background too."""
        view = memoryview(data).cast("B")
        self.position += len(view)
        while view:
            room = part_size(self._number) - len(self._current)
            self._current += view[:room]
            view = view[room:]
            if len(self._current) == part_size(self._number):
                self._next()

    def patch(self, offset: int, data: Buffer) -> None:
        """Replace bytes already written, within the first part."""
        size = memoryview(data).nbytes
        if offset + size > len(self._first):
            raise ValueError("only bytes already written in the first 64 KiB can be patched")
        self._first[offset : offset + size] = data

    def commit(self) -> Blob:
        """Make the object appear under its key; after an error nothing is left of it."""
        try:
            if self._upload is None:
                whole = self._first if self._current is self._first else self._first + self._current
                with self._fence.passing():
                    blob = self._bucket.put(self._key, whole, replace=self._replace)
            else:
                if self._current:
                    self._send(self._upload, self._number, bytes(self._current))
                self._send(self._upload, 1, bytes(self._first))
                for sent in self._sending:
                    sent.result()
                with self._fence.passing():
                    blob = self._upload.complete(self.position, replace=self._replace)
        except BaseException:
            self.abort()
            raise
        self._done = True
        return blob

    def abort(self) -> None:
        """Leave nothing behind; does nothing after `commit`."""
        if self._done:
            return
        self._done = True
        for sent in self._sending:
            sent.cancel()
        wait(self._sending)
        if self._upload is not None:
            with fenced_by(OPEN):
                self._upload.abort()
        self._first = self._current = bytearray()

    def _next(self) -> None:
        """The current part is full."""
        if self._number > 1:
            if self._upload is None:
                self._upload = Upload(self._bucket, self._key)
            self._send(self._upload, self._number, bytes(self._current))
        self._number += 1
        self._current = bytearray()

    def _send(self, upload: Upload, number: int, data: bytes) -> None:
        for sent in [sent for sent in self._sending if sent.done()]:
            sent.result()
            self._sending.remove(sent)
        work = partial(upload.send, number, data)
        self._sending.append(submit_within_budget(self._pool, len(data), work))
