"""Checks of the contents that a source opens: a wrong one fails alone and is accounted for."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from prefect_collect.errors import SourceError
from prefect_collect.sources._item import Content, Item
from prefect_collect.sources.item_checks import LARGEST, SURELY_SHORT, Wrong, as_index, as_mark, as_size, as_time, shown
from prefect_collect.sources.metadata import metadata_text

_CHECKSUMS: Final = {"crc32": 32, "crc32c": 32, "crc64nvme": 64}
_DIGESTS: Final = {"md5": 16, "sha1": 20, "sha256": 32}


def require_sound(item: Item, content: Content) -> None:
    """Raise SourceError (`invalid_item`) if a field of an opened item is not as `Content` documents it."""
    if _is_plain_content(content):
        return
    if not isinstance(content, Content):
        raise _wrongly(item, f"it is opened as {shown(content)} where a Content is expected")
    for name, check in _CONTENT_CHECKS.items():
        value = getattr(content, name)
        try:
            _ = value is None or check(value)
        except ValueError as error:
            raise _wrongly(item, f"{name} is {shown(value)} where {error} is expected") from None


def _is_plain_content(content: Any) -> bool:
    """Return whether a content passes a quick check, as most do; others get the full one."""
    if type(content) is not Content:
        return False
    size, modified, etag = content.size, content.modified, content.etag
    return (
        (size is None or (type(size) is int and 0 <= size <= LARGEST))
        and (modified is None or (type(modified) is datetime and modified.tzinfo is UTC))
        and (etag is None or (type(etag) is str and len(etag) <= SURELY_SHORT and etag.isascii()))
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
        number = None if isinstance(value, bool) else as_index(value)
        if number is None or not 0 <= number < 1 << bits:
            raise Wrong(f"a number of {bits} bits")

    return check


def _digest(size: int) -> Callable[[object], None]:
    def check(value: object) -> None:
        if not isinstance(value, bytes) or len(value) != size:
            raise Wrong(f"a digest of {size} bytes")

    return check


def _callable(value: object) -> None:
    if not callable(value):
        raise Wrong("a function")


_CONTENT_CHECKS: Final[dict[str, Callable[[Any], Any]]] = {
    "size": as_size,
    "modified": as_time,
    "etag": as_mark,
    "version": as_mark,
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
