"""Listing a tree over WebDAV: several folders at once, each by PROPFIND of depth 1, which servers do not refuse."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from prefect_collect.codes import Failure
from prefect_collect.connectors.errors import source_error
from prefect_collect.connectors.files.tree import shown
from prefect_collect.connectors.http.client import Client, Target
from prefect_collect.connectors.http.failures import status_error
from prefect_collect.connectors.webdav.multistatus import Resource
from prefect_collect.connectors.webdav.propfind import Propfind, Propfinder
from prefect_collect.connectors.webdav.root import LONGEST, BadHref, Root
from prefect_collect.errors import SourceError
from prefect_collect.sources import Item, Listed, ListingEnd
from prefect_collect.sources.depth import Alike, Nested, require_depth, too_deep
from prefect_collect.threads.retry_policy import RetryPolicy
from prefect_collect.threads.stop import current_stop
from prefect_collect.threads.window import Window

_FIRST: Final = 8
_MOST: Final = 64
"""Folders that are read at once: `_FIRST` to begin with, up to `_MOST` as long as more are faster."""

_TRIES: Final = 4
"""The tries of a folder whose listing fails for a passing reason."""

_AGAIN: Final = ("connection_lost", "timeout", "truncated", "source_error", "throttled", "enumeration_failed")
_PAUSES: Final = RetryPolicy()

_PLAIN: Final = re.compile(r"[A-Za-z0-9._~-]+/?")
_DOTS: Final = re.compile(r"\.\.?/?")
_REPEATED: Final = 4
"""How many folders above one another may have the same listing, with the same names, times, sizes and ETags.

