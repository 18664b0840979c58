"""What a message, or a folder that could not be listed, is now: for a retry."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from prefect_collect.connectors.imap.describing import received_at
from prefect_collect.connectors.imap.folders import folders_of
from prefect_collect.connectors.imap.listing import FolderListing
from prefect_collect.connectors.imap.places import folder_id, identity, identity_of, place_of, require_same
from prefect_collect.connectors.imap.responses import BadAnswer, number, uid_of
from prefect_collect.connectors.imap.sessions import Sessions
from prefect_collect.sources import Item, Listed, ListingEnd


def message_again(sessions: Sessions, item: Item) -> Iterator[Item]:
    """Yield a message as it is now; nothing if it is gone. Raise SourceError if its folder was recreated."""
    place = place_of(item)
    found: dict[bytes, Any] = {}
    with sessions.session() as session:
        require_same(session.examine(place.folder, again=True), place, f"{sessions.place}/{item.path}")
        names = b" (UID RFC822.SIZE INTERNALDATE" + identity_of(session) + b")"
        try:
            for word, answer in session.answers(session.send(b"UID FETCH %d" % place.uid + names)):
                attributes: dict[bytes, Any] = dict(answer.attributes()) if word == b"FETCH" else {}
                if b"RFC822.SIZE" in attributes and uid_of(attributes.get(b"UID")) == place.uid:
                    found = attributes
        except BadAnswer as error:
            raise session.not_imap(error) from error
    if found:
        yield replace(
            item,
            size=number(found[b"RFC822.SIZE"]),
            modified=received_at(found.get(b"INTERNALDATE")),
            etag=identity(found, place.uidvalidity, place.uid),
            failure=None,
            skipped=None,
            expands=None,
        )


def folder_again(sessions: Sessions, item: Item, wanted: str, search: str) -> Iterator[Listed]:
    """Yield the messages of a folder that could not be listed before; nothing if it is gone."""
    with sessions.session() as session:
        found = [folder for folder in folders_of(session, wanted) if folder_id(folder) == item.id]
    for folder in found:
        listing = FolderListing(sessions, folder, search, None)
        for message in listing.items():
            yield Item(
                message.id, message.path, message.size, message.modified, message.etag, expands=item.id,
                failure=message.failure,
            )  # fmt: skip
        yield ListingEnd(listing.proof)
