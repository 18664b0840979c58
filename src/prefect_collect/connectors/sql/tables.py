"""What a database is made of: tables, their columns and keys, and the slices that are items."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from prefect_collect.errors import SourceError

Key = tuple[str | int | float | bytes, ...]
"""The values of a table's key in one row."""

QUERY: Final = ("query",)
"""The name of the table that a source's own query makes."""

SCHEMA_FILE: Final = "schema.sql"


@dataclass(frozen=True, slots=True)
class Table:
    """A table, a view, or a source's query.

    Attributes:
        name: Its schema, if the database has schemas, and its name.
        kind: ``table``, ``view`` or ``query``.
        relation: Its name, or the query, as SQL reads from it.
        is_denied: Whether the user may not read it.
    """

    name: tuple[str, ...]
    kind: str
    relation: str
    is_denied: bool = False

    @property
    def folder(self) -> str:
        """The path of the folder of its items; it ends in "/"."""
        return "".join(f"{part.replace('/', '_')}/" for part in self.name)

    @property
    def title(self) -> str:
        """Its name for users."""
        return ".".join(self.name)


@dataclass(frozen=True, slots=True)
class Column:
    """A column, and how its values are read.

    Attributes:
        name: Its name.
        type: Arrow's type of its values.
        select: The SQL expression that reads it.
        is_hex: Whether the database gives its bytes as hexadecimal digits.
        as_text: The database's type, and why its values are kept as text; "" if they have an exact type.
    """

    name: str
    type: pa.DataType
    select: str
    is_hex: bool = False
    as_text: str = ""


@dataclass(frozen=True, slots=True)
class Shape:
    """What must be known of a table to read it.

    Attributes:
        table: The table.
        columns: Its columns.
        key: The names of the columns of its key, none of which is NULL and by which it is sliced; empty if it has none.
        key_sql: The same as SQL: an expression and the type of each.
        order: The SQL of ORDER BY.
        count: The rows that the database counts.
        note: Why the table is not read in the snapshot; "" if it is.
    """

    table: Table
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    key_sql: tuple[tuple[str, str], ...]
    order: str
    count: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class Slice:
    """The rows of a table whose key is above `after` and up to `to`; None stands for no bound."""

    table: tuple[str, ...]
    after: Key | None = None
    to: Key | None = None

    @property
    def id(self) -> str:
        """The item's id, which names the slice without loss."""
        said: dict[str, Any] = {"table": list(self.table)}
        said |= {"after": _json(self.after)} if self.after is not None else {}
        return _text(said | ({"to": _json(self.to)} if self.to is not None else {}))


def schema_id(table: tuple[str, ...]) -> str:
    """Return the id of a table's schema."""
    return _text({"schema": list(table)})


def folder_id(table: tuple[str, ...]) -> str:
    """Return the id of a table that could not be listed."""
    return _text({"failed": list(table)})


@dataclass(frozen=True, slots=True)
class Named:
    """What an item's id names: a slice of a table, its schema, or (`is_folder`) a table that could not be listed."""

    slice: Slice
    is_schema: bool = False
    is_folder: bool = False

    @property
    def table(self) -> tuple[str, ...]:
        """The table's name."""
        return self.slice.table


def named(item_id: str) -> Named:
    """Return what an item's id names. Raise SourceError (`not_found`) if it is no id of this kind of source."""
    try:
        said = json.loads(item_id)
        for kind in ("table", "schema", "failed"):
            if kind in said:
                name = tuple(str(part) for part in said[kind])
                part = Slice(name, _key(said.get("after")), _key(said.get("to")))
                return Named(part, kind == "schema", kind == "failed")
    except (ValueError, TypeError, AttributeError):
        pass
    raise SourceError(f"This is not the id of a table's slice. [{item_id[:200]}]", code="not_found")


def _text(said: dict[str, Any]) -> str:
    return json.dumps(said, ensure_ascii=False, separators=(",", ":"))


def _json(key: Key) -> list[Any]:
    return [{"hex": value.hex()} if isinstance(value, bytes) else value for value in key]


def _key(said: Any) -> Key | None:
    if said is None:
        return None
    return tuple(bytes.fromhex(value["hex"]) if isinstance(value, dict) else value for value in said)


def shown_key(key: Key | None) -> list[Any] | None:
    """Return a key for an item's metadata."""
    return None if key is None else _json(key)
