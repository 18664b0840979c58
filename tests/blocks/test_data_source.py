"""The base class of data sources."""

from __future__ import annotations

import errno
import itertools
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from prefect_collect.blocks import DataSource
from prefect_collect.codes import Failure
from prefect_collect.errors import InvalidLocation, SourceError
from prefect_collect.sources import Content, Item, Listed, ListingEnd
from prefect_collect.sources.listing import items_of


class Shelf(DataSource):
    """A source of books in memory: the id is the content; some cannot be read."""

    def items(self) -> Iterator[Listed]:
        """Yield ten books."""
        for number in range(10):
            yield Item(f"book-{number}", f"books/{number}", size=6)
        yield ListingEnd("the shelf ends here", items=10)

    @contextmanager
    def open(self, item: Item) -> Iterator[Content]:
        """Open a book, whose content is its name; the fourth is missing."""
        if item.id == "book-4":
            raise FileNotFoundError(errno.ENOENT, "lost")
        yield Content([item.id[:4].encode(), memoryview(item.id[4:].encode())], size=6)


class Labeled(Shelf):
    """A source with a field of its own."""

    labels: list[str]


@pytest.mark.parametrize("text", ["a\0b", "caf\udce9"])
def test_texts_that_prefect_cannot_keep(text: str) -> None:
    """A field of a user's own source is checked like those of the package's sources."""

    assert Labeled(name="shelf", labels=["Ünïcode 😀"]).labels
    with pytest.raises(InvalidLocation, match=r"\[field=labels\]$"):
        Labeled(name="shelf", labels=["fine", text])


def test_reads_many_by_open() -> None:
    """`read_many` opens every item, and yields an item that fails with its exception."""
    shelf = Shelf(name="shelf")
    got = {item.id: content for item, content in shelf.read_many(items_of(shelf), 3)}
    assert len(got) == 10
    assert isinstance(got.pop("book-4"), FileNotFoundError)
    for name, content in got.items():
        assert isinstance(content, Content)
        assert b"".join(content.chunks) == name.encode()


def test_pulls_lazily_and_in_bounds() -> None:
    """At most `concurrency` items are taken ahead of the yielded ones, and at most as many are open at once."""
    taken = 0
    now = most = 0
    lock = threading.Lock()

    class Counting(Shelf):
        @contextmanager
        def open(self, item: Item) -> Iterator[Content]:
            nonlocal now, most
            with lock:
                now += 1
                most = max(most, now)
            yield Content([b"x"])
            with lock:
                now -= 1

    def items() -> Iterator[Item]:
        nonlocal taken
        for number in range(100):
            taken += 1
            yield Item(str(number), str(number))

    given = 0
    for _ in Counting(name="counting").read_many(items(), 4):
        given += 1
        assert taken <= given + 4 + 3
    assert given == 100
    assert most <= 4


def test_stops_when_closed() -> None:
    """An iterator that is closed takes no more items and leaves no thread."""
    shelf = Shelf(name="shelf")
    before = {*threading.enumerate()}
    reading = shelf.read_many(items_of(shelf), 2)
    next(reading)
    reading.close()  # type: ignore[attr-defined]
    assert {*threading.enumerate()} <= before


def test_error_of_the_items_reaches_the_caller() -> None:
    """An error of the iterator of items is raised, not yielded with an item."""

    def items() -> Iterator[Item]:
        yield Item("book-1", "1")
        raise KeyError("listing")

    with pytest.raises(KeyError):
        list(Shelf(name="shelf").read_many(items(), 2))


def test_a_small_item_without_end() -> None:
    """An item listed as small whose body does not end fails at 8 MiB, without harm to the others."""

    class Endless(Shelf):
        @contextmanager
        def open(self, item: Item) -> Iterator[Content]:
            yield Content(itertools.repeat(b"x" * 65536) if item.id == "book-3" else [b"123456"])

    shelf = Endless(name="shelf")
    got = {item.id: content for item, content in shelf.read_many(items_of(shelf), 3)}
    error = got.pop("book-3")
    assert isinstance(error, SourceError)
    assert error.code == "changed_during_read"
    assert all(isinstance(content, Content) for content in got.values())


def test_relist_checks_nothing() -> None:
    """By default a retry collects the item as it is then."""
    item = Item("a", "a", size=3, etag="x", failure=Failure("timeout", "late [a]"))
    assert list(Shelf(name="shelf").relist(item)) == [Item("a", "a")]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (PermissionError(errno.EACCES, "no"), "access_denied"),
        (PermissionError("no"), "access_denied"),
        (FileNotFoundError(errno.ENOENT, "gone"), "not_found"),
        (FileNotFoundError("gone"), "not_found"),
        (NotADirectoryError(errno.ENOTDIR, "x"), "not_found"),
        (OSError(errno.ESTALE, "stale"), "not_found"),
        (OSError(errno.EIO, "bad disk"), "read_error"),
        (OSError("whatever"), "read_error"),
        (TimeoutError("slow"), "timeout"),
        (OSError(errno.ETIMEDOUT, "slow"), "timeout"),
        (ConnectionResetError(errno.ECONNRESET, "reset"), "connection_lost"),
        (ConnectionError("reset"), "connection_lost"),
        (socket.gaierror(socket.EAI_NONAME, "no such host"), "connection_lost"),
        (OSError(errno.EHOSTUNREACH, "far"), "connection_lost"),
        (OSError(errno.EMFILE, "too many"), "unexpected_error"),
        (SourceError("Odd. [x]", code="archived_object"), "archived_object"),
    ],
)
def test_classifies(error: Exception, code: str) -> None:
    """The operating system's errors give codes, and the message ends in the item."""
    failure = Shelf(name="shelf").classify(error, Item("a", "dir/a"))
    assert failure is not None
    assert failure.code == code
    if not isinstance(error, SourceError):
        assert failure.message.endswith("/dir/a]")


@pytest.mark.parametrize("error", [ValueError("x"), OSError(errno.ENOSPC, "full"), OSError(errno.EROFS, "read-only")])
def test_does_not_claim_what_is_not_the_sources(error: Exception) -> None:
    """Other errors, and errors of writing, do not count as the source's."""
    assert Shelf(name="shelf").classify(error) is None
