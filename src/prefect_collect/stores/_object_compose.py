"""Composing an object of ranges of other objects, whose bytes pass through this process in parts, several at once."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import IO, Final

from prefect_collect.errors import CorruptSegment, KeyExists, KeyMissing
from prefect_collect.stores._base import Blob, CopyRange, Piece, Store
from prefect_collect.stores._object_writer import ObjectWriter
from prefect_collect.stores._objects import Begin, Bucket, PartUpload
from prefect_collect.stores._parts import Limits, NewBytes, Part, Span, plan_parts
from prefect_collect.stores._ranges import STEP, RangeCopier
from prefect_collect.stores.os_errors import os_errors
from prefect_collect.threads.abandoned import OPEN, current_fence, fenced_by
from prefect_collect.threads.byte_budget import submit_within_budget
from prefect_collect.threads.pool import Pool
from prefect_collect.threads.stop import current_stop

_IN_MEMORY: Final = 32 << 20

_SMALL_GAP: Final = 8 << 10
"""Bytes between two ranges of an object up to which they are read together."""

_TOGETHER: Final = 16 << 20
"""The most bytes that are read together, with those between the ranges."""


def stream(writer: ObjectWriter, pieces: Iterable[Piece], source: Store) -> Blob:
    """Compose an object by reading and sending all bytes through this process."""
    ranges = RangeCopier(source)
    try:
        for piece in pieces:
            if isinstance(piece, CopyRange):
                ranges.copy(piece, writer)
            else:
                writer.write(piece)
        return writer.commit()
    finally:
        writer.abort()


class Composition:
    """One object being composed of ranges in `source` and new bytes, in parts that are uploaded side by side.

    New bytes beyond 32 MiB go to a temporary file, so that `pieces` may be a generator of any length.
    """

    def __init__(self, target: Bucket, begin: Begin, key: str, source: Bucket, pool: Pool, *, replace: bool) -> None:
        self._target = target
        self._begin = begin
        self._key = key
        self._source = source
        self._pool = pool
        self._replace = replace
        self._stop, self._fence = current_stop(), current_fence()
        self._lock = threading.Lock()
        self._kept: IO[bytes] = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 (see close)
        self._spans: list[Span] = []

    def take(self, pieces: Iterable[Piece]) -> None:
        """Record the pieces of the object."""
        if not self._replace and self._target.holds(self._key):
            raise KeyExists(f"The object already exists and is not overwritten [{self._target.locate(self._key)}]")
        position = 0
        for piece in pieces:
            if isinstance(piece, CopyRange):
                self._spans.append(piece)
            else:
                with os_errors(f"temporary folder {tempfile.gettempdir()}"):
                    self._kept.write(piece)
                self._spans.append(NewBytes(position, position + len(piece)))
                position += len(piece)

    def plan(self, limits: Limits) -> list[Part]:
        """Return the object's parts. Raise CorruptSegment if an object of the source is not there as described."""
        return plan_parts(self._checked(), limits)

    def upload(self, parts: list[Part], key: str | None = None) -> Blob:
        """Upload the parts and complete the object; or, with `key`, one that is needed on the way to it."""
        size = sum(part.size for part in parts)
        with self._uploading(self._key if key is None else key) as upload:
            self._fill(upload, parts)
            self._stop.require_going()
            with self._fence.passing():
                return upload.complete(size, replace=self._replace or key is not None)

    def pieces(self) -> Iterator[Piece]:
        """Yield the recorded pieces again, to stream them instead."""
        for span in self._spans:
            self._stop.require_going()
            if isinstance(span, CopyRange):
                yield span
                continue
            for start in range(span.start, span.end, STEP):
                yield self._read_kept(NewBytes(start, min(start + STEP, span.end)))
        self._stop.require_going()

    def close(self) -> None:
        """Remove the temporary file."""
        self._kept.close()

    def _checked(self) -> list[Span]:
        """Return the spans with their objects' present ETags. Raise CorruptSegment if an object has changed."""
        keys = sorted({span.key for span in self._spans if isinstance(span, CopyRange)})
        blobs = dict(zip(keys, self._pool.map(self._head, keys), strict=True))
        return [_checked(span, blobs, self._source) if isinstance(span, CopyRange) else span for span in self._spans]

    def _head(self, key: str) -> Blob:
        try:
            return self._source.head(key)
        except KeyMissing as error:
            location = self._source.locate(key)
            raise CorruptSegment(f"The segment is lost; restore it from a backup [{location}]") from error

    @contextmanager
    def _uploading(self, key: str) -> Iterator[PartUpload]:
        upload = self._begin(key)
        try:
            yield upload
        except BaseException:
            with fenced_by(OPEN):
                upload.abort()
            raise

    def _fill(self, upload: PartUpload, parts: list[Part]) -> None:
        jobs: list[Future[None]] = []
        try:
            jobs += self._submit(upload, parts)
            for number, part in enumerate(parts, 1):
                if not part.copied:
                    work = partial(self._send, upload, number, part)
                    jobs.append(submit_within_budget(self._pool, part.size, work))
            for job in jobs:
                job.result()
        finally:
            for job in jobs:
                job.cancel()
            wait(jobs)

    def _submit(self, upload: PartUpload, parts: list[Part]) -> list[Future[None]]:
        """Submit first what a subclass can have done without the bytes passing through this process."""
        return []

    def _send(self, upload: PartUpload, number: int, part: Part) -> None:
        self._stop.require_going()
        read: dict[int, bytes] = {}
        for group in _read_together(part.spans):
            first = group[0][1]
            data = self._read(replace(first, end=group[-1][1].end))
            read |= {at: data[span.start - first.start : span.end - first.start] for at, span in group}
        kept = enumerate(part.spans)
        upload.send(number, b"".join(read[at] if at in read else self._read_kept(span) for at, span in kept))

    def _read(self, span: CopyRange) -> bytes:
        location = self._source.locate(span.key)
        try:
            data = self._source.get(span.key, span.start, span.end, span.etag).data
        except KeyMissing as error:
            raise CorruptSegment(f"The segment is lost; restore it from a backup [{location}]") from error
        if len(data) != span.size:
            raise CorruptSegment(f"The segment ends before byte {span.end} [{location}]")
        return data

    def _read_kept(self, span: Span) -> bytes:
        with self._lock:
            self._kept.seek(span.start)
            return self._kept.read(span.size)


def _read_together(spans: Sequence[Span]) -> Iterator[list[tuple[int, CopyRange]]]:
    """Yield the ranges, with their places, in groups that one request reads: those of one object with small gaps.

    Between small items of a segment there are only the headers that they had in it.
    """
    group: list[tuple[int, CopyRange]] = []
    for at, span in enumerate(spans):
        if not isinstance(span, CopyRange):
            continue
        last = group[-1][1] if group else None
        if last is not None and (
            (span.key, span.etag) != (last.key, last.etag)
            or not 0 <= span.start - last.end <= _SMALL_GAP
            or span.end - group[0][1].start > _TOGETHER
        ):
            yield group
            group = []
        group.append((at, span))
    if group:
        yield group


def _checked(span: CopyRange, blobs: dict[str, Blob], source: Bucket) -> CopyRange:
    blob = blobs[span.key]
    if span.etag and span.etag != blob.etag:
        raise CorruptSegment(
            f"The segment was replaced since it was written (its ETag differs) [{source.locate(span.key)}]"
        )
    if span.end > blob.size:
        raise CorruptSegment(f"The segment ends before byte {span.end} [{source.locate(span.key)}]")
    return replace(span, etag=blob.etag)
