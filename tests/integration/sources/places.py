"""Places in which sources have items, how faults are caused there, and what a collection of one is."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import ClassVar, Literal, cast

from prefect_collect.blocks import DataSource
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.sources import Item, ListingEnd, Overlap, Source
from prefect_collect.sources.listing import items_of
from prefect_collect.statuses import JobStatus
from prefect_collect.stores import DirectoryStore, Store
from tests.support.run_attempts import attempt, check_account, new_job, unsuccessful

Fault = Literal["listing", "item", "credentials", "hang", "restart"]
STREAMED = 20 << 20
"""The bytes from which an item gets a segment of its own in these tests: more than any source reads ahead."""

LARGE = STREAMED + 12_345
MANY = 10_000
HUGE = 5_000_000_000
MOST_MEMORY = 300
"""MiB that a job may take, whatever it collects: read ahead are 64 MiB."""

NAMES = [
    "plain", "with space", "ünïcödé", "日本語", "a+b&c=d?e#f", "100%", "%2F", "quote'\"", "new\nline", "tab\t",
    "semi;colon", "back\\slash", "=cmd|' calc'!A0", "~", "~x", "-rf", "*", "$HOME", "`id`", "@SUM(A1)", "...",
    "bytes:x", "x" * 200, "C:drive", ".hidden",
]  # fmt: skip


def patterned(size: int) -> bytes:
    """Return bytes in which a shift of any length is found."""
    block = bytes(range(251)) * 4_001
    return (block * (size // len(block) + 1))[:size]


class Place(ABC):
    """Where the items of a test are, as who changes them sees it. Every place is empty at first."""

    many: ClassVar[int] = 1_000
    """The items of the test of many, but in `make large`; fewer where each takes long."""
    cut: ClassVar[int] = 300
    """The items of the test of a listing that is cut; fewer where each takes long."""
    restarted: ClassVar[int] = 20
    """The items of the test of a restart; fewer where each takes long to fail."""
    refused: ClassVar[frozenset[str]] = frozenset()
    """Names that the server cannot hold."""

    @abstractmethod
    def source(self) -> DataSource:
        """Return a source that collects the place."""

    @abstractmethod
    def put(self, name: str, data: bytes) -> None:
        """Create or replace an item, which then has another time, or another mark of its version, than before."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove an item."""

    def id_of(self, name: str) -> str:
        """Return the id of an item."""
        return name

    def put_many(self, count: int) -> None:
        """Create items ``m/00000`` and so on, whose content is their name."""
        for number in range(count):
            self.put(f"m/{number:05d}", b"m/%05d" % number)

    def put_huge(self, name: str, size: int) -> None:
        """Create an item of so many zeros, which are not all in memory."""
        raise NotImplementedError(name, size)

    def has_met_a_fault(self) -> bool:
        """Return whether a fault was met, as far as the place knows."""
        return True

    def broken(self, fault: Fault) -> AbstractContextManager[None]:
        """Cause a fault, which is over at the end of the `with` block; raise AssertionError if nothing met it.

        ``listing``: the next listing is cut in the middle, once. ``item``: the next item breaks off within its bytes,
        once. ``credentials``: they are accepted no more. ``hang``: the next item never ends. ``restart``: the server
        is down.
        """
        raise NotImplementedError(fault)


def read(source: DataSource, item: Item) -> bytes:
    """Return the bytes of an item, with the checks that its source makes at the end."""
    with source.open(item) as content:
        data = b"".join(content.chunks)
        if content.finish is not None:
            content.finish()
    return data


def by_path(source: DataSource) -> dict[str, Item]:
    """Return the items of a proven listing that can be read, by their paths."""
    return {item.path: item for item in items_of(source) if item.skipped is None}


def collected(tmp_path: Path, source: DataSource) -> tuple[JobFolder, JobStatus]:
    """Collect a source by one attempt, whose account is right; return the job's folder and status."""
    folder = new_job(DirectoryStore(tmp_path / "store"), source)
    result = attempt(folder, source)
    check_account(folder)
    return folder, result.status


def failures(folder: JobFolder) -> set[str]:
    """Return the codes of the items that were to be collected and were not."""
    return {row["error_code"] for row in unsuccessful(folder).values() if row["outcome"] != "skipped"}


@cache
def hash_of_zeros(size: int) -> bytes:
    """Return the SHA-256 of so many zeros."""
    digest, block = hashlib.sha256(), bytes(10_000_000)
    for _ in range(size // len(block)):
        digest.update(block)
    digest.update(bytes(size % len(block)))
    return digest.digest()


def listed_before(source: DataSource, items: list[Item], then: Callable[[], object] = lambda: None) -> Source:
    """Return the source as one that lists what was listed before; then something happens to it."""
    return cast(Source, _ListedBefore(source, items, then))


@contextmanager
def broken_once_listed(place: Place, fault: Fault, source: DataSource, items: list[Item]) -> Iterator[Source]:
    """Yield the source of a place as one that lists what was listed before; the fault is caused then, and ends here."""
    with ExitStack() as stack:
        yield listed_before(source, items, lambda: stack.enter_context(place.broken(fault)))


class _ListedBefore:
    """A source that lists what was listed before; then something happens to it."""

    def __init__(self, source: DataSource, items: list[Item], then: Callable[[], object]) -> None:
        self._source, self._items, self._then = source, items, then
        self.name = source.name

    def items(self) -> Iterator[Item | ListingEnd]:
        """Yield what was listed."""
        yield from self._items
        yield ListingEnd("it was listed before")

    def overlap(self, store: Store) -> Overlap | None:
        """Compare the source with the store; then it happens."""
        found = self._source.overlap(store)
        self._then()
        return found

    def __getattr__(self, name: str) -> object:
        return getattr(self._source, name)
