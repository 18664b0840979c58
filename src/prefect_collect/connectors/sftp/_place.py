"""Where files lie at a server: paths as bytes below a root, and what they are as items."""

from __future__ import annotations

import re
import stat
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from prefect_collect.codes import Failure
from prefect_collect.connectors.errors import source_error
from prefect_collect.connectors.files.tree import decode_id, encode_id, is_below, shown
from prefect_collect.connectors.sftp._packets import Attributes
from prefect_collect.errors import SourceError
from prefect_collect.sources import Item

LONGEST: Final = 32 << 10
"""The most bytes of a path; folders below a longer one are not listed."""

_KINDS: Final = {
    stat.S_IFSOCK: "socket",
    stat.S_IFIFO: "named pipe",
    stat.S_IFCHR: "character device",
    stat.S_IFBLK: "block device",
}
_LETTERS: Final = {
    b"-": stat.S_IFREG, b"d": stat.S_IFDIR, b"l": stat.S_IFLNK, b"p": stat.S_IFIFO, b"s": stat.S_IFSOCK,
    b"c": stat.S_IFCHR, b"b": stat.S_IFBLK,
}  # fmt: skip


_YEAR: Final = re.compile(rb" [A-Z][a-z][a-z] +[0-9]{1,2} +(-?[0-9]{1,9})\Z")
"""A date with a year at the end of a line as of ``ls -l``, which is there unless the date is of the last months."""

_SIGNED: Final = 1 << 31


def time_of(seconds: int | None) -> datetime | None:
    """Return a time of SFTP version 3: 32 bits, in seconds."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def listed_time(seconds: int | None, long: bytes, name: bytes) -> datetime | None:
    """Return the time of a file as it is listed; None if the 32 bits cannot hold it.

    A time before 1970 or after 2106 comes as another one, 136 years or a multiple later or earlier: OpenSSH sends its
    lowest 32 bits. It is recognised by the year in the line as of ``ls -l``. What no line confirms is taken as it is if
    it is before 2038.
    """
    at = time_of(seconds)
    if at is None or seconds is None:
        return None
    stated = _YEAR.search(long.removesuffix(b" " + name))
    if stated is None:
        return at if seconds < _SIGNED else None
    return at if abs(at.year - int(stated[1])) <= 1 else None  # the line is in the server's zone


def opened_time(seconds: int | None, item: Item) -> datetime | None:
    """Return the time of a file as it is opened; None if it was listed without one, as the 32 bits cannot hold it."""
    if item.modified is not None:
        return time_of(seconds)
    return None if item.is_current else listed_time(seconds, b"", b"")


def kind_of(attributes: Attributes, long: bytes = b"") -> int | None:
    """Return the type of a file as of `stat.S_IFMT`; None if the server does not state it.

    Args:
        attributes: What the server states.
        long: The line as of ``ls -l``, whose first letter counts where the attributes have no type.
    """
    kind = 0 if attributes.mode is None else stat.S_IFMT(attributes.mode)
    return kind or _LETTERS.get(long[:1])


def require_regular(attributes: Attributes, place: str) -> None:
    """Raise SourceError if a file that was listed as a regular one is something else now."""
    kind = kind_of(attributes)
    if kind is not None and kind != stat.S_IFREG:
        what = "The item is no longer a regular file as when it was listed"
        raise source_error("changed_during_read", what, place)


@dataclass(frozen=True, slots=True)
class Root:
    """The folder that a source collects, as it is at the server now; of a single file, the folder that it lies in.

    Attributes:
        url: The location, in which messages begin.
        path: Its real path at the server.
        attributes: What the server states of the source's folder or file.
        follow: Whether the targets of links are collected.
        file: The name of the single file that the source is; b"" for a folder.
    """

    url: str
    path: bytes
    attributes: Attributes
    follow: bool
    file: bytes = b""

    def absolute(self, relative: bytes) -> bytes:
        """Return the path at the server."""
        return self.path.rstrip(b"/") + b"/" + relative if relative else self.path

    def place(self, relative: bytes) -> str:
        """Return the location in which messages end."""
        return f"{self.url.rstrip('/')}/{shown(relative)}" if relative else self.url

    def relative(self, item: Item) -> bytes:
        """Return the item's path below the root. Raise SourceError (`path_unsafe`) if its id leads out of the root."""
        relative = decode_id(item.id)
        if relative.startswith(b"/") or b".." in relative.split(b"/") or b"\0" in relative:
            raise SourceError(f"The id leads out of the source. [id={item.id}]", code="path_unsafe")
        return relative

    def unsafe(self, relative: bytes, real: bytes | None) -> SourceError | None:
        """Return the error of a path that has come to lead through a link, or out of the root, by its real path.

        A server that does not resolve links gives the path as it is.
        """
        if real is None or real == self.absolute(relative):
            return None
        if not is_below(real, self.path):
            what = f"The path leads out of the source's folder, to {shown(real)}"
            return source_error("path_unsafe", what, self.place(relative))
        if self.follow:
            return None
        what = "A part of the path has become a symbolic link since it was listed"
        return source_error("changed_during_read", what, self.place(relative))

    def listed(self, relative: bytes, attributes: Attributes, long: bytes = b"") -> Item:
        """Return a regular file as an item; `long` is its line as of ``ls -l``."""
        name = relative.rpartition(b"/")[2]
        return Item(*_names(relative), attributes.size, listed_time(attributes.modified, long, name))

    def failed(self, relative: bytes, failure: Failure) -> Item:
        """Return what should have been collected and cannot be."""
        return Item(*_names(relative), failure=failure)

    def skipped(self, relative: bytes, code: str, reason: str) -> Item:
        """Return what has nothing to collect."""
        return Item(*_names(relative), skipped=Failure(code, f"{reason} [{self.place(relative)}]"))

    def special(self, relative: bytes, kind: int | None) -> Item:
        """Return what is neither a file, nor a folder, nor a link."""
        if kind is None:
            said = f"The server does not say what this is. [{self.place(relative)}]"
            return self.failed(relative, Failure("source_error", said))
        return self.skipped(relative, "special_file", f"A {_KINDS.get(kind, 'special file')}.")


def _names(relative: bytes) -> tuple[str, str]:
    """Return the id and the path of an item."""
    item_id = encode_id(relative)
    return item_id, shown(relative) if item_id.startswith("bytes:") else item_id
