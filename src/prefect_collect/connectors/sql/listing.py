"""Listing a database: of each table its schema and its slices, which together are all rows that the table counts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from prefect_collect.codes import Failure
from prefect_collect.connectors.sql.access import KINDS
from prefect_collect.connectors.sql.snapshots import Snapshot
from prefect_collect.connectors.sql.tables import SCHEMA_FILE, Key, Shape, Slice, Table, folder_id, schema_id
from prefect_collect.errors import SourceError
from prefect_collect.sources import Item, Listed, ListingEnd
from prefect_collect.sources.query import Query

_PASSING = frozenset({"connection_lost", "timeout", "bad_credentials", "throttled"})
"""Codes of errors that are not the table's own: they end the listing."""


@dataclass
class _Total:
    tables: int = 0
    rows: int = 0


def listed(snapshot: Snapshot, query: Query | None = None, version: str | None = None) -> Iterator[Listed]:
    """Yield the items of a database, table by table, and the proof that these are all.

    A table that the user may not read, or that cannot be read, is a failed item whose path ends in "/".

    Args:
        snapshot: The snapshot.
        query: Tables in which it takes nothing are left out.
        version: The version of the items, with which they are read in this snapshot; None for any.
    """
    access = snapshot.access
    with snapshot.session() as session:
        tables = snapshot.tables(session)
    for name in access.missing([table.name for table in tables]):
        missing = Table((name,), "table", "")
        yield _failed(missing, access.error("not_found", "There is no such table", name))
    total = _Total()
    for table in tables:
        if query is None or query.may_match_below(table.folder):
            yield from table_items(snapshot, table, version, total)
    yield ListingEnd(
        f"{KINDS[access.dialect]} counted {total.rows:,} rows in {total.tables:,} tables in one snapshot "
        f"({snapshot.title}), and as many are in their slices"
    )


def table_items(
    snapshot: Snapshot, table: Table, version: str | None, total: _Total | None = None, expands: str | None = None
) -> Iterator[Item]:
    """Yield a table's schema and slices; if it cannot be read, or its rows are not those of its slices, a failed item.

    In a retry, where `expands` is the id of that item, an error after the first slice is raised.
    """
    try:
        if table.is_denied:
            raise snapshot.access.error("access_denied", "The user may not read the table", table.title)
        with snapshot.session(table) as session:
            shape = snapshot.shape(session, table)
    except SourceError as error:
        if _ends_listing(snapshot, error):
            raise
        yield _failed(table, error, expands)
        return
    yield Item(schema_id(table.name), f"{table.folder}{SCHEMA_FILE}", version=version, expands=expands)
    rows = 0
    try:
        for number, (part, count) in enumerate(_slices(snapshot, shape)):
            rows += count
            yield Item(
                part.id,
                f"{table.folder}{number:05d}.parquet",
                version=f"{version}:{count}" if version else None,
                expands=expands,
            )
        if rows != shape.count:
            what = f"The table has {shape.count:,} rows, and its slices {rows:,}"
            raise snapshot.access.error("enumeration_failed", what, table.title)
    except SourceError as error:
        if expands is not None or _ends_listing(snapshot, error):
            raise
        yield _failed(table, error)
        return
    if total is not None:
        total.tables += 1
        total.rows += rows


def _ends_listing(snapshot: Snapshot, error: SourceError) -> bool:
    """Return whether an error is not a table's own."""
    return error.code in _PASSING or snapshot.is_over


def _slices(snapshot: Snapshot, shape: Shape) -> Iterator[tuple[Slice, int]]:
    """Yield the slices of a table, each with its number of rows; a table without a key is one slice."""
    name, size = shape.table.name, snapshot.access.rows
    if not shape.key:
        yield Slice(name), shape.count
        return
    after: Key | None = None
    left = shape.count
    while left > size:
        with snapshot.session(shape.table) as session:
            to = session.key_at(shape, after, size)
        if to is None:
            break
        yield Slice(name, after, to), size
        after, left = to, left - size
    with snapshot.session(shape.table) as session:
        count = session.count_after(shape, after)
    yield Slice(name, after), count


def _failed(table: Table, error: SourceError, expands: str | None = None) -> Item:
    why = Failure(error.code, str(error))
    return Item(folder_id(table.name), table.folder, failure=why, expands=expands)
