"""Checks of the items and contents that a source yields: a wrong one fails alone and is accounted for."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any, Final

from prefect_collect.codes import Failure
from prefect_collect.errors import SourceError
from prefect_collect.sources._item import Content, Item, Listed, ListingEnd
from prefect_collect.sources.created import known_creation
from prefect_collect.sources.metadata import metadata_text

LONGEST_TEXT: Final = 1 << 16
"""The most bytes of UTF-8 that an id or a path may have."""

LONGEST_MARK: Final = 1 << 12
"""The most bytes of UTF-8 that an ETag or a version may have."""

NO_ID: Final = "(no usable id) #"
"""The prefix of the ids that are made for items whose source gave no usable id."""

_AN_ID: Final = f"text that is not empty, has at most {LONGEST_TEXT:,} bytes of UTF-8 and does not begin with {NO_ID!r}"
_SURELY_SHORT: Final = LONGEST_MARK // 4
_SHOWN: Final = 200
_LARGEST: Final = (1 << 63) - 1
_CHECKSUMS: Final = {"crc32": 32, "crc32c": 32, "crc64nvme": 64}
_DIGESTS: Final = {"md5": 16, "sha1": 20, "sha256": 32}


def checked_items(listing: Iterable[Listed], within: str = "") -> Iterator[Listed]:
    """Yield the items of a listing, each sound: every field is as `Item` documents it, and can be recorded.

    An unsound item is replaced by one with the failure `invalid_item` and without the wrong fields: a wrong path
    becomes "", a wrong id a made one that begins with `NO_ID`; an `invalid_item` of the source itself stays. A
    `ListingEnd` is passed on. The check takes about 0.3 µs an item.

    Args:
        listing: What the source yields.
        within: The id of the folder that is listed, if it is one; it makes the made ids unique.
    """
    unnamed = 0
    for item in listing:
        if _is_plain(item) or isinstance(item, ListingEnd):
            yield item
            continue
        if (id_ := _id_of(item)) is not None:
            yield _checked(item, id_)
            continue
        unnamed += 1
        yield _checked(item, f"{NO_ID}{within}{unnamed}")


def _is_plain(item: Any) -> bool:
    """Return whether an item passes a quick check, as most do; others get the full one."""
    if type(item) is not Item:
        return False
    try:
        id_, path, size, modified, etag, version = item.id, item.path, item.size, item.modified, item.etag, item.version
    except AttributeError:
        return False
    return (
        type(id_) is str
        and 0 < len(id_) <= _SURELY_SHORT
        and id_.isascii()
        and not id_.startswith(NO_ID)
        and (path is id_ or (type(path) is str and len(path) <= _SURELY_SHORT and path.isascii()))
        and (size is None or (type(size) is int and 0 <= size <= _LARGEST))
        and (modified is None or (type(modified) is datetime and modified.tzinfo is UTC))
        and (etag is None or (type(etag) is str and len(etag) <= _SURELY_SHORT and etag.isascii()))
        and version is None
        and item.skipped is None
        and item.failure is None
        and item.expands is None
        and item.failed_since is None
        and item.is_current is True
        and ((created := item.created) is None or (type(created) is datetime and created.tzinfo is UTC))
    )


def _checked(item: Any, id_: str) -> Item:
    wrong: list[str] = []
    found: dict[str, Any] = {"id": id_, "path": ""}
    if not isinstance(item, Item):
        wrong.append(f"it is {_shown(item)} where an Item is expected")
    else:
        if id_.startswith(NO_ID):
            wrong.append(f"id is {_shown(getattr(item, 'id', None))} where {_AN_ID} is expected")
        for name, check in _CHECKS.items():
            try:
                value = getattr(item, name)
                found[name] = check(value)
            except _Wrong as error:
                wrong.append(f"{name} is {_shown(value)} where {error} is expected")
            except Exception as error:
                wrong.append(f"{name} cannot be read ({type(error).__name__})")
    if wrong:
        why = Failure("invalid_item", f"The data source described it wrongly: {'; '.join(wrong)}. [{found['id']}]")
        given = found.get("failure")
        found |= {"failure": given if given is not None and given.code == why.code else why, "skipped": None}
    return Item(**found)


class _Wrong(ValueError):
    """A field is wrong; the text says what is expected."""


def _id_of(item: Any) -> str | None:
    """Return the item's id if it is usable, else None."""
    try:
        id_ = _text(item.id) if isinstance(item, Item) else ""
    except Exception:
        return None
    return id_ if id_ and not id_.startswith(NO_ID) else None


def _text(value: object, longest: int = LONGEST_TEXT) -> str:
    if not isinstance(value, str):
        raise _Wrong("text")
    text = str.__str__(value)
    if len(text) > longest:
        raise _Wrong(f"text of at most {longest:,} bytes")
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        raise _Wrong("text that UTF-8 can hold") from error
    if size > longest:
        raise _Wrong(f"text of at most {longest:,} bytes")
    return text


def _mark(value: object) -> str:
    return _text(value, LONGEST_MARK)


def _path(value: object) -> str:
    """Return a path; it may hold bytes that are not UTF-8, as lone surrogates, as the job makes it safe."""
    if isinstance(value, str):
        _text(value.encode("utf-8", "backslashreplace").decode())
        return str.__str__(value)
    raise _Wrong("text")


