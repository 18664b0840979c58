"""The files of a package, whether it is a ZIP file, a folder, or blobs below a key of a store."""

from __future__ import annotations

import os
import stat
from array import array
from collections.abc import Iterator
from typing import Protocol

from isal import isal_zlib

from prefect_collect import zip64 as z
from prefect_collect.packages._bytes import Bytes, LocalBytes, StoredBytes, Window
from prefect_collect.packages._inflating import inflated
from prefect_collect.packages._verification import Damaged, Problems
from prefect_collect.packages._zip_directory import ZipEntry, find_directory, read_entries
from prefect_collect.stores import Blob, Store


class Container(Protocol):
    """Files by their number. `names` of folders end in "/"; `form` holds what is only wrong in a package of ours."""

    names: list[str]
    sizes: array[int]
    problems: Problems
    form: Problems
    reads_all: bool
    has_folders: bool

    def reader(self, first: int, last: int) -> Reader:
        """Something to read those files with, in order, in one thread."""

    def close(self) -> None:
        """Give back what is held."""


class Reader(Protocol):
    """Reads files of a container; `form` holds what it met that is only wrong in a package of ours."""

    form: Problems

    def chunks(self, number: int) -> Iterator[bytes | memoryview]:
        """The file's bytes; a chunk is good until the next. Raises Damaged, also after the last chunk."""


class FileContainer:
    """Files that are read one by one."""

    reads_all = False
    has_folders = True

    def __init__(self) -> None:
        self.names: list[str] = []
        self.sizes = array("q")
        self.problems, self.form = Problems(), Problems()

    def add(self, name: str, size: int) -> None:
        """Add a file."""
        self.names.append(name)
        self.sizes.append(size)

    def opened(self, number: int) -> Bytes:
        """The file's bytes."""
        raise NotImplementedError

    def reader(self, first: int, last: int) -> Reader:
        """Something to read those files with."""
        return _FileReader(self)

    def close(self) -> None:
        """Nothing is held."""


class _FileReader:
    def __init__(self, container: FileContainer) -> None:
        self._container, self.form = container, Problems()

    def chunks(self, number: int) -> Iterator[bytes]:
        source = self._container.opened(number)
        try:
            size = self._container.sizes[number]
            if source.size != size:
                raise Damaged("it changed while the package was verified")
            for start in range(0, size, source.window):
                chunk = source.read(start, min(size, start + source.window))
                if len(chunk) != min(size, start + source.window) - start:
                    raise Damaged("it changed while the package was verified")
                yield chunk
        finally:
            source.close()


class FolderContainer(FileContainer):
    """A folder on disk; symbolic links and special files in it are problems."""

    def __init__(self, root: str) -> None:
        super().__init__()
        self._root = root
        waiting = [""]
        while waiting:
            folder = waiting.pop()
            try:
                with os.scandir(os.path.join(root, folder)) as entries:
                    found = sorted(entries, key=lambda entry: entry.name)
            except OSError as error:
                self.problems.add(folder or ".", f"the folder cannot be read ({error.strerror})")
                continue
            for entry in found:
                self._take(entry, f"{folder}{entry.name}", waiting)

    def _take(self, entry: os.DirEntry[str], name: str, waiting: list[str]) -> None:
        try:
            status = entry.stat(follow_symlinks=False)
        except OSError as error:
            self.problems.add(name, f"it cannot be read ({error.strerror})")
            return
        if stat.S_ISDIR(status.st_mode):
            self.add(f"{name}/", 0)
            waiting.append(f"{name}/")
        elif stat.S_ISREG(status.st_mode):
            self.add(name, status.st_size)
        else:
            kind = "a symbolic link" if stat.S_ISLNK(status.st_mode) else "a device, socket or pipe"
            self.problems.add(name, f"it is {kind}, which a package must not hold")

    def opened(self, number: int) -> Bytes:
        """The file's bytes."""
        return LocalBytes(os.path.join(self._root, self.names[number]))


class StoreContainer(FileContainer):
    """Blobs below a key of a store, which knows no empty folders."""

    has_folders = False

    def __init__(self, store: Store, prefix: str) -> None:
        super().__init__()
        self._store, self._blobs = store, list[Blob]()
        for blob in store.list(prefix):
            self.add(blob.key.removeprefix(prefix), blob.size)
            self._blobs.append(blob)

    def opened(self, number: int) -> Bytes:
        """The blob's bytes."""
        return StoredBytes(self._store, self._blobs[number])


