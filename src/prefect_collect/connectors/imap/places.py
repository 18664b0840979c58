"""Where a message is, which is its id, and what stays the same as long as its bytes do."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from prefect_collect.connectors.errors import source_error
from prefect_collect.connectors.imap.folders import LABELS, Folder
from prefect_collect.connectors.imap.session import Selected, Session
from prefect_collect.sources import Item

_ID: Final = re.compile(r"(.+);UIDVALIDITY=(\d{1,10})/;UID=(\d{1,10})", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a message is: the folder's name as the protocol sends it, its UIDVALIDITY, and the message's UID."""

    folder: str
    uidvalidity: int
    uid: int

    @property
    def id(self) -> str:
        """The item's id: the end of an IMAP URL (RFC 5092)."""
        return f"{self.folder};UIDVALIDITY={self.uidvalidity}/;UID={self.uid}"


def place_of(item: Item) -> Place:
    """Return where an item's message is. Raise SourceError if the id is not one of a message."""
    found = _ID.fullmatch(item.id)
    if found is None:
        raise source_error("not_found", "It is no message of a mailbox", item.id)
    return Place(found[1], int(found[2]), int(found[3]))


def folder_id(folder: Folder) -> str:
    """Return the id of the item that stands for a folder which cannot be listed."""
    return f"{folder.wire}/"


def require_same(selected: Selected, place: Place, where: str) -> None:
    """Raise SourceError if the folder is another one than when the message was listed."""
    if selected.uidvalidity != place.uidvalidity:
        raise source_error(
            "not_found",
            f"The folder was recreated: its UIDVALIDITY was {place.uidvalidity} and is {selected.uidvalidity}, so its "
            "messages have new ids. Collect it with a new job",
            where,
        )


def identity_of(session: Session) -> bytes:
    """Return the attribute by which the server names a message whatever folder it is in, after a space; or nothing."""
    return b" X-GM-MSGID" if session.has(LABELS) else b" EMAILID" if session.has("OBJECTID") else b""


def identity(attributes: dict[bytes, Any], validity: int, uid: int) -> str:
    """Return what stays the same as long as the message's bytes do, as IMAP promises: the item's ETag."""
    named = attributes.get(b"X-GM-MSGID") or attributes.get(b"EMAILID")
    while isinstance(named, list):
        named = named[0] if named else None
    return named.decode(errors="replace") if isinstance(named, bytes) else f"{validity}.{uid}"
