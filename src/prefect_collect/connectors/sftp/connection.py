"""An SFTP server as a source: what it lists below a root, and the bytes of its files."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Final

from prefect_collect.codes import Failure
from prefect_collect.connectors.errors import source_error
from prefect_collect.connectors.per_process import per_process
from prefect_collect.connectors.sftp import _packets as packets
from prefect_collect.connectors.sftp._ciphers import cipher_options
from prefect_collect.connectors.sftp._failures import is_unknown_host, status_error
from prefect_collect.connectors.sftp._large_file import opened
from prefect_collect.connectors.sftp._listing import LEADS_BACK, UNRESOLVED, Listing
from prefect_collect.connectors.sftp._packets import Attributes
from prefect_collect.connectors.sftp._place import Root, kind_of
from prefect_collect.connectors.sftp._pool import Pool
from prefect_collect.connectors.sftp._secrets import Secrets
from prefect_collect.connectors.sftp._session import Exchange, Session
from prefect_collect.connectors.sftp._small_files import SmallFiles
from prefect_collect.connectors.sftp._ssh import Address, Ssh, command, line_to_add
from prefect_collect.connectors.sftp._walked import Folder, top_of
from prefect_collect.errors import SourceError
from prefect_collect.sources import Content, Item, Listed, ListingEnd
from prefect_collect.threads.window import FIRST

__all__ = ["Access", "Address", "Connection", "Secrets", "connect"]

_TRIES: Final = 3
"""How often a connection is made again for the root's attributes: the one that was kept may have been closed."""


@dataclass(frozen=True, slots=True)
class Access:
    """The settings by which a source is reached, and the key by which `connect` keeps connections.

    Attributes:
        address: The server.
        path: The folder or file as the server takes it; relative to the user's home if it does not begin with "/".
        url: The location, in which messages begin.
        secrets: What is known beside the user's own configuration.
        config: A file that counts instead of ``~/.ssh/config``.
        follow_symlinks: Whether the targets of links are collected.
        connections: The most connections at once.
        connect_timeout: Seconds to connect.
        read_timeout: Seconds without an answer after which a connection is given up.
    """

    address: Address
    path: bytes
    url: str
    secrets: Secrets
    config: Path | None
    follow_symlinks: bool
    connections: int
    connect_timeout: float
    read_timeout: float


@per_process
def connect(access: Access) -> Connection:
    """Return the connection for these settings; it is shared within the process."""
    return Connection(access)


