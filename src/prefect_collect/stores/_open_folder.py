"""A folder that stays open while files are created in it."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from prefect_collect.errors import StoreError, StoreUnavailable
from prefect_collect.stores._files import NewFile, folder, open_folder
from prefect_collect.stores.os_errors import store_error

_NOT_THERE: Final = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}


class OpenFolder:
    """The folder that the last file was created in: it is opened once for all files that follow one another in it.

    It is synced to the disk, with the names of its files, when the next folder is opened and when the `with` block
    ends; so the files' names are safe when the block has ended. It must then still be what has its name: a folder that
    another program moved or replaced took the files with it. One thread uses it.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._parts: list[str] | None = None
        self._fd = -1

    def place(self, file: NewFile, parts: list[str]) -> None:
        """Sync a new file to the disk and give it its name. Raise FileExistsError if that exists.

        Raise StoreUnavailable if the names of earlier files could not be synced or their folder is no longer there, or
        another StoreError but StoreError itself: it is not this file's.
        """
        os.fsync(file.fd)
        *above, name = parts
        if above == self._parts:
            with suppress(FileNotFoundError):  # the folder was removed since it was opened, which _leave says
                file.link(self._fd, name)
                return
        self._leave()
        self._fd = open_folder(self._root, above, make=True)
        self._parts = above
        file.link(self._fd, name)

    def _leave(self) -> None:
        fd, self._fd = self._fd, -1
        parts, self._parts = self._parts, None
        if fd < 0:
            return
        place = str(self._root.joinpath(*(parts or ())))
        try:
            os.fsync(fd)
            is_there = self._is_there(fd, parts or [])
        except OSError as error:
            found = store_error(error, place)
            raise (StoreUnavailable(str(found)) if type(found) is StoreError else found) from error
        finally:
            os.close(fd)
        if not is_there:
            raise StoreUnavailable(
                f"The folder was moved or replaced while files were written into it; retry while no other program "
                f"changes it [{place}]"
            )

    def _is_there(self, fd: int, parts: list[str]) -> bool:
        """Return whether the open folder still has its name."""
        try:
            with folder(self._root, parts) as there:
                return os.path.sameopenfile(fd, there)
        except OSError as error:
            if error.errno in _NOT_THERE:
                return False
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Sync the last folder, unless an exception ends the block, and close it."""
        if kind is None:
            self._leave()
        elif self._fd >= 0:
            os.close(self._fd)
