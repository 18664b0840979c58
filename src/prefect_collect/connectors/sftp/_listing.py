"""Listing a tree over SFTP: several folders at once, each to the end that the server states."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Final

from prefect_collect.codes import Failure
from prefect_collect.connectors.files.tree import is_below, shown
from prefect_collect.connectors.sftp import _packets as packets
from prefect_collect.connectors.sftp._failures import status_error
from prefect_collect.connectors.sftp._packets import Attributes, Name
from prefect_collect.connectors.sftp._place import LONGEST, Root, kind_of
from prefect_collect.connectors.sftp._session import Exchange, Session
from prefect_collect.connectors.sftp._walked import Folder, Look, Untimed, top_of
from prefect_collect.errors import SourceError
from prefect_collect.sources import Item, Listed, ListingEnd
from prefect_collect.sources.depth import require_depth, too_deep
from prefect_collect.threads.retry_policy import RetryPolicy
from prefect_collect.threads.stop import current_stop

_FOLDERS: Final = 16
"""Folders that are read at once."""

_AHEAD: Final = 6
"""Requests for a folder's next names that are under way at once, where the server answers in order."""

_BREAKS: Final = 5
"""Lost connections in a row, without a name between them, after which a listing is given up."""

_PAUSES: Final = RetryPolicy()

LEADS_BACK: Final = "A symbolic link to a folder that it lies in."
UNRESOLVED: Final = "The server does not say where the symbolic link leads, so it is not followed"


