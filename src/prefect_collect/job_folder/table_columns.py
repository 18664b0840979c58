"""The columns of every Parquet file of a job.

Paths and ids are UTF-8 text; sizes and offsets are bytes; times are UTC microseconds; hashes are raw bytes.
"""

from __future__ import annotations

from typing import Final

import pyarrow as pa

_TIME = pa.timestamp("us", tz="UTC")

LISTED: Final = [
    pa.field("item_id", pa.string(), nullable=False),
    pa.field("path", pa.string(), nullable=False),
    pa.field("original_path", pa.string(), nullable=False),
    pa.field("source_size", pa.int64()),
    pa.field("source_modified", _TIME),
    pa.field("source_etag", pa.string()),
    pa.field("source_version", pa.string()),
    pa.field("custodian", pa.string()),
]
"""What the source's listing gives of an item, and its custodian; `path` is the safe path, `original_path` the source's.

`custodian` is null if it is not known.
"""

FAILED: Final = [
    pa.field("error_code", pa.string()),
    pa.field("message", pa.string()),
    pa.field("http_status", pa.int16()),
]
"""Why an item did not succeed."""

HELD: Final = [
    pa.field("size", pa.int64()),
    pa.field("sha256", pa.binary(32)),
    pa.field("crc32", pa.uint32()),
    pa.field("segment", pa.string()),
    pa.field("entry_offset", pa.int64()),
    pa.field("offset", pa.int64()),
    pa.field("stored_size", pa.int64()),
    pa.field("deflated", pa.bool_()),
    pa.field("collected_at", _TIME),
    pa.field("md5", pa.binary(16)),
    pa.field("sha1", pa.binary(20)),
]
"""What a staged item is, and where: `entry_offset` is its ZIP local header's, `offset` its first (stored) byte's.

`md5` and `sha1` are null unless the job was asked for them.
"""

DESCRIBED: Final = pa.field("metadata", pa.string())
"""What the source states of a staged item beside its bytes, as a JSON object; null if nothing."""

INVENTORY: Final = pa.schema(
    [
        *LISTED,
        pa.field("outcome", pa.string()),
        *FAILED,
        pa.field("expands", pa.string()),
        pa.field("failed_since", _TIME),
        pa.field("is_current", pa.bool_(), nullable=False),
        pa.field("source_created", _TIME),
        pa.field("held_sha256", pa.binary(32)),
        pa.field("held_by", pa.string()),
    ]
)
"""Items found. `outcome` is set (failed, skipped, not_attempted) for those that the listing already decided.

In an incremental collection, `held_by` is the earlier job that holds the item as it was then, and `held_sha256` the
item's hash there. `source_created` is when the source says that the item was created; the ledger and the manifest have
it in `metadata`.
"""

LEDGER: Final = pa.schema(
    [
        *LISTED,
        pa.field("outcome", pa.string(), nullable=False),
        *FAILED,
        pa.field("tries", pa.int16(), nullable=False),
        pa.field("first_failed_at", _TIME),
        pa.field("last_failed_at", _TIME),
        *HELD,
        pa.field("held_by", pa.string()),
        DESCRIBED,
        pa.field("source_created", _TIME),
    ]
)
"""One row per item of the inventory part: its outcome. `held_by` and `source_created` are the inventory's.

`source_modified` is the inventory's, too, except for an item that a retry read as an earlier attempt had listed it:
then it is what the source stated when the item was opened, if it stated a time.
"""

ADDED: Final = frozenset({"held_sha256", "held_by", "metadata", "md5", "sha1", "custodian", "source_created", "family"})
"""Columns that files of earlier versions lack; they are read as null."""

LISTED_FACTS: Final = ("source_modified", "source_created", "source_etag", "source_version")
"""The columns of an error report that tell what the listing stated of an item, beside its size."""

MANIFEST: Final = pa.schema([*LISTED, *HELD, DESCRIBED, pa.field("attempt", pa.int16(), nullable=False)])
"""One row per item held."""

ERRORS: Final = pa.schema(
    [
        pa.field("job_id", pa.string(), nullable=False),
        pa.field("job_kind", pa.string(), nullable=False),
        pa.field("attempt", pa.int16(), nullable=False),
        pa.field("item_id", pa.string()),
        pa.field("path", pa.string()),
        pa.field("outcome", pa.string(), nullable=False),
        *FAILED[:1],
        pa.field("category", pa.string()),
        pa.field("message", pa.string()),
        pa.field("suggested_action", pa.string()),
        pa.field("who_must_act", pa.string()),
        pa.field("retryable", pa.bool_()),
        pa.field("tries", pa.int16()),
        FAILED[2],
        pa.field("size", pa.int64()),
        pa.field("first_failed_at", _TIME),
        pa.field("last_failed_at", _TIME),
        pa.field("custodian", pa.string()),
        *(LEDGER.field(name) for name in LISTED_FACTS),
    ]
)
"""The error report: one row per item that did not succeed; a row about the whole job has no item_id."""


def added_to(schema: pa.Schema) -> frozenset[str]:
    """Return the columns that a file of this schema lacks if an earlier version wrote it; they are read as null."""
    return ADDED.union(LISTED_FACTS) if schema is ERRORS else ADDED


NUMBERS: Final = pa.schema(
    [
        pa.field("source", pa.string(), nullable=False),
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("sha256", pa.binary(32)),
        pa.field("number", pa.int64(), nullable=False),
        pa.field("family", pa.binary(16)),
    ]
)
"""Of an export as a load file: the control number of each item of a source with these bytes, also of those that the
exports before it numbered which it continues; and what stands for its family, a column that is there only if items
state families."""
