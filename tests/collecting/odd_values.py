"""Values that a source may or must not state about items and contents, and ways in which reading fails."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from pathlib import Path
from typing import Any

import pandas as pd

from prefect_collect.codes import Failure
from prefect_collect.errors import SourceError
from prefect_collect.sources import Content, Item
from prefect_collect.sources.item_checks import NO_ID
from tests.support.odd_source import BYTES

MEGABYTE = "x" * (1 << 20)
EAST, WEST = timezone(timedelta(hours=14)), timezone(-timedelta(hours=14))


class NoZone(tzinfo):
    """A time zone that raises when it is asked for its offset."""

    def utcoffset(self, when: datetime | None) -> timedelta:
        """Raise."""
        raise RuntimeError("no zone")

    dst = utcoffset

    def tzname(self, when: datetime | None) -> str:
        """Raise."""
        raise RuntimeError("no zone")


class Mute(Exception):
    """An exception whose text cannot be read."""

    def __str__(self) -> str:
        raise RuntimeError("mute")


def field(name: str, value: object) -> Callable[[Any], Any]:
    """Return a function that makes one field of an item or content odd."""
    return lambda said: replace(said, **{name: value})


WRONG: dict[str, list[object]] = {
    "id": ["", None, 5, b"item/2", "item/\udcff", MEGABYTE, f"{NO_ID}2", ["item/2"]],
    "path": [None, 5, b"item/2", MEGABYTE, Path("item/2")],
    "size": [-1, 1 << 63, 1 << 64, 6.0, "6", True],
    "modified": [
        datetime(2020, 1, 1), date(2020, 1, 1), "2020-01-01", 5, pd.NaT, datetime(1, 1, 1, tzinfo=EAST),
        datetime(9999, 12, 31, 23, tzinfo=WEST), datetime(2020, 1, 1, tzinfo=NoZone()),
    ],
    "etag": [b"e", 5, "e\udcff", MEGABYTE],
    "version": [b"v", 5, "v\udcff", MEGABYTE],
    "skipped": ["symlink", True],
    "failure": ["not_found", 5],
    "elsewhere": ["linked_file", Failure("canceled", "A.")],
    "expands": [5, "\udcff"],
    "failed_since": [datetime(2020, 1, 1), 5],
    "is_current": [None, "yes"],
}  # fmt: skip
"""What a source must not state about an item: the item fails as `invalid_item`."""

NO_ITEMS: list[Callable[[Any], Any]] = [
    lambda item: None, lambda item: {"id": item.id}, lambda item: object.__new__(Item), lambda item: item.id,
]  # fmt: skip
"""Values that are not items at all."""

RIGHT: dict[str, list[object]] = {
    "path": ["", "a\udcff", "a\0b", "../../etc/passwd", "/".join(["deep"] * 4000), "con.", "-rf", "=cmd()"],
    "modified": [
        datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC), datetime(1, 1, 1, tzinfo=WEST),
        datetime(2020, 1, 1, tzinfo=timezone(timedelta(seconds=17))), pd.Timestamp("2020-01-01", tz="UTC"),
    ],
    "etag": ["", "é" * 2000, "\0"],
    "version": ["", "x" * 4_000],
}  # fmt: skip
"""Unusual but valid values: the item is collected."""

INVALID: dict[str, list[object]] = {
    "size": [-1, 1 << 64, 6.0, "6", True],
    "modified": [datetime(2020, 1, 1), "2020", 5, datetime(1, 1, 1, tzinfo=EAST), pd.NaT],
    "etag": [b"e", 5, MEGABYTE],
    "version": [b"v", 5, "v\udcff"],
    "crc32": [-1, 1 << 32, "x", 1.5],
    "md5": [b"", b"x" * 15, "0" * 32],
    "sha1": [b"x", "0" * 40],
    "sha256": [b"x", "0" * 64, 5],
    "finish": [5],
}
"""What a source must not state about a content: the item fails as `invalid_item`."""


def raises(error: BaseException) -> Callable[[Any], Any]:
    """Return an item that raises when it is opened."""

    def opening(_: object) -> Any:
        raise error

    return opening


def ends_by(error: BaseException) -> Callable[[Any], Any]:
    """Return an item that raises when its end is checked."""
    return lambda content: replace(content, finish=lambda: raises(error)(content))


def endless() -> Iterator[bytes]:
    """Yield a body without an end."""
    while True:
        yield bytes(1 << 20)


BROKEN: dict[str, list[Callable[[Any], Any]]] = {
    "chunks": [
        field("chunks", chunks) for chunks in ([6], ["abcdef"], [None], None, 6, "abcdef", [b"abc", 3], [b"abc", None])
    ],
    "kind": [lambda content: None, lambda content: BYTES, lambda content: Content(endless(), size=6)],
    "error": [
        raises(SystemExit(3)), raises(CancelledError()), raises(Mute()), raises(OSError("item/\udcff")),
        raises(OSError(MEGABYTE)), raises(SourceError("?", code=["x"])),  # type: ignore[arg-type]
        raises(SourceError("?", code="not_found", http_status=70_000)), ends_by(SystemExit(3)), ends_by(Mute()),
    ],
}  # fmt: skip
"""How reading an item may fail; only that item fails, whatever its code."""
