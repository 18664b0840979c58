"""Where resources lie at a server: hrefs, as paths below a root, and the items that they are."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from urllib.parse import quote_from_bytes, unquote_to_bytes, urlsplit

from prefect_collect.codes import Failure
from prefect_collect.connectors.files.tree import decode_id, encode_id, shown
from prefect_collect.connectors.webdav.multistatus import Resource
from prefect_collect.errors import SourceError
from prefect_collect.sources import Item

LONGEST: Final = 16 << 10
"""The most bytes of a path; folders below a longer one are not listed."""

_SAFE: Final = "~!$&'()*+,;=:@"
_PLAIN: Final = re.compile(rb"[A-Za-z0-9._~-]+(?:/[A-Za-z0-9._~-]+)*/?")
"""Paths that are sent as they are, as most are."""


class BadHref(ValueError):
    """A server's address of a resource that is not used; the text says why."""


def segments_of(path: str) -> tuple[bytes, ...]:
    """Return the names of a percent-encoded path, without the "/" around it. Raise BadHref for a name that cannot be.

    ``.`` and ``..`` would lead elsewhere, and an encoded "/" belongs to no name of a file.
    """
    names = tuple(unquote_to_bytes(part) for part in path.strip("/").split("/")) if path.strip("/") else ()
    for name in names:
        if name in (b"", b".", b"..") or b"/" in name or b"\0" in name:
            raise BadHref("has a name that no file can have")
    return names


def encoded(names: tuple[bytes, ...], *, folder: bool) -> str:
    """Return the path of names as it is sent."""
    path = "/" + "/".join(quote_from_bytes(name, safe=_SAFE) for name in names)
    return f"{path}/" if folder and names else path


@lru_cache(maxsize=64)
def _folder(names: tuple[bytes, ...]) -> str:
    """Return the path of a folder as it is sent."""
    return encoded(names, folder=True)


@dataclass(frozen=True, slots=True)
class Root:
    """The folder that a source collects; of a single file, the folder that it lies in.

    Attributes:
        origin: The server, as ``https://host:port``.
        host: Its name, in lower case.
        names: The names of the folder's path.
        place: The location, in which messages begin.
        file: The single file that the source is; b"" for a folder.
    """

    origin: str
    host: str
    names: tuple[bytes, ...]
    place: str
    file: bytes = b""

    def url(self, relative: bytes) -> str:
        """Return the URL of a path below the root; that of a folder ends in "/"."""
        if relative and _PLAIN.fullmatch(relative):
            return f"{self.origin}{_folder(self.names)}{relative.decode()}"
        below = tuple(name for name in relative.split(b"/") if name)
        return self.origin + encoded(self.names + below, folder=not relative or relative.endswith(b"/"))

    def place_of(self, relative: bytes) -> str:
        """Return the location in which messages end."""
        return f"{self.place.rstrip('/')}/{shown(relative)}" if relative else self.place

    def name_in(self, folder: bytes, href: str) -> bytes | None:
        """Return the name of a resource that a folder's listing has; None for the folder itself.

        Of an address that names a server, only the path is used, and only if it is this server. Raise BadHref if it
        leads elsewhere.
        """
        if any(ord(sign) < 0x20 or ord(sign) == 0x7F for sign in href):
            raise BadHref("has control characters")
        if "?" in href or "#" in href:
            raise BadHref("has a query or a fragment, which no path has")
        try:
            parts = urlsplit(href)
            host = (parts.hostname or "").rstrip(".")
        except ValueError:
            raise BadHref("is no address") from None
        if (parts.scheme and parts.scheme not in ("http", "https")) or (parts.netloc and host != self.host):
            raise BadHref("leads to another server")
        within = self.names + tuple(name for name in folder.split(b"/") if name)
        path = parts.path
        is_relative = not parts.netloc and not path.startswith("/")
        names = (within if is_relative else ()) + segments_of(path)
        if names == within:
            return None
        if names[:-1] != within:
            raise BadHref("does not lie in the folder")
        return names[-1]

    def relative(self, item: Item) -> bytes:
        """Return the item's path below the root. Raise SourceError (`path_unsafe`) if its id leads out of the root."""
        relative = decode_id(item.id)
        inside = relative.removesuffix(b"/")
        if any(name in (b"", b".", b"..") or b"\0" in name for name in inside.split(b"/")):
            raise SourceError(f"The id leads out of the source. [id={item.id}]", code="path_unsafe")
        return relative

    def listed(self, relative: bytes, resource: Resource) -> Item:
        """Return a file as an item."""
        item_id, path = _names(relative)
        return Item(item_id, path, resource.size, resource.modified, resource.etag, created=resource.created)

    def failed(self, relative: bytes, failure: Failure) -> Item:
        """Return what should have been collected and cannot be."""
        return Item(*_names(relative), failure=failure)

    def skipped(self, relative: bytes, code: str, reason: str) -> Item:
        """Return what has nothing to collect."""
        return Item(*_names(relative), skipped=Failure(code, f"{reason} [{self.place_of(relative)}]"))


def _names(relative: bytes) -> tuple[str, str]:
    """Return the id and the path of an item."""
    item_id = encode_id(relative)
    return item_id, shown(relative) if item_id.startswith("bytes:") else item_id
