"""A folder that stays open while files are created in it."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Self

from prefect_collect.errors import StoreError, StoreUnavailable
from prefect_collect.stores._files import NewFile, open_folder
from prefect_collect.stores.os_errors import store_error


class OpenFolder:
    """The folder that the last file was created in: it is opened once for all files that follow one another in it.

    It is synced to the disk, with the names of its files, when the next folder is opened and when the `with` block
    ends; so the files' names are safe when the block has ended. One thread uses it.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._parts: list[str] | None = None
        self._fd = -1

    def place(self, file: NewFile, parts: list[str]) -> None:
        """Sync a new file to the disk and give it its name. Raise FileExistsError if that exists.

        Raise StoreUnavailable if the names of earlier files could not be synced, or another StoreError but
        StoreError itself: it is not this file's.
        """
        os.fsync(file.fd)
        *above, name = parts
        if above == self._parts:
            with suppress(FileNotFoundError):  # the folder was removed since it was opened
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
        try:
            os.fsync(fd)
        except OSError as error:
            found = store_error(error, str(self._root.joinpath(*(parts or ()))))
            raise (StoreUnavailable(str(found)) if type(found) is StoreError else found) from error
        finally:
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Sync the last folder, unless an exception ends the block, and close it."""
        if kind is None:
            self._leave()
        elif self._fd >= 0:
            os.close(self._fd)