A folder that a server's link shows within itself repeats without an end.
"""


@dataclass(eq=False, slots=True)
class Folder:
    """A folder that is to be read or is being read.

    Attributes:
        path: Its path below the root, which ends in "/"; "" for the root.
        above: The folder that it was found in.
        prefix: The path of its URL, with which the addresses of what lies in it usually begin.
        seen: The names that came: when the folder is read again, they come again.
        below: The folders in it.
        has_itself: Whether the answer described the folder itself, as it must.
        error: The failure that the answer states of the folder itself.
        mark: A number that is the same for the same names, times, sizes and ETags in any order.
        nested: The names of the folders in it, and the folders above.
        tries: The tries that failed.
        leads_to: The next folder on the way to the one that is listed, if this one lies above that: it is read for its
            mark alone.
    """

    path: bytes
    above: Folder | None = None
    prefix: str = ""
    seen: set[bytes] = field(default_factory=set)
    below: list[Folder] = field(default_factory=list)
    has_itself: bool = False
    error: SourceError | None = None
    mark: int = 0
    nested: Nested = field(default_factory=Nested)
    tries: int = 0
    leads_to: Folder | None = None

    def repeats(self) -> bool:
        """Return whether the folder seems to lie within itself."""
        count, at = 1, self.above
        while at is not None and count < _REPEATED:
            count += at.mark == self.mark
            at = at.above
        return count >= _REPEATED and bool(self.below)


def _way_to(first: Folder) -> Folder:
    """Return the folder to begin with so that one that is listed again is judged as in a listing of the root.

    It is the folder itself unless a name occurs twice in its path, as in that of a folder that lies within itself: the
    folders above may be large.
    """
    names = first.path.split(b"/")[:-1]
    if len({*names}) == len(names):
        return first
    begin = at = Folder(b"")
    for end in range(1, len(names)):
        at.leads_to = Folder(b"/".join(names[:end]) + b"/", at)
        at = at.leads_to
    at.leads_to, first.above = first, at
    return begin


class Listing:
    """One listing of what lies below a folder.

    Args:
        root: The folder that the source collects.
        client: The source's client.
        finder: What sends the requests.
        secret: The header lines for the server.
    """

    def __init__(self, root: Root, client: Client, finder: Propfinder, secret: tuple[str, ...]) -> None:
        self._root, self._client, self._finder, self._secret = root, client, finder, secret
        self._waiting: list[Folder] = []
        self._folders: dict[int, Folder] = {}
        self._read = 0
        self._window = Window(_MOST, _FIRST)
        self._alike = Alike()
        self._kept: list[Item] = []

    def walk(self, top: bytes = b"") -> Iterator[Listed]:
        """Yield what lies below a folder (relative; "" or ending in "/") and, last, the proof that this is all.

        Raise SourceError if `top` itself cannot be listed, JobCanceled.
        """
        require_depth(top, self._root.place_of(top))
        stop = current_stop()
        first = Folder(top)
        self._waiting.append(_way_to(first))
        try:
            while self._waiting or self._folders:
                stop.require_going()
                while self._waiting and len(self._folders) < self._window.size and self._begun(self._waiting[-1]):
                    self._waiting.pop()
                if not self._folders:
                    self._client.pace.rest()
                    continue
                ended = [*self._finder.step()]
                for request in self._finder.active:
                    yield from self._entries(request)
                for request, failure in ended:
                    yield from self._entries(request)
                    yield from self._ended(request, failure, first)
        finally:
            self._finder.stop()
        what = "folder" if self._read == 1 else "folders"
        yield ListingEnd(f"the server described {self._read:,} {what}, each with itself, to the end of the document")

    def _begun(self, folder: Folder) -> bool:
        url, place = self._root.url(folder.path), self._root.place_of(folder.path)
        folder.prefix = url.removeprefix(self._root.origin)
        request = Propfind(Target(url, place, self._secret), 1)
        if not self._finder.start(request):
            return False
        folder.has_itself, folder.error, folder.mark = False, None, 0
        folder.nested = Nested(above=None if folder.above is None else folder.above.nested)
        self._folders[id(request)] = folder
        return True

    def _entries(self, request: Propfind) -> Iterator[Item]:
        folder = self._folders[id(request)]
        kept: list[Item] | None = None
        if folder.leads_to is not None:
            kept = []
        elif folder.above is not None and folder.above.leads_to is folder:
            kept = self._kept  # until it is known whether the folder lies within itself
        while request.found:
            found = self._entry(folder, request.found.popleft())
            if kept is None:
                yield from found
            else:
                kept += found

    def _ended(self, request: Propfind, failure: tuple[int, str] | None, first: Folder) -> Iterator[Item]:
        folder = self._folders.pop(id(request))
        self._window.answered()
        if self._client.ask_again(request.head()):
            self._waiting.append(folder)
            return
        try:
            request.require_whole(failure)
            if folder.error is not None:
                raise folder.error
            if not folder.has_itself:
                what = "The folder cannot be listed: the answer to PROPFIND does not describe the folder that was asked"
                raise source_error("enumeration_failed", f"{what} for", request.target.place)
        except SourceError as error:
            folder.tries += 1
            if error.code in _AGAIN and folder.tries < _TRIES:
                current_stop().wait(_PAUSES.pause(folder.tries))
                self._waiting.append(folder)
                return
            if folder is first or folder.leads_to is not None or error.code == "bad_credentials":
                raise
            yield self._root.failed(folder.path, Failure(error.code, str(error), error.http_status))
        else:
            self._read += 1
            if folder.leads_to is not None:
                folder.below = [folder.leads_to]
            elif folder.repeats():
                why = "The folder seems to lie within itself: it and those above it have the same listing"
                yield self._root.failed(folder.path, Failure("path_unsafe", f"{why}. [{request.target.place}]"))
                folder.below.clear()
            elif (refused := self._alike.refuse(folder.nested, request.target.place)) is not None:
                yield self._root.failed(folder.path, refused)
                folder.below.clear()
            elif not folder.seen and folder is not first:
                yield self._root.skipped(folder.path, "empty_folder", "The folder is empty.")
            elif folder is first:
                yield from self._kept
        self._waiting += reversed(folder.below)
        folder.below, folder.seen = [], set()

    def _entry(self, folder: Folder, resource: Resource) -> Iterator[Item]:
        try:
            name = self._name(folder, resource.href)
        except BadHref as error:
            yield from self._hostile(folder, resource, str(error))
            return
        if name is None:
            self._itself(folder, resource)
            return
        folder.mark += hash((name, resource.is_folder, resource.size, resource.modified, resource.etag))
        if resource.is_folder:
            folder.nested.add(name)
        if name in folder.seen:
            return
        folder.seen.add(name)
        path = folder.path + name
        if resource.status is not None or resource.is_folder is None:
            yield self._undescribed(path, resource)
        elif not resource.is_folder:
            yield self._root.listed(path, resource)
        elif len(path) > LONGEST:
            why = f"The path is longer than {LONGEST:,} bytes. [{self._root.place_of(path)[:200]}…]"
            yield self._root.failed(path + b"/", Failure("name_too_long", why))
        elif (failure := too_deep(path + b"/", self._root.place_of(path))) is not None:
            yield self._root.failed(path + b"/", failure)
        else:
            folder.below.append(Folder(path + b"/", folder))

    def _name(self, folder: Folder, href: str) -> bytes | None:
        """Return what `Root.name_in` does, faster for most names."""
        rest = href[len(folder.prefix) :]
        if href.startswith(folder.prefix) and _PLAIN.fullmatch(rest) and not _DOTS.fullmatch(rest):
            return rest.rstrip("/").encode()
        return self._root.name_in(folder.path, href)

    def _itself(self, folder: Folder, resource: Resource) -> None:
        """Take what the answer says of the folder itself, with which it is about that folder."""
        if resource.status is not None:  # 507: not everything is listed
            folder.error = status_error(resource.status, self._root.place_of(folder.path), resource.said.encode())
        elif resource.is_folder:
            folder.has_itself = True

    def _undescribed(self, path: bytes, resource: Resource) -> Item:
        """Return a resource that the server names and does not describe."""
        path += b"/" if resource.href.endswith("/") else b""
        place = self._root.place_of(path)
        if resource.status:
            error = status_error(resource.status, place, resource.said.encode())
        else:
            error = source_error("source_error", "The server does not say what this is", place)
        return self._root.failed(path, Failure(error.code, str(error), error.http_status))

    def _hostile(self, folder: Folder, resource: Resource, why: str) -> Iterator[Item]:
        """Yield a resource whose address is not used: an item of the folder, named after the address."""
        href = resource.href[:500]
        key = b"/" + href.encode("utf-8", "replace")  # what no name is
        if key in folder.seen:
            return
        folder.seen.add(key)
        path = folder.path + href.encode("utf-8", "replace").replace(b"/", b"%2F")
        what = f"The server lists the address {href!r}, which {why}"
        yield self._root.failed(path, Failure("path_unsafe", f"{what}. [{shown(folder.path) or self._root.place}]"))
