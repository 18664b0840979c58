"""What the lists of another system's export say of an item, under the names that sources use for the same facts.

Names are compared by their letters and digits, without case; of times the first is that of the service, and the last
what the document says of itself. They are those of Google Vault's XML and of Microsoft Purview's ``Items.csv``:
https://support.google.com/vault/answer/6099459 and
https://learn.microsoft.com/purview/edisc-ref-document-metadata-fields
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, NamedTuple

import pyarrow as pa

from prefect_collect.connectors.foreign_exports.edrm_xml import LISTED

_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "from": ("from", "sender", "emailsender", "emailfrom", "senderauthor"),
    "to": ("to", "emailto"),
    "cc": ("cc", "emailcc"),
    "bcc": ("bcc", "emailbcc"),
    "subject": ("subject", "emailsubject", "subjecttitle"),
    "date": ("datesent", "sent", "senttime", "emaildatesent"),
    "message_id": ("messageid", "internetmessageid", "emailinternetmessageid", "emailmessageid"),
    "custodian": ("custodian",),
    "family": ("familyid",),
    "created": ("o365datecreated", "datecreated", "filesystemdatecreated", "docdatecreated"),
    "modified": ("o365datemodified", "datemodified", "filesystemdatemodified", "docdatemodified"),
}
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
    listed = _listed(found)
    name = found.get("family")
    name = _fact(listed, "family") if name in (None, "", []) else name
    if name in (None, ""):
        return None
    item, parent = (
        found.get(own) or next(filter(None, map(listed.get, _FAMILY[what])), "")
        for what, own in (("item", "file_id"), ("parent", "parent_id"))
    )
    return StatedFamily(str(name), str(item), str(parent))


def with_listed(found: dict[str, Any]) -> dict[str, Any]:
    """Return what a source states of an item, and what a list says of it that the source does not state itself."""
    listed = _listed(found)
    if not listed:
        return found
    more = {fact: value for fact in _NAMES if (value := _fact(listed, fact))}
    if "date" in more and not _is_time(more["date"]):
        more["date_text"] = more.pop("date")
    return {**more, **{name: value for name, value in found.items() if value not in (None, "", [])}}


def listed_custodian(found: dict[str, Any]) -> object:
    """Return whose an item is as a list of another system's export says; None if no list says it."""
    return _fact(_listed(found), "custodian")


def with_custodians(batch: pa.RecordBatch, custodians: list[str]) -> pa.RecordBatch:
    """Return a batch of the manifest in which items without a custodian have the one that a list says, if any."""
    known = [one or other or None for one, other in zip(batch["custodian"].to_pylist(), custodians, strict=True)]
    column = batch.schema.get_field_index("custodian")
    return batch.set_column(column, batch.schema.field(column), pa.array(known, pa.string()))


def _listed(found: dict[str, Any]) -> dict[str, Any]:
    return {_plain(name): value for name, value in found.items() if name.startswith(LISTED)}


def _fact(listed: dict[str, Any], fact: str) -> Any:
    return next(filter(None, map(listed.get, _NAMES[fact])), None)


@lru_cache(256)  # the names of a list's columns, which each of its items has
def _plain(name: str) -> str:
    return "".join(filter(str.isalnum, name.removeprefix(LISTED))).lower()


def _is_time(value: object) -> bool:
    try:
        return isinstance(value, str) and datetime.fromisoformat(value) is not None
    except ValueError:
        return False
