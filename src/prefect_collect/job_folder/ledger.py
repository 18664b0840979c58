"""Inventory and ledger parts: the items of a shard, and the outcome of each."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from prefect_collect.archive.item_paths import safe_path
from prefect_collect.codes import CODES, ELSEWHERE, Failure
from prefect_collect.errors import CorruptPart, KeyMissing
from prefect_collect.job_folder import json_fields, store_keys, table_columns
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.job_folder.ledger_rules import inventory_fault, ledger_fault, staged_fault, succeeded_rows
from prefect_collect.job_folder.parquet import part_bytes, read_part
from prefect_collect.sources import Item
from prefect_collect.sources.created import known_creation
from prefect_collect.stores import Blob, Buffer
from prefect_collect.untrusted.bounded_json import BadValue, parse_json

_SEGMENTS = b"segments"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_OF_ITEMS = [name for name in table_columns.INVENTORY.names if name not in table_columns.ADDED]


def inventory_table(items: Sequence[Item], custodians: Sequence[str | None] | None = None) -> pa.Table:
    """Return the items as rows of an inventory part, with the safe path and the custodian of each."""
    decided = [item.unread for item in items]
    outcomes = [item.outcome for item in items]
    columns: list[list[Any]] = [
        [i.id for i in items],
        [safe_path(i.path, i.id) for i in items],
        [_text(i.path) for i in items],
        [i.size for i in items],
        [i.modified for i in items],
        [i.etag for i in items],
        [i.version for i in items],
        [None] * len(items) if custodians is None else [*custodians],
        outcomes,
        [d and d.code for d in decided],
        [d and d.message for d in decided],
        [d and d.http_status for d in decided],
        [i.expands for i in items],
        [i.failed_since for i in items],
        [i.is_current for i in items],
        [known_creation(i.created) for i in items],
    ]
    arrays = [pa.array(column, field.type) for column, field in zip(columns, table_columns.INVENTORY, strict=False)]
    arrays += [pa.nulls(len(items), field.type) for field in list(table_columns.INVENTORY)[len(columns) :]]
    return pa.Table.from_arrays(arrays, schema=table_columns.INVENTORY)


def _text(path: str) -> str:
    """Return a path as text that UTF-8 can hold; lone surrogates (undecodable bytes) are escaped."""
    return path if path.isascii() else path.encode("utf-8", "backslashreplace").decode()


def table_items(table: pa.Table) -> list[Item]:
    """Return the items of an inventory part; `path` is the source's own."""
    rows = zip(*(time_values(table[name]) for name in _OF_ITEMS), strict=True)
    items = []
    for id_, _, path, size, modified, etag, version, outcome, code, message, status, expands, since, is_current in rows:
        why = Failure(code, message, status) if outcome else None
        items.append(
            Item(
                id_, path, size, modified, etag, version,
                skipped=why if outcome == "skipped" else None,
                failure=why if outcome == "failed" else None,
                elsewhere=why if outcome == "not_attempted" else None,
                expands=expands,
                failed_since=since,
                is_current=is_current,
            )
        )  # fmt: skip
    return items


def time_values(column: pa.ChunkedArray) -> list[Any]:
    """Return a column as Python's values; Arrow itself takes six times as long for times."""
    if not pa.types.is_timestamp(column.type) or column.null_count == len(column):
        return column.to_pylist()  # type: ignore[no-any-return]
    since_epoch = column.cast(pa.int64()).to_pylist()
    return [None if count is None else _EPOCH + timedelta(microseconds=count) for count in since_epoch]


def ledger_table(columns: dict[str, Any]) -> pa.Table:
    """Return a ledger part made of lists or Arrow arrays; a column of `ADDED` that is left out is null."""
    for name in table_columns.ADDED.intersection(table_columns.LEDGER.names):
        columns.setdefault(name, pa.nulls(len(columns["item_id"]), table_columns.LEDGER.field(name).type))
    arrays = [
        column
        if isinstance(column := columns[field.name], pa.Array | pa.ChunkedArray)
        else pa.array(column, field.type)
        for field in table_columns.LEDGER
    ]
    return pa.Table.from_arrays(arrays, schema=table_columns.LEDGER)


