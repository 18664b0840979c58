"""Reading files below a root: never outside it, and never without noticing a change."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from prefect_collect.connectors.files.tree import is_below, modified_of, shown
from prefect_collect.errors import SourceError
from prefect_collect.sources import MOST_AT_ONCE, Content

CHUNK: Final = 1 << 20
"""Bytes of one read of a file."""

_FLAGS: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_DELETED: Final = b" (deleted)"


class Reader:
    """A reader of regular files by their path below a resolved `root`; `follow_symlinks` allows links inside it.

    Its methods raise OSError, or SourceError with the code `path_unsafe` if a path leads out of the root, and
    `changed_during_read` if a file has changed since it was listed or opened.
    """

    def __init__(self, root: bytes, *, follow_symlinks: bool) -> None:
        self._root = os.path.realpath(root)
        self._prefix = self._root.rstrip(b"/") + b"/"
        self._follow = follow_symlinks

    def read(self, relative: bytes) -> Content:
        """Read a small file in one piece."""
        descriptor, path = self._open(relative)
        try:
            status = self._regular(descriptor, path)
            if status.st_size > MOST_AT_ONCE:
                raise SourceError(
                    f"The file has grown to {status.st_size} bytes since it was listed as small. [{shown(path)}]",
                    code="changed_during_read",
                )
            data = os.read(descriptor, status.st_size + 1)
            if len(data) < status.st_size:
                data += b"".join(_pieces(descriptor))
            _unchanged(descriptor, status, len(data), path)
        finally:
            os.close(descriptor)
        return Content((data,), status.st_size, modified_of(status))

    @contextmanager
    def open(self, relative: bytes, start: int = 0, end: int | None = None) -> Iterator[Content]:
        """Open a file of any size; its content, or the range of it from `start` to `end`, is read in pieces."""
        descriptor, path = self._open(relative)
        try:
            status = self._regular(descriptor, path)
            os.posix_fadvise(descriptor, start, 0 if end is None else end - start, os.POSIX_FADV_SEQUENTIAL)
            yield Content(
                _pieces(descriptor) if end is None and not start else _range(descriptor, start, end),
                status.st_size,
                modified_of(status),
                finish=lambda: _unchanged(descriptor, status, status.st_size, path),
            )
        finally:
            os.close(descriptor)

    def _open(self, relative: bytes) -> tuple[int, bytes]:
        path = self._prefix + relative
        try:
            descriptor = os.open(path, _FLAGS if self._follow else _FLAGS | os.O_NOFOLLOW)
        except OSError as error:
            if error.errno == errno.ELOOP and not self._follow:
                raise SourceError(
                    f"The file has become a symbolic link since it was listed. [{shown(path)}]",
                    code="changed_during_read",
                ) from error
            raise
        try:
            actual = _resolved(descriptor, path)
        except OSError:
            os.close(descriptor)
            raise
        if actual == path or (self._follow and is_below(actual, self._root)):
            return descriptor, path
        os.close(descriptor)
        raise SourceError(
            f"The path leads out of the source's folder, to {shown(actual)}. [{shown(path)}]", code="path_unsafe"
        )

    def _regular(self, descriptor: int, path: bytes) -> os.stat_result:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise SourceError(
                f"The item is no longer a regular file as when it was listed. [{shown(path)}]",
                code="changed_during_read",
            )
        return status


def _resolved(descriptor: int, path: bytes) -> bytes:
    """Return the real path of an open file, from the kernel: a link that is swapped in meanwhile cannot change it."""
    try:
        actual = os.readlink(b"/proc/self/fd/%d" % descriptor)
    except FileNotFoundError:
        return os.path.realpath(path)
    return actual[: -len(_DELETED)] if actual.endswith(_DELETED) and not path.endswith(_DELETED) else actual


def _pieces(descriptor: int) -> Iterator[bytes]:
    while piece := os.read(descriptor, CHUNK):
        yield piece


def _range(descriptor: int, at: int, end: int | None) -> Iterator[bytes]:
    while piece := os.pread(descriptor, CHUNK if end is None else min(CHUNK, end - at), at):
        yield piece
        at += len(piece)


def _unchanged(descriptor: int, before: os.stat_result, read: int, path: bytes) -> None:
    now = os.fstat(descriptor)
    if now.st_mtime_ns != before.st_mtime_ns or now.st_size != before.st_size or read != before.st_size:
        raise SourceError(
            f"The file was written to while it was read (from {before.st_size} to {now.st_size} bytes). "
            f"[{shown(path)}]",
            code="changed_during_read",
        )