class Listing:
    """One listing. After a lost connection it goes on with the folders that were not read to their end.

    Args:
        root: The folder that the source collects.
        connected: Returns a connection for the time of a `with` block.
    """

    def __init__(self, root: Root, connected: Callable[[], AbstractContextManager[Session]]) -> None:
        self._root, self._connected = root, connected
        self._waiting: list[Folder] = []
        self._open: dict[int, Folder] = {}
        self._looks: dict[int, Look] = {}
        self._top: Folder | None = None
        self._read = self._breaks = 0
        self._untimed = Untimed()

    def walk(self, top: Folder | None = None) -> Iterator[Listed]:
        """Yield what lies below a folder, by default the root, and, last, the proof that this is all.

        Raise SourceError if `top` itself cannot be listed, or the connection cannot be had again.
        """
        self._top = top or top_of(self._root)
        require_depth(self._top.path, self._root.place(self._top.path))
        self._waiting.append(self._top)
        while self._waiting or self._open or self._looks:
            try:
                with self._connected() as session, session.exchange() as exchange:
                    yield from self._on(session, exchange)
            except SourceError as error:
                self._breaks += 1
                stop = current_stop()
                if error.code not in ("connection_lost", "timeout") or self._breaks > _BREAKS or stop.canceled:
                    raise
                self._begin_anew()
                stop.wait(_PAUSES.pause(self._breaks))
        what = "folder" if self._read == 1 else "folders"
        yield ListingEnd(
            f"the server said of {self._read:,} {what} that there are no more names (SSH_FX_EOF)",
            warnings=self._untimed.warnings(),
        )

    def _begin_anew(self) -> None:
        for folder in self._open.values():
            folder.handle, folder.under_way = None, 0
            self._waiting.append(folder)
        self._open.clear()

    def _on(self, session: Session, exchange: Exchange) -> Iterator[Listed]:
        """List over one connection until all is done."""
        for look in [*self._looks.values()]:
            self._ask(exchange, look)
        try:
            while True:
                self._open_more(session, exchange)
                if not self._open and not self._looks:
                    return
                for tag, reply in exchange.receive():
                    if isinstance(tag, Look):
                        yield from self._looked(session, exchange, tag, reply)
                    elif tag is not None:
                        yield from self._answered(session, exchange, tag, reply)
        finally:
            session.count(-len(self._open))
            if session.is_alive:
                for folder in self._open.values():
                    if folder.handle is not None:
                        exchange.send(packets.CLOSE, packets.text(folder.handle))
                exchange.flush()

    def _open_more(self, session: Session, exchange: Exchange) -> None:
        """Open folders, but leave most handles to those that read files over the same connection."""
        most = max(1, min(_FOLDERS, session.most_handles // 4))
        while self._waiting and len(self._open) < most:
            folder = self._waiting.pop()
            self._open[id(folder)] = folder
            session.count(1)
            exchange.send(packets.OPENDIR, packets.text(self._root.absolute(folder.path)), folder)

    def _answered(self, session: Session, exchange: Exchange, folder: Folder, reply: bytes) -> Iterator[Item]:
        kind = reply[0]
        if folder.handle is None:
            if kind == packets.HANDLE:
                folder.handle = packets.handle(reply)
                self._ask_names(session, exchange, folder, 2 if session.reads_in_order else 1)
                return
            yield from self._not_opened(session, folder, *packets.status(reply))
            return
        folder.under_way -= 1
        if kind == packets.NAME:
            self._breaks = 0
            entries = packets.names(reply)
            folder.batches += 1
            for entry in entries:
                yield from self._entry(session, exchange, folder, entry)
            if not folder.is_ended:
                ahead = 1 if not session.reads_in_order else min(_AHEAD, 1 + folder.batches)
                self._ask_names(session, exchange, folder, ahead - folder.under_way)
        elif not folder.is_ended:
            code, said = packets.status(reply)
            folder.is_ended = True
            if code == packets.EOF:
                self._read += 1
                if not folder.seen and folder is not self._top:
                    yield self._root.skipped(folder.path, "empty_folder", "The folder is empty.")
            else:
                yield self._unlisted(folder, status_error(code, said, self._root.place(folder.path)))
        if folder.is_ended and not folder.under_way:
            self._leave(session, folder)
            exchange.send(packets.CLOSE, packets.text(folder.handle or b""))

    def _ask_names(self, session: Session, exchange: Exchange, folder: Folder, times: int) -> None:
        for _ in range(times):
            folder.under_way += 1
            exchange.send(packets.READDIR, packets.text(folder.handle or b""), folder)

    def _leave(self, session: Session, folder: Folder) -> None:
        self._open.pop(id(folder))
        session.count(-1)
        folder.seen.clear()

    def _not_opened(self, session: Session, folder: Folder, code: int, said: str) -> Iterator[Item]:
        self._leave(session, folder)
        if code == packets.FAILURE and self._open:
            # The server may have no more handles: with fewer of them it is tried again, at last alone.
            session.allow(session.handles)
            self._waiting.insert(0, folder)
            return
        yield self._unlisted(folder, status_error(code, said, self._root.place(folder.path)))

    def _unlisted(self, folder: Folder, error: SourceError) -> Item:
        """Return a folder that cannot be listed as an item that failed; raise if it is the one that was asked for."""
        if folder is self._top:
            raise error
        return self._root.failed(folder.path, Failure(error.code, str(error)))

    def _entry(self, session: Session, exchange: Exchange, folder: Folder, entry: Name) -> Iterator[Item]:
        name = entry.name
        if name in (b".", b"..") or name in folder.seen:
            return
        folder.seen.add(name)
        path = folder.path + name
        if not name or b"/" in name or b"\0" in name:
            what = "The server gives a name that no file can have"
            yield self._root.failed(path, Failure("invalid_item", f"{what}. [{self._root.place(path)}]"))
            return
        attributes = entry.attributes
        kind = kind_of(attributes, entry.long)
        if kind == stat.S_IFREG and attributes.size is not None and attributes.modified is not None:
            yield self._listed(path, attributes, entry.long)
        elif kind == stat.S_IFLNK:
            if self._root.follow:
                self._ask(exchange, Look(folder, path, entry.long, is_link=True))
            else:
                yield self._root.skipped(path, "symlink", "A symbolic link, and links are not followed.")
        elif kind in (None, stat.S_IFREG) or (kind == stat.S_IFDIR and not session.reads_in_order):
            # Other servers than OpenSSH's may state here what a link leads to, which could lead back.
            self._ask(exchange, Look(folder, path, entry.long, is_link=False))
        elif kind == stat.S_IFDIR:
            yield from self._below(folder, path, folder.real_of(name))
        else:
            yield self._root.special(path, kind)

    def _listed(self, path: bytes, attributes: Attributes, long: bytes) -> Item:
        item = self._root.listed(path, attributes, long)
        if item.modified is None and attributes.modified is not None:
            self._untimed.add(self._root.place(path))
        return item

    def _below(self, folder: Folder, path: bytes, real: bytes) -> Iterator[Item]:
        if len(path) > LONGEST:
            why = f"The path is longer than {LONGEST:,} bytes. [{self._root.place(path)[:200]}…]"
            yield self._root.failed(path + b"/", Failure("name_too_long", why))
            return
        if (failure := too_deep(path + b"/", self._root.place(path))) is not None:
            yield self._root.failed(path + b"/", failure)
            return
        self._waiting.append(Folder(path + b"/", real, folder))

    def _ask(self, exchange: Exchange, look: Look) -> None:
        self._looks[id(look)] = look
        at = packets.text(self._root.absolute(look.path))
        look.under_way, look.error = 1, None
        if look.is_link:
            look.under_way = 2
            exchange.send(packets.REALPATH, at, look)
        exchange.send(packets.STAT if look.is_link else packets.LSTAT, at, look)

    def _looked(self, session: Session, exchange: Exchange, look: Look, reply: bytes) -> Iterator[Item]:
        look.under_way -= 1
        if reply[0] == packets.ATTRS:
            look.attributes = packets.attributes(reply)
        elif reply[0] == packets.NAME:
            found = packets.names(reply)
            look.real = found[0].name if found else None
        else:
            look.error = look.error or status_error(*packets.status(reply), self._root.place(look.path))
        if look.under_way:
            return
        self._looks.pop(id(look))
        self._breaks = 0
        yield from self._decided(look, exchange)

    def _decided(self, look: Look, exchange: Exchange) -> Iterator[Item]:
        place = self._root.place(look.path)
        if look.error is not None:
            yield self._root.failed(look.path, Failure(look.error.code, str(look.error)))
            return
        attributes = look.attributes or Attributes()
        kind = kind_of(attributes, b"" if look.is_link else look.long)
        real = look.folder.real_of(look.path.rpartition(b"/")[2])
        if look.is_link:
            target = look.real or real
            if target == self._root.absolute(look.path):
                yield self._root.failed(look.path, Failure("path_unsafe", f"{UNRESOLVED}. [{place}]"))
                return
            if not is_below(target, self._root.path):
                why = f"The symbolic link leads out of the source, to {shown(target)}"
                yield self._root.failed(look.path, Failure("path_unsafe", f"{why}. [{place}]"))
                return
            if kind == stat.S_IFDIR and look.folder.leads_back(target):
                yield self._root.skipped(look.path, "symlink", LEADS_BACK)
                return
            real = target
        if kind == stat.S_IFREG:
            yield self._listed(look.path, attributes, b"" if look.is_link else look.long)
        elif kind == stat.S_IFDIR:
            yield from self._below(look.folder, look.path, real)
        elif kind == stat.S_IFLNK and self._root.follow and not look.is_link:
            self._ask(exchange, Look(look.folder, look.path, look.long, is_link=True))
        elif kind == stat.S_IFLNK:
            yield self._root.skipped(look.path, "symlink", "A symbolic link, and links are not followed.")
        else:
            yield self._root.special(look.path, kind)
