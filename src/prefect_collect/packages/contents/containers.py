"""The files of a package: of a ZIP file, of a folder, or of blobs below a key of a store."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final, Protocol

from prefect_collect.archive.problems import Damaged, Problems
from prefect_collect.archive.random_access import Bytes
from prefect_collect.packages.contents.bytes import LocalBytes, StoredBytes
from prefect_collect.packages.contents.index import Entry, FileIndex
from prefect_collect.packages.problems import Findings
from prefect_collect.stores import Blob, Store

_SORTED: Final = 100_000
"""Entries of a folder that are sorted in memory; any more come in the order of the file system."""


class Container(Protocol):
    """The files of a package.

    Attributes:
        reads_all: True if files that no manifest lists are read too.
        has_folders: True if there can be folders without files.
        in_order: True if files should be read in their order, by one thread.
        in_forks: True if forks of this process can read them: the files lie on this machine.
        kind: What the package is as one file, as the suffix of its name says; "" for a folder.
    """

    kind: str
    reads_all: bool
    in_order: bool
    in_forks: bool
    has_folders: bool

    def scan(self, index: FileIndex, findings: Findings) -> bool:
        """Add all files to the index (folders with names that end in "/"); return False if they cannot be verified."""

    def reader(self, entries: Sequence[Entry], following: int | None) -> Reader:
        """Return a reader of those entries, in order, for one thread; `following` is the offset of the next entry."""

    def opened(self, entry: Entry) -> Bytes:
        """Return the bytes of one file, at any place. Raise Damaged, also if it is compressed."""

    def close(self) -> None:
        """Close the container's files."""


class Reader(Protocol):
    """Reads files of a container; `form` holds problems of form that matter only in a package made here."""

    form: Problems

    def chunks(self, entry: Entry) -> Iterator[bytes | memoryview]:
        """Yield the file's bytes; a chunk is valid until the next. Raise Damaged, also after the last chunk."""


class FileContainer:
    """A container whose files are read one by one."""

    reads_all = in_order = in_forks = False
    has_folders = True
    kind = ""

    def opened(self, entry: Entry) -> Bytes:
        """Return the file's bytes."""
        raise NotImplementedError

    def reader(self, entries: Sequence[Entry], following: int | None) -> Reader:
        """Return a reader of those files."""
        return _FileReader(self)

    def close(self) -> None:
        """Do nothing: no file is open."""


class _FileReader:
    def __init__(self, container: FileContainer) -> None:
        self._container, self.form = container, Problems()

    def chunks(self, entry: Entry) -> Iterator[bytes]:
        source = self._container.opened(entry)
        try:
            if source.size != entry.size:
                raise Damaged("it changed while the package was verified")
            for start in range(0, entry.size, source.window):
                end = min(entry.size, start + source.window)
                chunk = source.read(start, end)
                if len(chunk) != end - start:
                    raise Damaged("it changed while the package was verified")
                yield chunk
        finally:
            source.close()


class FolderContainer(FileContainer):
    """A folder on disk; symbolic links and special files in it are problems."""

    in_forks = True

    def __init__(self, root: str) -> None:
        self._root = root
        self.failed = ""
        """Why the folder itself cannot be read; "" if it can."""

    def scan(self, index: FileIndex, findings: Findings) -> bool:
        """Add all files; folders are kept in the index until they are read."""
        index.change("CREATE INDEX folders ON file(number) WHERE substr(name, -1) = CAST('/' AS BLOB)")
        folder: tuple[int, str] | None = (-1, "")
        while folder is not None:
            number, name = folder
            try:
                with os.scandir(os.path.join(self._root, name)) as entries:
                    while found := sorted(islice(entries, _SORTED), key=lambda entry: entry.name):
                        for entry in found:
                            self._take(entry, f"{name}{entry.name}", index, findings.problems)
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None) or str(error)
                self.failed = self.failed or ("" if name else reason)
                findings.problems.add(name or ".", f"the folder cannot be read ({reason})")
            folder = index.next_folder(number)
        return True

    def _take(self, entry: os.DirEntry[str], name: str, index: FileIndex, problems: Problems) -> None:
        try:
            status = entry.stat(follow_symlinks=False)
        except OSError as error:
            problems.add(name, f"it cannot be read ({error.strerror})")
            return
        if stat.S_ISDIR(status.st_mode):
            index.add(Entry(index.count, f"{name}/", 0))
        elif stat.S_ISREG(status.st_mode):
            index.add(Entry(index.count, name, status.st_size))
        else:
            problems.add(name, f"it is {kind_of(status.st_mode)}, which a package must not hold")

    def opened(self, entry: Entry) -> Bytes:
        """Return the file's bytes."""
        return LocalBytes(os.path.join(self._root, entry.name))


class StoreContainer(FileContainer):
    """Blobs below a key of a store, which has no empty folders."""

    has_folders = False

    def __init__(self, store: Store, prefix: str) -> None:
        self._store, self._prefix = store, prefix

    def scan(self, index: FileIndex, findings: Findings) -> bool:
        """Add all blobs. Raise StoreError."""
        for blob in self._store.list(self._prefix):
            index.add(Entry(index.count, blob.key.removeprefix(self._prefix), blob.size))
        return True

    def is_there(self) -> bool:
        """Return whether there is any blob. Raise StoreError."""
        return next(iter(self._store.list(self._prefix)), None) is not None

    def opened(self, entry: Entry) -> Bytes:
        """Return the blob's bytes."""
        return StoredBytes(self._store, Blob(f"{self._prefix}{entry.name}", entry.size))


def kind_of(mode: int) -> str:
    """Return what a file of that mode is, if it is neither a regular file nor a folder."""
    kinds = {
        stat.S_IFLNK: "a symbolic link", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket",
        stat.S_IFBLK: "a device", stat.S_IFCHR: "a device",
    }  # fmt: skip
    return kinds.get(stat.S_IFMT(mode), "a special file")
