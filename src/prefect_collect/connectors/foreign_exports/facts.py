"""What the lists of another system's export say of an item, under the names that sources use for the same facts.

Names are compared by their letters and digits, without case; of times the first is that of the service, and the last
what the document says of itself. They are those of Google Vault's XML and of Microsoft Purview's ``Items.csv``:
https://support.google.com/vault/answer/6099459 and
https://learn.microsoft.com/purview/edisc-ref-document-metadata-fields
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final

from prefect_collect.connectors.foreign_exports.edrm_xml import LISTED
from prefect_collect.connectors.http.headers import whole_number
from prefect_collect.sources import Item
from prefect_collect.sources.created import exact_time, known_creation
from prefect_collect.sources.item_checks import SURELY_SHORT

FACT_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
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
    "size": ("nativesize", "filesize", "size"),
}
"""What lists call a fact, the best name first."""


def listed_facts(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a list says of an item, by the letters and digits of its names for it."""
    return {_plain(name): value for name, value in metadata.items() if name.startswith(LISTED)}


def fact_of(listed: Mapping[str, Any], fact: str) -> Any:
    """Return a fact of what `listed_facts` returned; None if the list does not say it."""
    return next(filter(None, map(listed.get, FACT_NAMES[fact])), None)


def with_facts(item: Item, metadata: Mapping[str, Any], stated_size: str = "") -> Item:
    """Return an item that is not there, with what a list says of it: whose it is, its size and its times.

    A size or a time that cannot be understood exactly is left out; so is a time without a zone. `stated_size` is a size
    that the list states elsewhere.
    """
    listed = listed_facts(metadata)
    return replace(
        item,
        custodian=_custodian(listed),
        size=whole_number(str(fact_of(listed, "size") or stated_size)),
        modified=exact_time(fact_of(listed, "modified")),
        created=known_creation(exact_time(fact_of(listed, "created"))),
    )


def custodian_of(metadata: Mapping[str, Any]) -> str | None:
    """Return whose an item is as a list says; None if it does not say it."""
    return _custodian(listed_facts(metadata))


def _custodian(listed: Mapping[str, Any]) -> str | None:
    return str(fact_of(listed, "custodian") or "")[:SURELY_SHORT] or None


@lru_cache(256)  # the names of a list's columns, which each of its items has
def _plain(name: str) -> str:
    return "".join(filter(str.isalnum, name.removeprefix(LISTED))).lower()