class ZipContainer:
    """The entries of a ZIP file. Raises Damaged if it has no central directory that can be read."""

    reads_all = True
    has_folders = True

    def __init__(self, source: Bytes) -> None:
        self._source = source
        self.problems = Problems()
        self.names: list[str] = []
        self.sizes = array("q")
        directory = find_directory(source, self.problems)
        self.form, self.shift, self.end = directory.form, directory.shift, directory.start
        broken = len(self.problems.kept)
        self._entries = _Entries()
        for entry in read_entries(source, directory, self.problems):
            self._entries.add(entry)
            self.names.append(entry.name)
            self.sizes.append(entry.size)
            self._judge(entry)
        self.whole = not any(problem.path == "central directory" for problem in self.problems.kept[broken:])

    def _judge(self, entry: ZipEntry) -> None:
        if entry.flags & 1:
            self.problems.add(entry.name, "it is encrypted")
        if entry.method not in (0, 8):
            self.problems.add(entry.name, f"its compression method {entry.method} is not supported")
        if entry.method == 0 and entry.size != entry.stored_size:
            self.problems.add(entry.name, "the central directory gives it two sizes")
        if stat.S_ISLNK(entry.mode):
            self.problems.add(entry.name, "it is a symbolic link, which a package must not hold")

    def reader(self, first: int, last: int) -> Reader:
        """Something to read those entries with."""
        return _ZipReader(self, self._source, self._entries, last)

    def close(self) -> None:
        """Close the file."""
        self._source.close()


class _Entries:
    """What the central directory says of each entry, but for names and sizes, in as little memory as it takes."""

    def __init__(self) -> None:
        self.methods, self.stamps, self.crcs = array("B"), array("I"), array("I")
        self.stored_sizes, self.offsets = array("q"), array("q")
        self.other_names: dict[int, bytes] = {}

    def __len__(self) -> int:
        return len(self.offsets)

    def add(self, entry: ZipEntry) -> None:
        """Keep an entry, and its name's bytes if they are not its UTF-8."""
        if entry.name.encode() != entry.raw:
            self.other_names[len(self)] = entry.raw
        self.methods.append(min(entry.method, 255))
        self.stamps.append(entry.stamp)
        self.crcs.append(entry.crc32)
        self.stored_sizes.append(entry.stored_size)
        self.offsets.append(entry.offset)


class _ZipReader:
    """Reads entries in order."""

    def __init__(self, container: ZipContainer, source: Bytes, entries: _Entries, last: int) -> None:
        self._window, self._container, self._entries = Window(source), container, entries
        self._end, self._shift = container.end, container.shift
        self.form = Problems()
        self._ahead = self._begin(last + 1)

    def _begin(self, number: int) -> int:
        """Where the entry should begin, going by the central directory; after the last one, where that itself is."""
        return self._entries.offsets[number] + max(0, self._shift) if number < len(self._entries) else self._end

    def chunks(self, number: int) -> Iterator[bytes | memoryview]:
        """The entry's bytes, inflated if need be. Raises Damaged."""
        entries, stated = self._entries, self._container.sizes[number]
        start = self._data_start(number)
        end = start + entries.stored_sizes[number]
        if end > self._end:
            raise Damaged("it reaches into the central directory")
        ranges = ((at, min(end, at + self._window.size)) for at in range(start, end, self._window.size))
        stored = (self._window.span(*span, self._ahead) for span in ranges)
        crc32, size = 0, 0
        for chunk in inflated(stored, stated) if entries.methods[number] == 8 else stored:
            crc32 = isal_zlib.crc32(chunk, crc32)
            size += len(chunk)
            yield chunk
        if size != stated or crc32 != entries.crcs[number]:
            raise Damaged("its bytes were changed (CRC-32 differs)")

    def _data_start(self, number: int) -> int:
        offset = self._entries.offsets[number]
        for at in (offset, offset + self._shift) if self._shift else (offset,):
            start = self._local(number, at)
            if start:
                return start
        raise Damaged("its local header is damaged, or not where the central directory says")

    def _local(self, number: int, offset: int) -> int:
        """Where its data begins if its local header is at `offset`, else 0."""
        entries, name = self._entries, self._container.names[number]
        raw = entries.other_names.get(number) or name.encode()
        method, stored = entries.methods[number], entries.stored_sizes[number]
        try:
            fixed = self._window.span(offset, offset + z.LOCAL_SIZE, self._ahead)
            flags, found = fixed[6] | fixed[7] << 8, fixed[8] | fixed[9] << 8
            name_size, extra_size = fixed[26] | fixed[27] << 8, fixed[28] | fixed[29] << 8
            length = z.LOCAL_SIZE + name_size + extra_size
            header = self._window.span(offset, offset + length, self._ahead)
        except Damaged:
            return 0
        if bytes(header[:4]) != z.LOCAL_SIGNATURE or header[z.LOCAL_SIZE : z.LOCAL_SIZE + name_size] != raw:
            return 0
        if found != method or flags & 1:
            return 0
        expected = z.local_header_at(
            raw, entries.crcs[number], self._container.sizes[number], stored, entries.stamps[number], method == 8,
            extra_size == z.LOCAL_EXTRA_SIZE,
        )  # fmt: skip
        if header != expected:
            self.form.add(name, "its local header is not as it was written")
        last = number + 1 == len(entries)
        following = self._end - self._shift if last else entries.offsets[number + 1]
        fits = offset + length + stored in (following, following + self._shift)
        if not fits or (number == 0 and offset):
            self.form.add(name, "there are bytes before or after it that belong to nothing")
        return offset + length