class Connection:
    """One source, which several threads may use. Every error is a SourceError."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._pool = Pool(self._connected, access.connections)

    def items(self) -> Iterator[Listed]:
        """Yield the files below the root, or the single file, and the listing's end."""
        root = self._root()
        if root.file:
            with self.open(root.listed(root.file, root.attributes)):  # if it is unreadable, the job fails, not an item
                yield root.listed(root.file, root.attributes)
                yield ListingEnd("the source is one file, and it is there", items=1)
            return
        end: Listed | None = None
        for listed in Listing(root, self._pool.session).walk():
            if isinstance(listed, ListingEnd):
                end = listed
            else:
                yield listed
        self._require_same(root)
        if end is not None:
            yield end

    def relist(self, item: Item) -> Iterator[Listed]:
        """Yield an item as it is now; nothing if it is gone; of a folder, what is in it, and the listing's end."""
        root = self._root()
        relative = root.relative(item).rstrip(b"/")
        try:
            attributes, is_link, folder = self._look(root, relative)
        except SourceError as error:
            if error.code == "not_found":
                return
            if error.code in ("connection_lost", "timeout", "bad_credentials"):
                raise
            yield replace(item, failure=Failure(error.code, str(error)), skipped=None)
            return
        kind = kind_of(attributes)
        if is_link:
            yield root.skipped(relative, "symlink", "A symbolic link, and links are not followed.")
        elif folder is not None and folder.above is not None and folder.above.leads_back(folder.real):
            yield root.skipped(relative, "symlink", LEADS_BACK)
        elif folder is not None:
            yield from self._expand(root, folder, item)
        elif kind == stat.S_IFREG:
            yield root.listed(relative, attributes)
        else:
            yield root.special(relative, kind)

    def _look(self, root: Root, relative: bytes) -> tuple[Attributes, bool, Folder | None]:
        """Return an item's attributes now, whether it is a link that is not followed, and the folder, if it is one."""
        with self._pool.session() as session, session.exchange() as exchange:
            path, place = root.absolute(relative), root.place(relative)
            found = _ask(exchange, packets.LSTAT, path, place)
            if kind_of(found) == stat.S_IFLNK:
                if not root.follow:
                    return found, True, None
                found = _ask(exchange, packets.STAT, path, place)
                real = _real(exchange, path, place)
                if real is None or real == path:
                    raise source_error("path_unsafe", UNRESOLVED, place)
                if (error := root.unsafe(relative, real)) is not None:
                    raise error
            is_folder = kind_of(found) == stat.S_IFDIR
            return found, False, _folder(root, relative, exchange) if is_folder else None

    def _expand(self, root: Root, folder: Folder, item: Item) -> Iterator[Listed]:
        below = Listing(root, self._pool.session).walk(folder)
        try:
            first = next(below)
        except SourceError as error:
            yield replace(item, failure=Failure(error.code, str(error)), skipped=None)
            return
        if isinstance(first, ListingEnd):
            yield root.skipped(folder.path, "empty_folder", "The folder is empty now.")
            return
        for found in chain((first,), below):
            yield found if isinstance(found, ListingEnd) else replace(found, expands=item.id)

    @contextmanager
    def open(self, item: Item) -> Iterator[Content]:
        """Open a file of any size."""
        root = self._root()
        with self._pool.session() as session, opened(root, item, session) as content:
            yield content

    def read_many(self, items: Iterable[Item], concurrency: int) -> Iterator[tuple[Item, Content | Exception]]:
        """Read small files, many at once.

        If a connection breaks, the files under way fail, and the next ones are read over another one.
        """
        waiting = iter(items)
        for first in waiting:
            try:
                root = self._root()
                with self._pool.session() as session, session.exchange() as exchange:
                    files = SmallFiles(root, session, exchange)
                    try:
                        yield from files.read(chain((first,), waiting), min(concurrency, FIRST))
                    except SourceError as error:
                        if exchange.stop.canceled:
                            return
                        for item in files.left:
                            yield item, error
            except SourceError as error:  # no connection can be had
                yield first, error

    def place_of(self, path: bytes) -> tuple[bytes, tuple[int | None, ...] | None]:
        """Return the root's real path, and the mode, time, user and group of an absolute path; None if it is not there.

        Raise SourceError.
        """
        root = self._root()
        with self._pool.session() as session, session.exchange() as exchange:
            try:
                found = _ask(exchange, packets.LSTAT, path, root.url)
            except SourceError as error:
                if error.code in ("not_found", "access_denied"):
                    return root.absolute(root.file), None
                raise
        return root.absolute(root.file), (found.mode, found.modified, *(found.owner or ()))

    def _root(self) -> Root:
        """Return the root as it is now; what a connection has found of it is kept with the connection."""
        for left in range(_TRIES - 1, -1, -1):
            with self._pool.session() as session:
                try:
                    return self._root_over(session)
                except SourceError as error:
                    if not left or error.code != "connection_lost" or session.users > 1:
                        raise
        raise AssertionError

    def _root_over(self, session: Session) -> Root:
        if session.root is None:
            access = self._access
            with session.exchange() as exchange:
                real = _real(exchange, access.path, access.url) or access.path
                attributes = _ask(exchange, packets.STAT, real, access.url)
            kind = kind_of(attributes)
            if kind not in (stat.S_IFDIR, stat.S_IFREG, None):
                what = "The root is neither a folder nor a regular file"
                raise source_error("special_file", what, access.url)
            folder, _, name = real.rpartition(b"/")
            root = Root(access.url, real, attributes, access.follow_symlinks)
            if kind == stat.S_IFREG:
                url = access.url.rpartition("/")[0]
                root = Root(url, folder or b"/", attributes, access.follow_symlinks, name)
            session.root = root
        return session.root

    def _require_same(self, root: Root) -> None:
        """Raise SourceError if another folder seems to have taken the root's place, as when a disk was unmounted."""
        with self._pool.session() as session, session.exchange() as exchange:
            now = _ask(exchange, packets.STAT, root.path, root.url)
        before = root.attributes
        if (now.mode, now.owner) != (before.mode, before.owner):
            what = "Another folder took the place of this one while it was listed"
            raise source_error("enumeration_failed", what, root.url)

    def _connected(self) -> Session:
        access = self._access
        begun = command(
            access.address,
            connect_timeout=access.connect_timeout,
            read_timeout=access.read_timeout,
            config=access.config,
        )
        begun += cipher_options(tuple(begun), access.address.host)
        try:
            return Session(
                Ssh(begun, access.address, access.secrets),
                str(access.address),
                connect_timeout=access.connect_timeout,
                read_timeout=access.read_timeout,
            )
        except SourceError as error:
            if not is_unknown_host(error):
                raise
            line = line_to_add(begun, access.address, access.connect_timeout)
            what = "The server's host key is not known, and no key is accepted by itself"
            if line is not None:
                what += (
                    "; if it is the key that the server's owner names, add this line to ~/.ssh/known_hosts or to the "
                    f"source's known_hosts: {line}"
                )
            raise SourceError(f"{what} [{access.address}]", code="bad_credentials") from error


def _folder(root: Root, relative: bytes, exchange: Exchange) -> Folder:
    """Return a folder with those that it lies in, and their real paths, as a listing from the root has them."""
    at, path = top_of(root), b""
    for name in relative.split(b"/"):
        path += name
        real = _real(exchange, root.absolute(path), root.place(path)) if root.follow else None
        path += b"/"
        at = Folder(path, real or at.real_of(name), at)
    return at


def _ask(exchange: Exchange, kind: int, path: bytes, place: str) -> Attributes:
    exchange.send(kind, packets.text(path))
    reply = exchange.wait()
    if reply[0] == packets.ATTRS:
        return packets.attributes(reply)
    raise status_error(*packets.status(reply), place)


def _real(exchange: Exchange, path: bytes, place: str) -> bytes | None:
    """Return the real path; None from a server that cannot say it."""
    exchange.send(packets.REALPATH, packets.text(path))
    reply = exchange.wait()
    if reply[0] == packets.NAME:
        return packets.only_name(reply)
    code, said = packets.status(reply)
    if code == packets.OP_UNSUPPORTED:
        return None
    raise status_error(code, said, place)
