"""Files that appear whole or not at all, in folders that are opened without following symbolic links."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeVar

from prefect_collect.stores._keys import TEMPORARY

T = TypeVar("T")
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_ROOT: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NO_UNNAMED_FILES: Final = {errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT, errno.ENOSYS}
_NO_HARD_LINKS: Final = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
_RENAME_NOREPLACE: Final = 1  # linux/fs.h


@contextmanager
def folder(root: Path, parts: list[str], *, make: bool = False) -> Iterator[int]:
    """Open the folder at `parts` below `root`, as a descriptor; no part below `root` may be a symbolic link.

    `make` creates missing folders and syncs them to the disk.
    """
    here = open_folder(root, parts, make=make)
    try:
        yield here
    finally:
        os.close(here)


def open_folder(root: Path, parts: list[str], *, make: bool = False) -> int:
    """Return the descriptor that `folder` yields; it is the caller's to close."""
    here = _made(root, _ROOT) if make else os.open(root, _ROOT)
    try:
        for part in parts:
            below = _step(here, part, make)
            os.close(here)
            here = below
    except BaseException:
        os.close(here)
        raise
    return here


def _made(root: Path, flags: int) -> int:
    """Open the root; make it first if it is missing. Raise FileExistsError if it is a file."""
    try:
        return os.open(root, flags, 0o666)
    except (FileNotFoundError, NotADirectoryError):
        root.mkdir(parents=True, exist_ok=True)
    return os.open(root, flags, 0o666)


def _step(here: int, part: str, make: bool) -> int:
    try:
        return os.open(part, _FOLDER, dir_fd=here)
    except FileNotFoundError:
        if not make:
            raise
    with contextlib.suppress(FileExistsError):
        os.mkdir(part, dir_fd=here)
        os.fsync(here)
    return os.open(part, _FOLDER, dir_fd=here)


class NewFile:
    """A file being written, without a name, or in the temporary folder if the file system has no unnamed files.

    An unnamed file (Linux `O_TMPFILE`) vanishes when the process is killed.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._name: str | None = None
        try:
            self.fd = _made(root, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            if error.errno not in _NO_UNNAMED_FILES:
                raise
            self.fd = self._open_named()

    def _open_named(self) -> int:
        name = self._name = secrets.token_hex(16)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        return self._in_temporary(lambda here: os.open(name, flags, 0o666, dir_fd=here))

    def _in_temporary(self, make: Callable[[int], T]) -> T:
        """Call `make` with the temporary folder; again, if another writer removes the empty folder at that moment."""
        while True:
            with contextlib.suppress(FileNotFoundError), folder(self._root, [TEMPORARY], make=True) as here:
                return make(here)

    def place(self, parts: list[str], *, replace: bool) -> None:
        """Sync the file to the disk and give it its name. Raise FileExistsError if that exists, unless `replace`."""
        os.fsync(self.fd)
        with folder(self._root, parts[:-1], make=True) as there:
            if replace:
                self._rename(there, parts[-1])
            else:
                self.link(there, parts[-1])
            os.fsync(there)

    def link(self, there: int, name: str) -> None:
        """Give the file, which the caller has synced, its name in an open folder. Raise FileExistsError."""
        if self._name is None:
            # With a dir_fd Python calls linkat(AT_SYMLINK_FOLLOW), which gives an unnamed file its name.
            os.link(f"/proc/self/fd/{self.fd}", name, dst_dir_fd=there, follow_symlinks=True)
            return
        with folder(self._root, [TEMPORARY]) as here:
            try:
                os.link(self._name, name, src_dir_fd=here, dst_dir_fd=there, follow_symlinks=False)
            except OSError as error:
                if error.errno not in _NO_HARD_LINKS:
                    raise
                _rename_exclusively(here, self._name, there, name)

    def _rename(self, there: int, name: str) -> None:
        if self._name is None:
            temporary = secrets.token_hex(16)
            unnamed = f"/proc/self/fd/{self.fd}"
            self._in_temporary(lambda here: os.link(unnamed, temporary, dst_dir_fd=here, follow_symlinks=True))
            self._name = temporary
        with folder(self._root, [TEMPORARY]) as here:
            os.rename(self._name, name, src_dir_fd=here, dst_dir_fd=there)

    def close(self) -> None:
        """Close the file, and remove it if it was not placed. Never raise; do nothing the second time."""
        if self.fd < 0:
            return
        with contextlib.suppress(OSError):
            os.close(self.fd)
        self.fd = -1
        if self._name is None:
            return
        with contextlib.suppress(OSError), folder(self._root, [TEMPORARY]) as here:
            os.unlink(self._name, dir_fd=here)
        with contextlib.suppress(OSError):
            os.rmdir(self._root / TEMPORARY)


def write_all(fd: int, data: bytes | bytearray | memoryview) -> None:
    """Write all of `data` at the descriptor's position."""
    view = memoryview(data).cast("B")
    while view:
        view = view[os.write(fd, view) :]


@cache
def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)


def _rename_exclusively(here: int, old: str, there: int, new: str) -> None:
    """Rename unless `new` exists, by renameat2(2), for file systems without hard links (FAT, exFAT, some shares)."""
    if _libc().renameat2(here, os.fsencode(old), there, os.fsencode(new), _RENAME_NOREPLACE) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), new)
