"""A store in a directory of a file system."""

from __future__ import annotations

import contextlib
import io
import os
import secrets
import stat as modes
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from prefect_collect.errors import CorruptSegment, KeyExists, KeyMissing, StoreError, StoreUnsafe
from prefect_collect.stores._base import Blob, BlobWriter, Buffer, CopyRange, Piece, Store
from prefect_collect.stores._directory_writer import DirectoryWriter
from prefect_collect.stores._files import NewFile, folder, write_all
from prefect_collect.stores._keys import TEMPORARY, folder_parts, key_parts, prefix_parts
from prefect_collect.stores._open_folder import OpenFolder
from prefect_collect.stores._ranges import RangeCopier
from prefect_collect.stores.os_errors import os_errors

_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class DirectoryStore:
    """A store in a directory, which is created at the first write.

    A blob appears under its name only when it is whole and synced to the disk, and replaces another one only on
    request. Symbolic links below `root` are neither followed nor listed, so nothing outside it is read, written or
    deleted.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(os.path.abspath(root))
        self.url = str(self.root)

    def __repr__(self) -> str:
        return f"DirectoryStore({self.url!r})"

    def create(self, key: str, data: Buffer, into: OpenFolder | None = None) -> Blob:
        """Write a new blob in one step. Raise KeyExists if the key exists.

        With `into`, which `open_folder` returned, the blob's name is safe from a crash when that has been left.
        """
        parts = key_parts(key)
        with os_errors(self.locate(key)):
            file = NewFile(self.root)
            try:
                write_all(file.fd, data)
                if into is None:
                    file.place(parts, replace=False)
                else:
                    into.place(file, parts)
            finally:
                file.close()
        return Blob(key, memoryview(data).nbytes)

    def open_folder(self) -> OpenFolder:
        """Return what `create` keeps open and syncs less often, while one thread creates many files; leave it."""
        return OpenFolder(self.root)

    def writer(self, key: str, *, replace: bool = False) -> BlobWriter:
        """Return the writer of a blob of unknown size; unless `replace`, the key must not exist at the commit."""
        key_parts(key)
        return DirectoryWriter(self.root, key, replace=replace)

    def read(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        """Return the bytes from `start` to `end` (exclusive; None: to the end). Raise KeyMissing."""
        with self._opened(key) as file, os_errors(self.locate(key)):
            file.seek(start)
            return file.read(-1 if end is None else max(0, end - start))

    def open(self, key: str) -> io.BufferedIOBase:
        """Return a seekable reader. Raise KeyMissing."""
        return self._opened(key)

    def stat(self, key: str) -> Blob:
        """Return the blob's size. Raise KeyMissing."""
        with self._opened(key) as file:
            return Blob(key, os.fstat(file.fileno()).st_size)

    def look(self, key: str, start: int, end: int) -> tuple[Blob, bytes]:
        """Return the blob's size with some of its bytes. Raise KeyMissing."""
        return self.stat(key), self.read(key, start, end)

    def list(self, prefix: str = "") -> Iterator[Blob]:
        """Yield every blob whose key starts with `prefix`, in the order of the keys."""
        parts, start = prefix_parts(prefix)
        with os_errors(self.locate(prefix)):
            try:
                with folder(self.root, parts) as here:
                    yield from self._listed(here, "".join(f"{part}/" for part in parts), start)
            except (FileNotFoundError, NotADirectoryError):
                return

    def folders(self, prefix: str = "") -> Iterator[str]:
        """Yield the names of the folders directly below `prefix`, in order."""
        parts, start = prefix_parts(prefix)
        with os_errors(self.locate(prefix)):
            try:
                with folder(self.root, parts) as here, os.scandir(here) as entries:
                    names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
            except (FileNotFoundError, NotADirectoryError):
                return
        yield from sorted(name for name in names if name.startswith(start) and (parts or name != TEMPORARY))

    def delete(self, prefix: str) -> int:
        """Remove every blob below the folder `prefix` (which ends in "/"); return their number."""
        *above, name = folder_parts(prefix)
        with os_errors(self.locate(prefix)):
            try:
                with folder(self.root, above) as there:
                    with folder(self.root, [*above, name]) as here:
                        count = self._emptied(here)
                    with contextlib.suppress(OSError):  # another writer has created a file in it
                        os.rmdir(name, dir_fd=there)
                    return count
            except FileNotFoundError:
                return 0

    def remove(self, keys: Iterable[str]) -> None:
        """Remove these files; missing ones are no error. Links are neither followed nor removed."""
        for *above, name in [key_parts(key) for key in keys]:
            with (
                os_errors(self.locate("/".join([*above, name]))),
                contextlib.suppress(FileNotFoundError, NotADirectoryError),
                folder(self.root, above) as here,
            ):
                if modes.S_ISREG(os.stat(name, dir_fd=here, follow_symlinks=False).st_mode):
                    os.unlink(name, dir_fd=here)

    def compose(self, key: str, pieces: Iterable[Piece], source: Store, *, replace: bool = False) -> Blob:
        """Write a blob that consists of ranges of `source` and new bytes; see `Store.compose`."""
        writer = DirectoryWriter(self.root, key, replace=replace)
        return self.compose_with(writer, key, pieces, source, replace=replace)

    def compose_with(
        self, writer: DirectoryWriter, key: str, pieces: Iterable[Piece], source: Store, *, replace: bool
    ) -> Blob:
        """Do as `compose`, with a writer that may have written the first pieces already; it is closed."""
        try:
            if not replace and self._exists(key):
                raise KeyExists(f"The file already exists and is not overwritten [{self.locate(key)}]")
            with contextlib.ExitStack() as opened:
                last: tuple[str, int, str] | None = None
                ranges = RangeCopier(source)
                for piece in pieces:
                    if not isinstance(piece, CopyRange):
                        writer.write(piece)
                    elif not isinstance(source, DirectoryStore):
                        ranges.copy(piece, writer)
                    else:
                        if last is None or last[0] != piece.key:
                            opened.close()
                            file = opened.enter_context(source.open_segment(piece.key))
                            last = piece.key, file.fileno(), source.locate(piece.key)
                        writer.copy(last[1], piece, last[2])
            return writer.commit()
        finally:
            writer.abort()

    def copy_range(self, key: str, piece: CopyRange, source: Store) -> Blob | None:
        """Return None: files have no ETag by which a copy could be proven."""
        return None

    def copies_from(self, source: Store) -> bool:
        """Return False: files have no ETag by which a copy could be proven."""
        return False

    def locate(self, key: str) -> str:
        """Return the blob's absolute path."""
        return f"{self.root}/{key}" if self.url != "/" else f"/{key}"

    def link(self, key: str, seconds: int = 3600) -> str:
        """Return a ``file://`` URL; it does not expire."""
        key_parts(key)
        return Path(self.locate(key)).as_uri()

    def require_folder(self) -> None:
        """Raise StoreError if the store's folder, or one above it, is a file; nothing is written."""
        for place in (self.root, *self.root.parents):
            try:
                is_folder = modes.S_ISDIR(os.stat(place).st_mode)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError:
                return
            if not is_folder:
                raise StoreError(f"This is a file, not a folder; choose another place [{place}]")
            return

    def require_exclusive_creates(self) -> None:
        """Create one name twice. Raise StoreUnsafe if that works, StoreError if nothing can be written."""
        self.require_folder()
        name = f".probe-{secrets.token_hex(8)}"
        with os_errors(self.locate(name)):
            try:
                self._place_empty(name)
                with contextlib.suppress(FileExistsError):
                    self._place_empty(name)
                    raise StoreUnsafe(
                        f"The file system lets two writers create the same file; use another file system [{self.url}]"
                    )
            finally:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self.root / name)

    def _place_empty(self, name: str) -> None:
        file = NewFile(self.root)
        try:
            file.place([name], replace=False)
        finally:
            file.close()

    def _exists(self, key: str) -> bool:
        *above, name = key_parts(key)
        with os_errors(self.locate(key)):
            try:
                with folder(self.root, above) as here:
                    os.stat(name, dir_fd=here, follow_symlinks=False)
            except FileNotFoundError:
                return False
            return True

    def _opened(self, key: str) -> io.BufferedReader:
        *above, name = key_parts(key)
        location = self.locate(key)
        with os_errors(location):
            try:
                with folder(self.root, above) as here:
                    fd = os.open(name, _READ, dir_fd=here)
            except NotADirectoryError as error:
                raise KeyMissing(f"No such file: a part of its path is not a folder [{location}]") from error
            if not modes.S_ISREG(os.fstat(fd).st_mode):
                os.close(fd)
                raise KeyMissing(f"Not a file but a folder or a device [{location}]")
            return io.BufferedReader(io.FileIO(fd, closefd=True))

    def open_segment(self, key: str) -> io.BufferedReader:
        """Return a reader of a segment. Raise CorruptSegment if it is lost."""
        try:
            return self._opened(key)
        except KeyMissing as error:
            raise CorruptSegment(f"The segment is lost; restore it from a backup [{self.locate(key)}]") from error

    def _listed(self, here: int, above: str, start: str) -> Iterator[Blob]:
        found: list[tuple[str, bool]] = []
        with os.scandir(here) as entries:
            for entry in entries:
                if not entry.name.startswith(start) or (not above and entry.name == TEMPORARY):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    found.append((entry.name + "/", True))
                elif entry.is_file(follow_symlinks=False):
                    found.append((entry.name, False))
        for name, is_folder in sorted(found):
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):  # removed since
                if not is_folder:
                    yield Blob(above + name, os.stat(name, dir_fd=here, follow_symlinks=False).st_size)
                    continue
                below = os.open(name[:-1], _READ | os.O_DIRECTORY, dir_fd=here)
                try:
                    yield from self._listed(below, above + name, "")
                finally:
                    os.close(below)

    def _emptied(self, here: int) -> int:
        count = 0
        for _, folders, files, fd in os.fwalk(".", topdown=False, dir_fd=here, follow_symlinks=False):
            for name in files:
                is_file = modes.S_ISREG(os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode)
                os.unlink(name, dir_fd=fd)
                count += is_file
            for name in folders:
                is_link = modes.S_ISLNK(os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode)
                (os.unlink if is_link else os.rmdir)(name, dir_fd=fd)
        return count
