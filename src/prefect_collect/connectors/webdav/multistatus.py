"""Reading a 207 Multi-Status document piece by piece, as it arrives (RFC 4918, sections 13 and 14)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
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


@dataclass(frozen=True, slots=True, eq=False)
class _Place:
    """A place in a document at which an element is read; what stands elsewhere is passed over.

    Attributes:
        within: The places in it, by the names of their elements.
        has_text: Whether the element's text is used.
        is_property: Whether that is the value of a property.
    """

    within: dict[str, _Place] = field(default_factory=dict)
    has_text: bool = False
    is_property: bool = False


def _named(places: dict[str, _Place]) -> dict[str, _Place]:
    """Return places by their names of the namespace ``DAV:``, and without one, as some servers write them."""
    return {prefix + name: place for name, place in places.items() for prefix in ("DAV: ", "")}


_ELSEWHERE: Final = _Place()
_HREF: Final = _Place(has_text=True)
_STATUS: Final = _Place(has_text=True)
_STATUS_OF_PROPERTIES: Final = _Place(has_text=True)
_DESCRIPTION: Final = _Place(has_text=True)
_COLLECTION: Final = _Place()
_TYPE: Final = _Place(_named({"collection": _COLLECTION}))
_VALUES: Final = {name: _Place(has_text=True, is_property=True) for name in _TEXTS}
_PROPERTIES: Final = _Place(
    _named(
        {
            "prop": _Place(_named({"resourcetype": _TYPE, **_VALUES})),
            "status": _STATUS_OF_PROPERTIES,
            "responsedescription": _DESCRIPTION,
        }
    )
)
_RESPONSE: Final = _Place(
    _named({"href": _HREF, "status": _STATUS, "responsedescription": _DESCRIPTION, "propstat": _PROPERTIES})
)
_DOCUMENT: Final = _Place({"DAV: multistatus": _Place(_named({"response": _RESPONSE}))})


class Multistatus:
    """A parser that is fed a document in pieces. It refuses document types and entities.

    A listing has a dozen elements for each file, so each costs one look into its place's names.

    Args:
        found: Called with each resource when its element ends.
    """

    def __init__(self, found: Callable[[Resource], None]) -> None:
        self._found = found
        self._at, self._above = _DOCUMENT, list[_Place]()
        self._texts: list[str] | None = None
        self._held = 0
        self._resource = Resource()
        self._properties = _Properties()
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
        above = self._at
        self._above.append(above)
        at = self._at = above.within.get(name, _ELSEWHERE)
        if at.has_text:
            self._texts, self._held = [], 0
            return
        self._texts = None
        if at is _PROPERTIES:
            self._properties = _Properties()
        elif at is _TYPE:
            self._properties.is_folder = bool(self._properties.is_folder)
        elif at is _COLLECTION:
            self._properties.is_folder = True
        elif at is _RESPONSE:
            self._resource = Resource()
        elif above is _DOCUMENT and at is _ELSEWHERE:
            raise BadDocument(f"it is <{name.rpartition(' ')[2][:40]}> and not <multistatus>")

    def _text(self, data: str) -> None:
        if self._texts is not None:
            self._held += len(data)
            if self._held > _LONGEST_TEXT:
                raise BadDocument(f"a text in it has more than {_LONGEST_TEXT:,} characters")
            self._texts.append(data)

    def _end(self, name: str) -> None:
        at, self._at = self._at, self._above.pop()
        if self._texts is not None:
            self._take(at, name, "".join(self._texts).strip())
            self._texts = None
        elif at is _PROPERTIES:
            _apply(self._properties, self._resource)
        elif at is _RESPONSE:
            self._finish(self._resource)

    def _take(self, at: _Place, name: str, text: str) -> None:
        """Take the text of an element that has nothing else in it."""
        if at.is_property:
            self._properties.texts[name.removeprefix("DAV: ")] = text
        elif at is _STATUS_OF_PROPERTIES:
            self._properties.status = _status(text)
        elif at is _HREF:
            self._resource.href = self._resource.href or text
        elif at is _STATUS:
            self._resource.status = _status(text)
        else:
            self._resource.said = self._resource.said or text[:200]

    def _finish(self, resource: Resource) -> None:
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


@lru_cache(maxsize=16)
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
