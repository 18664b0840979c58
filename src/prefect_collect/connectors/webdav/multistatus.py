"""Reading a 207 Multi-Status document piece by piece, as it arrives (RFC 4918, sections 13 and 14)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from prefect_collect.connectors.http.headers import http_date, listed_etag, whole_number
from prefect_collect.untrusted.bounded_xml import XmlReader

_DEPTH: Final = 64
"""The most elements within each other; properties of servers are a few deep."""

_LONGEST_TEXT: Final = 64 << 10
"""The most characters of an element's text that is used."""

_TEXTS: Final = ("getcontentlength", "getlastmodified", "creationdate", "getetag")
"""The properties whose text is used."""

_OK: Final = range(200, 300)


class BadDocument(ValueError):
    """What arrived is no Multi-Status document; the text says why."""


@dataclass(slots=True)
class Resource:
    """What a server says of one resource.

    Attributes:
        href: Its address, as the server writes it.
        status: The status of the resource itself, or of its type if that cannot be told; None if all is well.
        is_folder: Whether it is a collection; None if the server does not say.
        size: Its size in bytes, like `modified`, `created` and `etag` None if it is not stated.
        etag: Its entity tag, a weak one with ``W/``.
        said: The server's words about a failure.
    """

    href: str = ""
    status: int | None = None
    is_folder: bool | None = None
    size: int | None = None
    modified: datetime | None = None
    created: datetime | None = None
    etag: str | None = None
    said: str = ""


@dataclass(slots=True)
class _Properties:
    """The properties of a propstat, whose status comes after them."""

    status: int | None = None
    is_folder: bool | None = None
    texts: dict[str, str] = field(default_factory=dict)


class Multistatus:
    """A parser that is fed a document in pieces. It refuses document types and entities.

    Args:
        found: Called with each resource when its element ends.
    """

    def __init__(self, found: Callable[[Resource], None]) -> None:
        self._found = found
        self._path: list[str] = []
        self._texts: list[str] | None = None
        self._held = 0
        self._resource: Resource | None = None
        self._properties: _Properties | None = None
        self._xml = XmlReader(
            BadDocument, self._start, self._end, most_deep=_DEPTH, text=self._text, has_namespaces=True
        )

    def feed(self, data: bytes) -> None:
        """Read the next bytes. Raise BadDocument."""
        self._xml.feed(data)

    def close(self) -> None:
        """Raise BadDocument unless the document is whole."""
        self._xml.feed(b"", last=True)

    def _start(self, name: str, _attributes: dict[str, str]) -> None:
        path = self._path
        path.append(name.removeprefix("DAV: "))
        depth = len(path)
        if depth == 1 and name != "DAV: multistatus":
            raise BadDocument(f"it is <{name.rpartition(' ')[2][:40]}> and not <multistatus>")
        self._texts = None
        if depth == 2:
            self._resource = Resource() if path[1] == "response" else None
        elif self._resource is None:
            return
        elif depth == 3:
            self._properties = _Properties() if path[2] == "propstat" else None
            if path[2] in ("href", "status", "responsedescription"):
                self._texts, self._held = [], 0
        elif self._properties is None:
            return
        elif path[3] == "prop" and depth in (5, 6):
            if path[4] == "resourcetype":
                self._properties.is_folder = bool(self._properties.is_folder) or path[-1] == "collection"
            elif depth == 5 and path[4] in _TEXTS:
                self._texts, self._held = [], 0
        elif depth == 4 and path[3] in ("status", "responsedescription"):
            self._texts, self._held = [], 0

    def _text(self, data: str) -> None:
        if self._texts is not None:
            self._held += len(data)
            if self._held > _LONGEST_TEXT:
                raise BadDocument(f"a text in it has more than {_LONGEST_TEXT:,} characters")
            self._texts.append(data)

    def _end(self, _name: str) -> None:
        path, resource, properties = self._path, self._resource, self._properties
        name, depth = path[-1], len(path)
        text = None if self._texts is None else "".join(self._texts).strip()
        self._texts = None
        path.pop()
        if resource is None:
            return
        elif depth == 2:
            self._finish(resource)
        elif depth == 3 and properties is not None:
            _apply(properties, resource)
            self._properties = None
        elif text is None:
            return
        elif depth == 3 and name == "href":
            resource.href = resource.href or text
        elif depth == 3 and name == "status":
            resource.status = _status(text)
        elif name == "responsedescription":
            resource.said = resource.said or text[:200]
        elif properties is not None and depth == 4:
            properties.status = _status(text)
        elif properties is not None:
            properties.texts[name] = text

    def _finish(self, resource: Resource) -> None:
        self._resource = None
        if resource.status in _OK:
            resource.status = None
        if not resource.href:
            raise BadDocument("a <response> in it has no <href>")
        self._found(resource)


def _apply(properties: _Properties, resource: Resource) -> None:
    """Take the properties over into their resource, if they are there; note why its type is not."""
    if properties.status is not None and properties.status not in _OK:
        if properties.is_folder is not None and resource.status is None and properties.status != 404:
            resource.status = properties.status
        return
    if properties.is_folder is not None:
        resource.is_folder = properties.is_folder
    texts = properties.texts
    if "getcontentlength" in texts:
        resource.size = whole_number(texts["getcontentlength"])
    if "getlastmodified" in texts:
        resource.modified = _time(texts["getlastmodified"])
    if "creationdate" in texts:
        resource.created = _time(texts["creationdate"])
    if "getetag" in texts:
        resource.etag = listed_etag(texts["getetag"])


def _status(text: str) -> int | None:
    """Return the number of a status line such as ``HTTP/1.1 200 OK``; 0 for any other line."""
    words = text.split()
    number = next((word for word in words[:2] if len(word) == 3 and word.isascii() and word.isdigit()), "0")
    return int(number)


def _time(text: str) -> datetime | None:
    """Return a date of HTTP, or of ISO 8601 with a zone, as some servers write it; None for any other text."""
    if (at := http_date(text)) is not None:
        return at
    try:
        at = datetime.fromisoformat(text)
        return at.astimezone(UTC) if at.utcoffset() is not None else None
    except (ValueError, OverflowError):
        return None
