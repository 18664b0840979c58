"""Walking a directory tree: reversible ids for names of any bytes, and no links out of the tree."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import quote_from_bytes, unquote_to_bytes

from prefect_collect.codes import Failure
from prefect_collect.errors import SourceError
from prefect_collect.sources import Item, Listed, ListingEnd
from prefect_collect.sources.depth import require_depth, too_deep

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MARK: Final = "bytes:"


def encode_id(raw: bytes) -> str:
    """Return a file name as text that `decode_id` turns back into the same bytes.

    A UTF-8 name stays as it is; any other, and one that begins with ``bytes:``, becomes ``bytes:`` and the
    percent-encoded bytes.
    """
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return _MARK + quote_from_bytes(raw)
    return _MARK + quote_from_bytes(raw) if text.startswith(_MARK) else text


def decode_id(item_id: str) -> bytes:
    """Return the bytes that `encode_id` was given."""
    return unquote_to_bytes(item_id[len(_MARK) :]) if item_id.startswith(_MARK) else item_id.encode()


def shown(raw: bytes) -> str:
    """Return a file name for display: bytes that are not UTF-8 become ``%FF``, which is not reversible."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return "".join(
            f"%{ord(char) - 0xDC00:02X}" if "\udc80" <= char <= "\udcff" else char
            for char in raw.decode(errors="surrogateescape")
        )


def modified_of(status: os.stat_result) -> datetime | None:
    """Return the modification time, cut to microseconds; None if it is outside the range of `datetime`."""
    try:
        return _EPOCH + timedelta(microseconds=status.st_mtime_ns // 1000)
    except OverflowError:
        return None


class Tree:
    """The items below a folder, sorted by the bytes of their names, folder by folder.

    `failed` turns an OSError into the item's failure. No link is followed out of the tree. While a folder is walked its
    names are in memory, the details of its files are not.
    """

    def __init__(self, root: bytes, *, follow_symlinks: bool, failed: Callable[[OSError, str], Failure]) -> None:
        self._root = os.path.realpath(root)
        self._prefix = self._root.rstrip(b"/") + b"/"
        self._follow = follow_symlinks
        self._failed = failed

    def walk(self, folder: bytes = b"") -> Iterator[Listed]:
        """Yield the items below `folder` (relative; "" or ending in "/") and, last, the proof that these are all.

        The system either reads a folder to its end or reports an error: the folder is then an item that failed.

        Raises:
            OSError: `folder` itself cannot be listed.
            SourceError: With the code `enumeration_failed`, if another folder is in its place at the end, as when its
                disk was unmounted meanwhile; with `too_deep`, if it lies too deep to be listed.
        """
        require_depth(folder, self._place(folder))
        began = _identity(os.stat(self._absolute(folder)))
        count = 1
        stack = [iter(self._names(folder))]
        ancestors = self._ancestors(folder)
        folders = [folder]
        while stack:
            name = next(stack[-1], None)
            if name is None:
                stack.pop()
                folders.pop()
                if ancestors:
                    ancestors.pop()
                continue
            relative = folders[-1] + name
            status, item = self._look(relative, ancestors)
            if item is not None:
                yield item
            elif status is not None:
                below = relative + b"/"
                if (failure := too_deep(below, self._place(below))) is not None:
                    yield self._item(below, failure=failure)
                    continue
                try:
                    names = self._names(below)
                except OSError as error:
                    yield self._failure(below, error)
                    continue
                count += 1
                if not names:
                    yield self._skip(below, "empty_folder", "The folder is empty.")
                    continue
                stack.append(iter(names))
                folders.append(below)
                if self._follow:
                    ancestors.append(_identity(status))
        if self._identity_now(folder) != began:
            raise SourceError(
                f"Another folder took the place of this one while it was listed. [{self._place(folder)}]",
                code="enumeration_failed",
            )
        yield ListingEnd(f"the system read {count} {'folder' if count == 1 else 'folders'} to the end")

    def _identity_now(self, folder: bytes) -> tuple[int, int] | None:
        try:
            return _identity(os.stat(self._absolute(folder)))
        except OSError:
            return None

    def entry(self, relative: bytes) -> Item | None:
        """Return the item at a path now; None if it is a folder. Raise FileNotFoundError if nothing is there."""
        os.lstat(self._absolute(relative))
        return self._look(relative, self._ancestors(relative[: relative.rfind(b"/") + 1]))[1]

    def _ancestors(self, folder: bytes) -> list[tuple[int, int]]:
        """Return what identifies the root and each folder down to this one, if links are followed; else nothing."""
        if not self._follow:
            return []
        ends = [0, *(at + 1 for at, byte in enumerate(folder) if byte == ord("/"))]
        return [_identity(os.stat(self._absolute(folder[:end]))) for end in ends]

    def _absolute(self, relative: bytes) -> bytes:
        return self._prefix + relative

    def _names(self, folder: bytes) -> list[bytes]:
        return sorted(os.listdir(self._absolute(folder)))

    def _look(self, relative: bytes, ancestors: list[tuple[int, int]]) -> tuple[os.stat_result | None, Item | None]:
        """Return the status of a folder and no item, or no status and the item."""
        path = self._absolute(relative)
        try:
            status = os.lstat(path)
            if stat.S_ISLNK(status.st_mode):
                if not self._follow:
                    return None, self._skip(relative, "symlink", "A symbolic link, and links are not followed.")
                status = os.stat(path)
                target = os.path.realpath(path)
                if not is_below(target, self._root):
                    reason = f"The symbolic link leads out of {shown(self._root)}, to {shown(target)}."
                    return None, self._item(
                        relative, failure=Failure("path_unsafe", f"{reason} [{self._place(relative)}]")
                    )
                if _identity(status) in ancestors:
                    return None, self._skip(relative, "symlink", "A symbolic link to a folder that it lies in.")
        except OSError as error:
            if error.errno == errno.ELOOP:
                return None, self._skip(relative, "symlink", "A symbolic link that leads back to itself.")
            return None, self._failure(relative, error)
        if stat.S_ISREG(status.st_mode):
            return None, Item(*self._identify(relative), status.st_size, modified_of(status))
        if stat.S_ISDIR(status.st_mode):
            return status, None
        return None, self._skip(
            relative, "special_file", f"A {_KINDS.get(stat.S_IFMT(status.st_mode), 'special file')}."
        )

    def _identify(self, relative: bytes) -> tuple[str, str]:
        item_id = encode_id(relative)
        return item_id, shown(relative) if item_id.startswith(_MARK) else item_id

    def _item(self, relative: bytes, *, failure: Failure | None = None, skipped: Failure | None = None) -> Item:
        return Item(*self._identify(relative), failure=failure, skipped=skipped)

    def _skip(self, relative: bytes, code: str, reason: str) -> Item:
        return self._item(relative, skipped=Failure(code, f"{reason} [{self._place(relative)}]"))

    def _failure(self, relative: bytes, error: OSError) -> Item:
        return self._item(relative, failure=self._failed(error, self._place(relative)))

    def _place(self, relative: bytes) -> str:
        return shown(self._absolute(relative))


_KINDS: Final = {
    stat.S_IFSOCK: "socket",
    stat.S_IFIFO: "named pipe",
    stat.S_IFCHR: "character device",
    stat.S_IFBLK: "block device",
}


def is_below(path: bytes, root: bytes) -> bool:
    """Return whether a resolved path is the resolved root or lies in it."""
    return path == root or path.startswith(root.rstrip(b"/") + b"/")


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
