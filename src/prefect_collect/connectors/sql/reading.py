"""Reading slices and schemas."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Any, Final

from prefect_collect.connectors.sql.access import KINDS, Access
from prefect_collect.connectors.sql.parquet import Encoder
from prefect_collect.connectors.sql.session import Session
from prefect_collect.connectors.sql.sharing import snapshot_for
from prefect_collect.connectors.sql.snapshots import Snapshot
from prefect_collect.connectors.sql.tables import Named, Shape, Table, named, shown_key
from prefect_collect.errors import SourceError
from prefect_collect.sources import Content, Item

_MOST_TOLD: Final = 200
"""The most columns that an item's metadata names."""


@contextmanager
def opened(access: Access, item: Item) -> Iterator[Content]:
    """Open a slice, whose rows are streamed as Parquet, or a table's schema.

    The content's metadata gets the number of rows and their SHA-256 with the last byte.
    """
    what = named(item.id)
    version, _, count = (item.version or "").partition(":")
    with snapshot_for(access, version) as (snapshot, is_listed):
        with snapshot.session() as session:
            table = snapshot.table(session, what.table)
        if table is None or what.is_folder:
            raise access.error("not_found", "The table is gone", ".".join(what.table))
        said = {"table": table.title, "snapshot": snapshot.title}
        if version and not is_listed:
            said["other_snapshot"] = (
                f"{KINDS[access.dialect]} does not share the one of the listing with other processes"
            )
        stated = item.version if is_listed else None
        with snapshot.session(table) as session:
            if what.is_schema:
                text = session.ddl(table).encode()
                yield Content([text], len(text), version=stated, metadata=said)
                return
            reader = _Reader(snapshot, session, what, table, said, int(count) if count and is_listed else None)
            yield Content(reader.chunks(), version=stated, metadata=reader.said, finish=reader.finish)


class _Reader:
    """Reads one slice; `said` is the metadata, which is complete when the last byte was read."""

    def __init__(
        self,
        snapshot: Snapshot,
        session: Session,
        what: Named,
        table: Table,
        said: dict[str, Any],
        listed: int | None,
    ) -> None:
        self._session, self._part, self._listed = session, what.slice, listed
        self._shape = snapshot.shape(session, table)
        self._place = f"{snapshot.access.place}/{table.title}"
        self._hash = sha256()
        self._rows = 0
        self.said = said | _about(self._shape, what)

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes of the Parquet file."""
        encoder = Encoder(self._shape, self._place)
        for block in self._session.blocks(self._shape, self._part):
            self._rows += block[0]
            self._hash.update(block[1])
            yield from encoder.add(block)
        yield from encoder.end()
        self.said["rows"] = self._rows
        self.said["rows_sha256"] = self._hash.hexdigest()

    def finish(self) -> None:
        """Raise SourceError unless the slice has as many rows as were listed."""
        if self._listed is not None and self._rows != self._listed:
            raise SourceError(
                f"The slice was listed with {self._listed:,} rows, and has {self._rows:,}. [{self._place}]",
                code="changed_during_read",
            )


def _about(shape: Shape, what: Named) -> dict[str, Any]:
    """Return what is said of a slice: its key and bounds, or its order, and which columns are kept as text."""
    said: dict[str, Any] = {}
    if shape.key:
        said["key"] = list(shape.key)
        for name, key in (("after", what.slice.after), ("to", what.slice.to)):
            if key is not None:
                said[name] = shown_key(key)
    else:
        said["order"] = "no key: all columns"
    as_text = {column.name: column.as_text for column in shape.columns if column.as_text}
    if as_text:
        said["as_text"] = dict([*as_text.items()][:_MOST_TOLD])
    if len(as_text) > _MOST_TOLD:
        said["as_text_more"] = len(as_text) - _MOST_TOLD
    if shape.note:
        said["note"] = shape.note
    return said
