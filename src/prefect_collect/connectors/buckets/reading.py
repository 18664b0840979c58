"""Reading the objects of a bucket, by libcurl: whole, in ranges, and many small ones at once.

The clouds differ in how a request is signed, in the headers that describe an object, and in what a refusal means.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, Protocol

from prefect_collect.connectors.buckets.headers import RANGE, range_of
from prefect_collect.connectors.buckets.large import HEADERS, Large, can_be_ranged
from prefect_collect.connectors.errors import source_error
from prefect_collect.connectors.http.asked_again import answers_of, paced
from prefect_collect.connectors.http.engine import Limits
from prefect_collect.connectors.http.fetcher import Fetcher, Fetchers
from prefect_collect.connectors.http.pace import Pace
from prefect_collect.connectors.http.stream import Stream
from prefect_collect.errors import SourceError
from prefect_collect.sources import Content, Item, expected_bytes

_AMBIGUOUS: Final = (400, 403)
"""Statuses with many causes: an answer to HEAD has no document that names the cause, an answer to GET has."""


class Prepare(Protocol):
    """Prepares a request for an item's object."""

    def __call__(self, item: Item, lines: Iterable[str] = (), method: str = "GET") -> tuple[str, list[str]]:
        """Return URL and header lines, signed, of a request with these lines of its own. Raise SourceError."""


@dataclass(frozen=True)
class Objects:
    """How the objects of a bucket are asked for, and what the answers mean.

    Attributes:
        prepare: Prepares a request.
        wanted: The headers that describe an object.
        content: Returns the content that they describe, of the item with these chunks.
        refused: Returns the error of a status, its headers and its body, at a place.
        place: Returns the URL of an item's object, in which messages end.
        limits: The limits of each request.
        pace: The pace of the server.
    """

    prepare: Prepare
    wanted: frozenset[bytes]
    content: Callable[[dict[bytes, str], Iterable[bytes], Item], Content]
    refused: Callable[[int, dict[bytes, str], bytes, str], SourceError]
    place: Callable[[Item], str]
    limits: Limits
    pace: Pace


class Reader:
    """Reads the objects of a bucket, for several threads. Every error is a SourceError."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._fetchers = Fetchers(lambda: Fetcher(objects.limits))

    def head(self, item: Item) -> Content | None:
        """Return what the server states about an object now; None if it is gone."""
        objects = self._objects
        with paced(objects.pace, lambda: self._stream(item, method="HEAD"), objects.wanted) as (_, status, headers):
            pass
        if status == 404:
            return None
        if status in _AMBIGUOUS:
            with self.open(item) as content:
                return replace(content, chunks=())
        if status != 200:
            raise objects.refused(status, headers, b"", objects.place(item))
        return objects.content(headers, (), item)

    @contextmanager
    def open(self, item: Item, within: tuple[int, int] | None = None) -> Iterator[Content]:
        """Open an object of any size; with `within` only the bytes from the first number to the second, exclusive."""
        objects, place = self._objects, self._objects.place(item)
        wanted, names = (200, objects.wanted | HEADERS) if within is None else (206, RANGE)
        lines = [] if within is None else [f"Range: bytes={within[0]}-{within[1] - 1}"]
        with paced(objects.pace, lambda: self._stream(item, lines), names) as (stream, status, headers):
            if status == 200 and within is not None:
                raise source_error("source_error", "The server does not send ranges of objects", place)
            if status != wanted:
                raise objects.refused(status, headers, stream.error_body(), place)
            content = (objects.content if within is None else range_of)(headers, stream.pieces(), item)
            if within is None and content.size is not None and can_be_ranged(headers, content.size):
                large = Large(
                    stream, content.size, headers[b"etag"],
                    limits=objects.limits, prepare=partial(objects.prepare, item), refused=objects.refused,
                    pace=objects.pace, place=place,
                )  # fmt: skip
                content.chunks = large.pieces()
            yield content

    def read_many(self, items: Iterable[Item], concurrency: int) -> Iterator[tuple[Item, Content | Exception]]:
        """Read small objects, many at once."""
        objects = self._objects
        with self._fetchers.one() as fetcher:
            yield from answers_of(
                fetcher, items, concurrency,
                prepare=objects.prepare, wanted=objects.wanted, whole=objects.content, refused=objects.refused,
                size=expected_bytes, place=objects.place, pace=objects.pace,
            )  # fmt: skip

    def _stream(self, item: Item, lines: Iterable[str] = (), method: str = "GET") -> Stream:
        objects = self._objects
        url, signed = objects.prepare(item, lines, method)
        return Stream(objects.limits, url, signed, objects.place(item), head=method == "HEAD")
