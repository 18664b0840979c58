"""What a connection to a database does for its reader, whatever the database is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from time import monotonic
from typing import Any, ClassVar, Final

from prefect_collect.connectors.sql.access import Access
from prefect_collect.connectors.sql.tables import Key, Shape, Slice, Table
from prefect_collect.connectors.sql.watch import watched
from prefect_collect.errors import CollectError, SourceError
from prefect_collect.threads.stop import current_stop

BLOCK_BYTES: Final = 8 << 20
"""Bytes of CSV of which a row group is made: blocks end at the same rows whenever the rows are the same."""

BLOCK_ROWS: Final = 1 << 17

Block = tuple[int, bytes]
"""Rows, and their CSV: every value in quotes, NULL as nothing, lines ended by LF; no header."""


class Session(ABC):
    """One connection, in one transaction that only reads. One thread at a time uses it.

    Attributes:
        shares: Whether another session can join its snapshot.
        is_usable: Whether the connection is whole.
        waiting_since: When the database was asked, or last sent something; None while it is not asked.
    """

    shares: ClassVar[bool] = False
    _connection: Any
    """The driver's connection."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self.is_usable = True
        self.waiting_since: float | None = None
        self.timed_out = False

    @abstractmethod
    def begin(self, *, locks: bool) -> str:
        """Begin the transaction, which sees one snapshot, and return the snapshot's name, for `join`.

        With `locks`, the tables keep their structure to its end, where the database can do that without keeping
        writers out.
        """

    def join(self, name: str) -> None:
        """Begin the transaction in a snapshot of another session. Raise SourceError if it is gone."""
        raise NotImplementedError

    def can_read(self, table: Table) -> bool:
        """Return whether a session that joined a snapshot can read a table without waiting for a lock."""
        return True

    @abstractmethod
    def tables(self) -> list[Table]:
        """Return the tables to read, in the order of their names."""

    @abstractmethod
    def shape(self, table: Table) -> Shape:
        """Return what must be known of a table to read it; the database counts its rows."""

    @abstractmethod
    def key_at(self, shape: Shape, after: Key | None, number: int) -> Key | None:
        """Return the key of the row with that number (from 1) after a key; None if there are fewer."""

    @abstractmethod
    def count_after(self, shape: Shape, after: Key | None) -> int:
        """Return how many rows have a key above that one."""

    @abstractmethod
    def rows(self, shape: Shape, part: Slice) -> Iterator[bytes | memoryview]:
        """Yield each row of a slice as a line of CSV."""

    @abstractmethod
    def ddl(self, table: Table) -> str:
        """Return the SQL that makes the table, as the database says it."""

    @abstractmethod
    def interrupt(self) -> None:
        """End what the database is asked by another thread, which then gets an error; never waits."""

    @abstractmethod
    def failure(self, error: Exception) -> SourceError | None:
        """Return the error of an exception of the driver; None for another exception."""

    def close(self) -> None:
        """Close the connection; one that is in use is interrupted, so that its thread ends. Never waits."""
        if self.waiting_since is not None:
            self.interrupt()
        else:
            with suppress(Exception):
                self._connection.close()

    def blocks(self, shape: Shape, part: Slice) -> Iterator[Block]:
        """Yield the rows of a slice in blocks, each of at most one row more than `BLOCK_BYTES`."""
        rows = self.rows(shape, part)
        with _closing(rows):
            while True:
                with self.asking():
                    held: list[bytes | memoryview] = []
                    size = 0
                    for row in rows:
                        held.append(row)
                        size += len(row)
                        if size >= BLOCK_BYTES or len(held) >= BLOCK_ROWS:
                            break
                        if not len(held) & 1023:
                            self.waiting_since = monotonic()
                    block = len(held), b"".join(held)
                if not held:
                    return
                yield block

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Watch what the database is asked here: its exceptions become SourceErrors, and a cancel interrupts it.

        Raise SourceError, JobCanceled.
        """
        stop = current_stop()
        stop.require_going()
        self.waiting_since = monotonic()
        try:
            with watched(self, stop):
                yield
        except Exception as error:
            stop.require_going()
            if self.timed_out:
                self.is_usable = False
                seconds = f"{self.access.read_timeout:g} s"
                raise self.access.error("timeout", f"The database gave nothing for {seconds}") from error
            if isinstance(error, CollectError):
                raise
            known = self.failure(error)
            if known is None:
                raise
            raise known from error
        finally:
            self.waiting_since = None


@contextmanager
def _closing(rows: Iterable[object]) -> Iterator[None]:
    """Close a generator at the end of the `with` block, whatever it raises."""
    try:
        yield
    finally:
        with suppress(Exception):
            rows.close()  # type: ignore[attr-defined]
