"""The rules by which rows of inventory and ledger parts are written, checked when the parts are read.

The custody log vouches for these parts only from the end of their attempt. Until then, and when a process is lost, what
is read may have been written by others who can write to the store.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from prefect_collect.codes import ELSEWHERE
from prefect_collect.job_folder import json_fields, store_keys, table_columns
from prefect_collect.job_folder.manifest_rules import CHECKED, bad_paths, row_faults
from prefect_collect.untrusted.bounded_json import BadValue

_DECIDED: Final = ("failed", "skipped", "not_attempted")
"""Outcomes that a listing can already decide."""

_OUTCOMES: Final = ("succeeded", *_DECIDED)
_CODE: Final = re.compile("[a-z][a-z0-9_]{0,63}")
_LISTED: Final = [field.name for field in table_columns.LISTED]


def is_settled(outcome: str, code: str | None) -> bool:
    """Return whether no retry works on an item again: it succeeded, was skipped, or is elsewhere."""
    return outcome in ("succeeded", "skipped") or (outcome == "not_attempted" and code in ELSEWHERE)


def inventory_fault(inventory: pa.Table) -> str | None:
    """Return what is wrong with the first bad row of an inventory part, in words; None if all rows are possible."""
    decided = inventory["outcome"].drop_null().unique().to_pylist()
    for row in bad_paths(inventory):
        return f"an item has a path that it cannot have ({inventory['item_id'][row].as_py()[:200]})"
    if strange := [outcome for outcome in decided if outcome not in _DECIDED]:
        return f"an outcome is not one that a listing decides ({strange[0][:60]})"
    others = inventory.select(["error_code"]).filter(pc.is_valid(inventory["outcome"]))
    return _fault_of_codes(others) or _fault_of_holders(inventory)


def ledger_fault(ledger: pa.Table) -> str | None:
    """Return what is wrong with the first bad row of a ledger part, in words; None if all rows are possible."""
    if strange := [outcome for outcome in ledger["outcome"].unique().to_pylist() if outcome not in _OUTCOMES]:
        return f"an outcome is unknown ({strange[0][:60]})"
    if ledger.num_rows and pc.min(ledger["tries"]).as_py() < 0:
        return "an item has a negative number of tries"
    others = ledger.select(["error_code"]).filter(pc.not_equal(ledger["outcome"], "succeeded"))
    return _fault_of_codes(others) or _fault_of_holders(ledger)


def staged_fault(ledger: pa.Table, attempt: int, part: int) -> str | None:
    """Return the fault of a collection's ledger part: that of `ledger_fault`, or of where its items are staged."""
    if fault := ledger_fault(ledger):
        return fault
    succeeded = succeeded_rows(ledger, CHECKED).replace_schema_metadata(None)
    for batch in succeeded.to_batches():
        for row, what in row_faults(batch):
            return f"item {batch['item_id'][row].as_py()[:200]}: {what}"
    for name in succeeded["segment"].unique().to_pylist():
        if not store_keys.is_segment_of(name, attempt, part):
            return f"it names a segment that does not belong to its shard ({name[:200]})"
    return None


def succeeded_rows(ledger: pa.Table, columns: Sequence[str] | None = None) -> pa.Table:
    """Return the rows of a ledger part whose items succeeded (usually all), in these columns."""
    succeeded = pc.equal(ledger["outcome"], "succeeded")
    rows = ledger if columns is None else ledger.select(columns)
    return rows if pc.all(succeeded).as_py() else rows.filter(succeeded)


def is_of_inventory(ledger: pa.Table, inventory: pa.Table) -> bool:
    """Return whether a ledger part accounts for exactly the items of the inventory part, as they were listed.

    An item that an earlier attempt listed may have been read with another time of its last change.
    """
    ours, listed = (table.select(_LISTED).replace_schema_metadata(None) for table in (ledger, inventory))
    if ours.num_rows == listed.num_rows and not pc.all(inventory["is_current"]).as_py():
        is_read = pc.and_(pc.invert(inventory["is_current"]), pc.equal(ledger["outcome"], "succeeded"))
        at, column = _LISTED.index("source_modified"), table_columns.INVENTORY.field("source_modified")
        ours = ours.set_column(at, column, pc.if_else(is_read, listed[column.name], ours[column.name]))
    return bool(ours.equals(listed))


def _fault_of_codes(rows: pa.Table) -> str | None:
    """Return what is wrong with the codes of items that did not succeed; codes of later versions are accepted."""
    for code in rows["error_code"].drop_null().unique().to_pylist():
        if _CODE.fullmatch(code) is None:
            return f"an error code has an impossible form ({code[:60]})"
    return None


def _fault_of_holders(rows: pa.Table) -> str | None:
    """Return what is wrong with the ids of earlier jobs that hold items."""
    for job in rows["held_by"].drop_null().unique().to_pylist():
        try:
            json_fields.JOB(job, "held_by")
        except BadValue as error:
            return str(error)
    return None