def ledger_bytes(table: pa.Table, segments: Iterable[Blob]) -> Buffer:
    """Return the ledger part as a file, with size and ETag of the shard's segments, by which they are recognised."""
    described = {blob.key: [blob.size, blob.etag] for blob in segments}
    return part_bytes(table.replace_schema_metadata({_SEGMENTS: json.dumps(described).encode()}))


def recorded_segments(schema: pa.Schema) -> dict[str, Blob]:
    """Return the segments, by name, that a ledger part with this schema (and its metadata) was committed with.

    Raise CorruptPart.
    """
    metadata = (schema.metadata or {}).get(_SEGMENTS, b"{}")
    try:
        found = parse_json(metadata, json_fields.SEGMENTS)
    except BadValue as error:
        raise CorruptPart(f"A ledger part's list of segments cannot be understood: {error}.") from error
    return {key: Blob(key, size, etag) for key, (size, etag) in found.items()}


def read_ledger(folder: JobFolder, attempt: int, part: int) -> pa.Table | None:
    """Return what a shard of a collection committed; None if it did not. Raise CorruptPart (damaged or forged)."""
    key = store_keys.ledger_key(folder.job_id, attempt, part)
    try:
        table = read_part(folder.store, key)
    except KeyMissing:
        return None
    recorded_segments(table.schema)
    return _required(folder, key, table, staged_fault(table, attempt, part))


def read_export_ledger(folder: JobFolder, attempt: int, part: int) -> pa.Table:
    """Return a ledger part of an export. Raise KeyMissing, CorruptPart if the file is damaged or forged."""
    key = store_keys.ledger_key(folder.job_id, attempt, part)
    table = read_part(folder.store, key)
    return _required(folder, key, table, ledger_fault(table))


def read_inventory(folder: JobFolder, attempt: int, part: int) -> pa.Table:
    """Return the items of one shard. Raise KeyMissing, CorruptPart if the file is damaged or forged."""
    key = store_keys.inventory_key(folder.job_id, attempt, part)
    table = read_part(folder.store, key)
    return _required(folder, key, table, inventory_fault(table))


def _required(folder: JobFolder, key: str, table: pa.Table, fault: str | None) -> pa.Table:
    if fault is not None:
        raise CorruptPart(
            f"A file of the job holds what no job writes there: {fault}. Restore it from a backup. "
            f"[{folder.store.locate(key)}]"
        )
    return table


def why_not_attempted(folder: JobFolder, attempt: int, part: int) -> Failure | None:
    """Return why a shard did not attempt the first item that it left; None if it left none.

    Items that are elsewhere are not left. Raise as `read_ledger`.
    """
    table = read_ledger(folder, attempt, part)
    if table is None:
        return None
    left = table.filter(pc.equal(table["outcome"], "not_attempted"))
    left = left.filter(pc.invert(pc.is_in(left["error_code"], pa.array(sorted(ELSEWHERE), pa.string()))))
    if not left.num_rows:
        return None
    code, message, status = (left[name][0].as_py() for name in ("error_code", "message", "http_status"))
    return Failure(code, message, status) if code in CODES else None


def batches(table: pa.Table) -> Iterator[pa.RecordBatch]:
    """Yield the table's rows without its metadata."""
    yield from table.replace_schema_metadata(None).to_batches()


def held_before(inventory: pa.Table) -> dict[int, tuple[str, bytes]]:
    """Return, by row, the earlier job that holds the item, and the item's SHA-256 there."""
    if inventory["held_by"].null_count == inventory.num_rows:
        return {}
    rows = zip(inventory["held_by"].to_pylist(), inventory["held_sha256"].to_pylist(), strict=True)
    return {row: (job, sha256) for row, (job, sha256) in enumerate(rows) if job is not None}


def manifest_rows(table: pa.Table, attempt: int) -> list[pa.RecordBatch]:
    """Return the items of a ledger part that succeeded, in the columns of `table_columns.MANIFEST`."""
    rows = succeeded_rows(table, table_columns.MANIFEST.names[:-1])
    column = pa.array([attempt] * rows.num_rows, pa.int16())
    rows = rows.append_column(table_columns.MANIFEST.field("attempt"), column)
    return rows.replace_schema_metadata(None).cast(table_columns.MANIFEST).to_batches()  # type: ignore[no-any-return]