def _size(value: object) -> int:
    number = None if isinstance(value, bool) else _index(value)
    if number is None or not 0 <= number <= _LARGEST:
        raise _Wrong("a whole number of bytes, from 0 to 2^63 - 1,")
    return number


def _index(value: Any) -> int | None:
    try:
        return operator.index(value)
    except TypeError:
        return None


def _time(value: object) -> datetime:
    try:
        if isinstance(value, datetime) and value.utcoffset() is not None:
            at = value.astimezone(UTC)
            return datetime(at.year, at.month, at.day, at.hour, at.minute, at.second, at.microsecond, UTC)
    except (OverflowError, ValueError, TypeError, AttributeError):
        pass
    raise _Wrong("a time with a time zone, in the years 1 to 9999 of UTC,")


def _is(kind: type, expected: str) -> Callable[[object], Any]:
    def check(value: object) -> object:
        if isinstance(value, kind):
            return value
        raise _Wrong(expected)

    return check


def _or_none(check: Callable[[object], Any]) -> Callable[[object], Any]:
    return lambda value: None if value is None else check(value)


_CHECKS: Final[dict[str, Callable[[object], Any]]] = {
    "path": _path,
    "size": _or_none(_size),
    "modified": _or_none(_time),
    "etag": _or_none(_mark),
    "version": _or_none(_mark),
    "skipped": _or_none(_is(Failure, "a Failure")),
    "failure": _or_none(_is(Failure, "a Failure")),
    "expands": _or_none(_text),
    "failed_since": _or_none(_time),
    "is_current": _is(bool, "True or False"),
    "created": known_creation,
}


def require_sound(item: Item, content: Content) -> None:
    """Raise SourceError (`invalid_item`) if a field of an opened item is not as `Content` documents it."""
    if _is_plain_content(content):
        return
    if not isinstance(content, Content):
        raise _wrongly(item, f"it is opened as {_shown(content)} where a Content is expected")
    for name, check in _CONTENT_CHECKS.items():
        value = getattr(content, name)
        try:
            _ = value is None or check(value)
        except ValueError as error:
            raise _wrongly(item, f"{name} is {_shown(value)} where {error} is expected") from None


def _is_plain_content(content: Any) -> bool:
    """Return whether a content passes a quick check, as most do; others get the full one."""
    if type(content) is not Content:
        return False
    size, modified, etag = content.size, content.modified, content.etag
    return (
        (size is None or (type(size) is int and 0 <= size <= _LARGEST))
        and (modified is None or (type(modified) is datetime and modified.tzinfo is UTC))
        and (etag is None or (type(etag) is str and len(etag) <= _SURELY_SHORT and etag.isascii()))
        and content.version is None
        and content.crc32 is None
        and content.crc32c is None
        and (content.crc64nvme is None or (type(content.crc64nvme) is int and 0 <= content.crc64nvme < 1 << 64))
        and content.sha1 is None
        and (content.md5 is None or (type(content.md5) is bytes and len(content.md5) == 16))
        and (content.sha256 is None or (type(content.sha256) is bytes and len(content.sha256) == 32))
        and (content.finish is None or callable(content.finish))
        and content.metadata is None
    )


def _wrongly(item: Item, what: str) -> SourceError:
    return SourceError(f"The data source described its content wrongly: {what}. [{item.id}]", code="invalid_item")


def _number(bits: int) -> Callable[[object], None]:
    def check(value: object) -> None:
        number = None if isinstance(value, bool) else _index(value)
        if number is None or not 0 <= number < 1 << bits:
            raise _Wrong(f"a number of {bits} bits")

    return check


def _digest(size: int) -> Callable[[object], None]:
    def check(value: object) -> None:
        if not isinstance(value, bytes) or len(value) != size:
            raise _Wrong(f"a digest of {size} bytes")

    return check


def _callable(value: object) -> None:
    if not callable(value):
        raise _Wrong("a function")


_CONTENT_CHECKS: Final[dict[str, Callable[[Any], Any]]] = {
    "size": _size,
    "modified": _time,
    "etag": _mark,
    "version": _mark,
    **{name: _number(bits) for name, bits in _CHECKSUMS.items()},
    **{name: _digest(size) for name, size in _DIGESTS.items()},
    "finish": _callable,
    "metadata": metadata_text,
}


def whole(chunk: Any) -> bytes | memoryview:
    """Return a chunk of an item's bytes so that it cannot change: a copy, if its source may reuse the buffer.

    Raise TypeError if it is not bytes.
    """
    if type(chunk) is bytes:
        return chunk
    view = memoryview(chunk)
    return view.cast("B") if view.readonly and view.c_contiguous else view.tobytes()


def flat(chunk: Any) -> bytes | memoryview:
    """Return a chunk of an item's bytes as a flat buffer of single bytes. Raise TypeError if it is not bytes."""
    if type(chunk) is bytes:
        return chunk
    view = memoryview(chunk)
    return view.cast("B") if view.c_contiguous else view.tobytes()


def _shown(value: object) -> str:
    """Return a value for a message: its repr, shortened."""
    try:
        text = repr(value)
    except Exception:
        text = f"a {type(value).__name__} that cannot be shown"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


assert {field.name for field in fields(Item)} == {"id", *_CHECKS}
