"""The writer of one object of a bucket: one request if it is small, else an upload in parts in the background.

The uploads of the services' own libraries read their bytes from a file, and those of boto3 (s3transfer) make no
conditional creates. This writer sends bytes as they are written, within a byte budget that all uploads share, and lets
the start be changed until the commit.
"""

from __future__ import annotations

from concurrent.futures import Future, wait
from functools import partial
from typing import Final

from prefect_collect.errors import StoreTooLarge
from prefect_collect.stores._base import Blob, Buffer
from prefect_collect.stores._objects import Begin, Bucket, PartUpload
from prefect_collect.threads.abandoned import OPEN, current_fence, fenced_by
from prefect_collect.threads.byte_budget import submit_within_budget
from prefect_collect.threads.pool import Pool

_MIB: Final = 1 << 20

# Parts grow so that 10,000 of them (the most on S3) hold 5 TiB, the largest object of S3 and Google: up to (that part's
# number, bytes of a part).
_GROWTH: Final = ((1000, 8 * _MIB), (2000, 32 * _MIB), (4000, 256 * _MIB), (10_000, 800 * _MIB))


def part_size(number: int) -> int:
    """Return the bytes of part `number` (from 1). Raise StoreTooLarge if there may not be so many."""
    for last, size in _GROWTH:
        if number <= last:
            return size
    raise StoreTooLarge(f"An object has at most 5 TiB [part={number}]")


class ObjectWriter:
    """A `BlobWriter` of an object.

    The first part stays in memory until `commit`, so that `patch` can change it, and so does the part being filled;
    parts being sent are in memory within the process's byte budget. An object of up to two parts is one request.
    """

    def __init__(self, bucket: Bucket, begin: Begin, key: str, pool: Pool, *, replace: bool) -> None:
        bucket.key(key)
        self.position = 0
        self._bucket = bucket
        self._begin = begin
        self._key = key
        self._pool = pool
        self._replace = replace
        self._fence = current_fence()
        self._first = bytearray()
        self._current = self._first
        self._number = 1
        self._upload: PartUpload | None = None
        self._sending: list[Future[None]] = []
        self._done = False

    def write(self, data: Buffer) -> None:
        """Append `data`. Raise also the error of a part that is sent in the background."""
        view = memoryview(data).cast("B")
        self.position += len(view)
        while view:
            free = part_size(self._number) - len(self._current)
            self._current += view[:free]
            view = view[free:]
            if len(self._current) == part_size(self._number):
                self._next()

    def patch(self, offset: int, data: Buffer) -> None:
        """Replace bytes that were already written, within the first part."""
        size = memoryview(data).nbytes
        if offset + size > len(self._first):
            raise ValueError("only bytes already written in the first 64 KiB can be patched")
        self._first[offset : offset + size] = data

    def commit(self) -> Blob:
        """Make the object appear under its key; after an error discard it."""
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
        """Discard what was written; do nothing after `commit`."""
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
        """Send the current part, which is full, and start the next."""
        if self._number > 1:
            if self._upload is None:
                self._upload = self._begin(self._key)
            self._send(self._upload, self._number, bytes(self._current))
        self._number += 1
        self._current = bytearray()

    def _send(self, upload: PartUpload, number: int, data: bytes) -> None:
        for sent in [sent for sent in self._sending if sent.done()]:
            sent.result()
            self._sending.remove(sent)
        work = partial(upload.send, number, data)
        self._sending.append(submit_within_budget(self._pool, len(data), work))
