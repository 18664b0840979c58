"""A page of a bucket's listing: its objects, the way to the next page, and what every cloud's page must be to count.

What servers answer is read as XML within bounds: the answer may be a login page, or have been cut off.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NamedTuple
from xml.etree import ElementTree

from prefect_collect.connectors.errors import source_error
from prefect_collect.errors import SourceError

MOST_BYTES: Final = 64 << 20
"""The most bytes of a page: 1,000 keys of the greatest length take 4 MiB, and some servers send more keys."""

MOST_TAGS: Final = 2_000_000
"""The most tags of a page; a document with more is not parsed."""

_LARGEST: Final = (1 << 63) - 1
_RAW_CONTROL: Final = re.compile(
    rb"[\x00-\x08\x0b\x0c\x0e-\x1f]|&#0*(?:[0-8]|1[124-9]|2[0-9]|3[01]);|&#[xX]0*(?:[0-8bBcCeEfF]|1[0-9a-fA-F]);"
)
"""Control characters, raw and as character references, that XML 1.0 does not allow ("Char", section 2.2)."""


class Entry(NamedTuple):
    """An object on a page, or a version of one: the bytes of its key, and what the page states about it.

    Of versions, `version` is the version's id, `is_latest` whether it is the object's current one, and `is_deleted`
    whether it is a delete marker, which has no bytes. `created` is stated by Azure alone.
    """

    key: bytes
    size: int | None
    etag: str | None
    modified: str | None
    version: str = ""
    is_latest: bool = True
    is_deleted: bool = False
    created: str | None = None


Token = str | tuple[str, str]
"""What asks for the next page: a continuation token, or the last key and version of a listing of versions."""


@dataclass(frozen=True, slots=True)
class Page:
    """A proven page of a listing.

    Attributes:
        entries: The objects.
        token: The token of the next page; None if the page states that it is the last.
        stated: The number of objects that the page itself states; None if it states none.
    """

    entries: list[Entry]
    token: Token | None
    stated: int | None


def wrong_page(what: str, place: str) -> SourceError:
    """Return the error of an answer that is no page of the listing."""
    return source_error("enumeration_failed", f"The server's answer is no proven page of the listing: {what}", place)


def parsed(body: bytes, place: str) -> ElementTree.Element:
    """Return the root of a document. Raise SourceError (`enumeration_failed`) if it is not XML, or was cut off."""
    if not body.strip():
        raise wrong_page("it is empty", place)
    if b"<!DOCTYPE" in body or body.count(b"<") > MOST_TAGS:
        raise wrong_page(f"it begins with {_start(body)}", place)
    try:
        return ElementTree.fromstring(body)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        control = _RAW_CONTROL.search(body)
        if control is not None and body.lstrip()[:1] == b"<":
            around = body[max(0, control.start() - 40) : control.end() + 20]
            raise wrong_page(
                "a key in it has a control character that the server did not URL-encode as requested "
                f"(encoding-type=url), so that it is not XML; near {in_ascii(around)}; rename the object, or have the "
                "server fixed",
                place,
            ) from error
        raise wrong_page(f"it is not XML, or was cut off ({error}); it begins with {_start(body)}", place) from error


def size_of(text: str) -> int | None:
    """Return a size in bytes; None if the text is not one, so that the size is not compared later."""
    text = text.strip()
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        return None
    size = int(text)
    return size if size <= _LARGEST else None


def time_of(text: str | None) -> datetime | None:
    """Return the time that a page states; None for any other text."""
    if not text:
        return None
    try:
        time = datetime.fromisoformat(text)
        if time.tzinfo is UTC:
            return time
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def _start(body: bytes) -> str:
    return in_ascii(body.lstrip()[:60])


def in_ascii(raw: bytes) -> str:
    """Return what a server sent as it stands in a message."""
    return ascii(raw.decode(errors="replace"))
