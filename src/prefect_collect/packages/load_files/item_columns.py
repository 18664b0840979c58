"""The columns of items.parquet, the exact list of a load file package's items."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from prefect_collect.formats.facts import FAMILY_RANGE
from prefect_collect.packages.building.duplicate_columns import DUPLICATE_OF
from prefect_collect.sources.metadata import CREATED

ITEMS_SCHEMA: Final = pa.schema(
    [
        pa.field("control_number", pa.string()),
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("outcome", pa.string(), nullable=False),
        pa.field("original_path", pa.string()),
        pa.field("custodian", pa.string()),
        pa.field("native_path", pa.string()),
        pa.field("text_path", pa.string()),
        pa.field("size", pa.int64()),
        pa.field("sha256", pa.string()),
        pa.field("error_code", pa.string()),
        pa.field("message", pa.string()),
        pa.field(DUPLICATE_OF, pa.string()),
        pa.field(CREATED, pa.string()),
        pa.field("family", pa.string()),
        *(pa.field(name, pa.string()) for name in FAMILY_RANGE),
    ]
)
"""The columns of items.parquet; an item that is not delivered has no paths, but its number if it is held."""

FAMILY_COLUMNS: Final = frozenset({"family", *FAMILY_RANGE})
"""The columns that are there only if an item states a family."""

ITEMS_OPTIONAL: Final = FAMILY_COLUMNS | {"custodian", DUPLICATE_OF, CREATED}
"""The columns that packages of earlier versions lack; those of families and of creation are there only if stated."""


def items_schema(*, has_families: bool, has_created: bool) -> pa.Schema:
    """Return the columns of a package in which an item states a family or a time of creation, or none does."""
    unstated = {*(() if has_families else FAMILY_COLUMNS), *(() if has_created else (CREATED,))}
    return pa.schema([one for one in ITEMS_SCHEMA if one.name not in unstated])
