"""The rules that the rows of inventory and ledger parts were written by, held against them when they are read.

Only the end of an attempt makes the custody log vouch for its parts. Until then, and where its process is lost, others
may have written to the store what is read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from prefect_collect.job_folder import json_fields, store_keys, table_columns
from prefect_collect.job_folder.manifest_rules import CHECKED, bad_paths, row_faults
from prefect_collect.untrusted.bounded_json import BadValue

_DECIDED: Final = ("failed", "skipped")
"""Outcomes that a listing can have given already."""

_OUTCOMES: Final = ("succeeded", *_DECIDED, "not_attempted")
_CODE: Final = re.compile("[a-z][a-z0-9_]{0,63}")
_LISTED: Final = [field.name for field in table_columns.LISTED]


def inventory_fault(inventory: pa.Table) -> str | None:
    """What is wrong with the first bad row of an inventory part, in words; None if all can be."""
    decided = inventory["outcome"].drop_null().unique().to_pylist()
    for row in bad_paths(inventory):
        return f"it gives an item a path that it cannot have ({inventory['item_id'][row].as_py()[:200]})"
    if strange := [outcome for outcome in decided if outcome not in _DECIDED]:
        return f"it has an outcome that no listing gives ({strange[0][:60]})"
    others = inventory.select(["error_code"]).filter(pc.is_valid(inventory["outcome"]))
    return _fault_of_codes(others) or _fault_of_holders(inventory)


def ledger_fault(ledger: pa.Table) -> str | None:
    """What is wrong with the first bad row of a ledger part, in words; None if all can be."""
    if strange := [outcome for outcome in ledger["outcome"].unique().to_pylist() if outcome not in _OUTCOMES]:
        return f"it has an outcome that is none ({strange[0][:60]})"
    if ledger.num_rows and pc.min(ledger["tries"]).as_py() < 0:
        return "it has a negative number of tries"
    others = ledger.select(["error_code"]).filter(pc.not_equal(ledger["outcome"], "succeeded"))
    return _fault_of_codes(others) or _fault_of_holders(ledger)


def staged_fault(ledger: pa.Table, attempt: int, part: int) -> str | None:
    """`ledger_fault`, or what is wrong with where a collection's ledger part says that its items are staged."""
    if fault := ledger_fault(ledger):
        return fault
    succeeded = succeeded_rows(ledger, CHECKED).replace_schema_metadata(None)
    for batch in succeeded.to_batches():
        for row, what in row_faults(batch):
            return f"of {batch['item_id'][row].as_py()[:200]}, {what}"
    for name in succeeded["segment"].unique().to_pylist():
        if not store_keys.is_segment_of(name, attempt, part):
            return f"it names a segment that is none of its shard's ({name[:200]})"
    return None


def succeeded_rows(ledger: pa.Table, columns: Sequence[str] | None = None) -> pa.Table:
    """The rows of a ledger part whose items succeeded, which mostly are all, in these columns."""
    succeeded = pc.equal(ledger["outcome"], "succeeded")
    rows = ledger if columns is None else ledger.select(columns)
    return rows if pc.all(succeeded).as_py() else rows.filter(succeeded)


def is_of_inventory(ledger: pa.Table, inventory: pa.Table) -> bool:
    """Whether a ledger part accounts for just the items that the inventory part lists, as they were listed."""
    ours, listed = (table.select(_LISTED).replace_schema_metadata(None) for table in (ledger, inventory))
    return bool(ours.equals(listed))


def _fault_of_codes(rows: pa.Table) -> str | None:
    """What is wrong with the codes of items that did not succeed; those of later versions are taken."""
    for code in rows["error_code"].drop_null().unique().to_pylist():
        if _CODE.fullmatch(code) is None:
            return f"it has an error code that is none ({code[:60]})"
    return None


def _fault_of_holders(rows: pa.Table) -> str | None:
    """What is wrong with the ids of earlier jobs that hold items."""
    for job in rows["held_by"].drop_null().unique().to_pylist():
        try:
            json_fields.JOB(job, "held_by")
        except BadValue as error:
            return str(error)
    return None
