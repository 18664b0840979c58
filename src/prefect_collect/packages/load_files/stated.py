"""What the lists of another system's export say of an item, beside what its source states itself."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

import pyarrow as pa

from prefect_collect.connectors.foreign_exports.facts import FACT_NAMES, fact_of, listed_facts

_OF_ITEMS: Final = tuple(name for name in FACT_NAMES if name != "size")
"""The facts that are taken of a list; the size of an item that is there is that of its bytes."""

_FAMILY: Final[Mapping[str, tuple[str, ...]]] = {"item": ("fileid",), "parent": ("parentid",)}
"""What a list calls an item, and the item that it is a part of."""


class StatedFamily(NamedTuple):
    """What a source states of an item's family: its name, what it calls the item, and the item's parent ("": none)."""

    name: str
    item: str
    parent: str


def stated_family(found: dict[str, Any]) -> StatedFamily | None:
    """Return the family that a source states of an item; None if it states none.

    A source of one's own states ``family``, and may state ``file_id`` and ``parent_id``, as Purview's list does.
    """
    listed = listed_facts(found)
    name = found.get("family")
    name = fact_of(listed, "family") if name in (None, "", []) else name
    if name in (None, ""):
        return None
    item, parent = (
        found.get(own) or next(filter(None, map(listed.get, _FAMILY[what])), "")
        for what, own in (("item", "file_id"), ("parent", "parent_id"))
    )
    return StatedFamily(str(name), str(item), str(parent))


def with_listed(found: dict[str, Any]) -> dict[str, Any]:
    """Return what a source states of an item, and what a list says of it that the source does not state itself."""
    listed = listed_facts(found)
    if not listed:
        return found
    more = {fact: value for fact in _OF_ITEMS if (value := fact_of(listed, fact))}
    if "date" in more and not _is_time(more["date"]):
        more["date_text"] = more.pop("date")
    return {**more, **{name: value for name, value in found.items() if value not in (None, "", [])}}


def listed_custodian(found: dict[str, Any]) -> object:
    """Return whose an item is as a list of another system's export says; None if no list says it."""
    return fact_of(listed_facts(found), "custodian")


def with_custodians(batch: pa.RecordBatch, custodians: list[str]) -> pa.RecordBatch:
    """Return a batch of the manifest in which items without a custodian have the one that a list says, if any."""
    known = [one or other or None for one, other in zip(batch["custodian"].to_pylist(), custodians, strict=True)]
    column = batch.schema.get_field_index("custodian")
    return batch.set_column(column, batch.schema.field(column), pa.array(known, pa.string()))


def _is_time(value: object) -> bool:
    try:
        return isinstance(value, str) and datetime.fromisoformat(value) is not None
    except ValueError:
        return False
