"""The messages of mbox files as items.

**Ids** are places: the file, and the bytes of the message in it (``mail.mbox!12345+678``). A Message-ID would not do:
messages without one, and several with the same one, are what mbox files are full of. The number of the message would
do, but leads to it only by reading all before it. An mbox file is appended to, so places stay; if it is rewritten, its
messages are new items. The SHA-256 of the bytes, which the listing computes as it reads them, is the item's ETag: it
proves that the message at a place is still the one that was listed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from prefect_collect.codes import Failure
from prefect_collect.connectors.containers import ids
from prefect_collect.connectors.containers.files import File
from prefect_collect.connectors.containers.tree import FileTree
from prefect_collect.connectors.mail import texts
from prefect_collect.connectors.mail.header import Header
from prefect_collect.connectors.mbox.separators import date_of
from prefect_collect.connectors.mbox.splitting import Message, is_mbox, messages
from prefect_collect.sources import Item, Listed, ListingEnd
from prefect_collect.sources.query import Query

_LOOK: Final = 64 << 10
"""Bytes by which an mbox file is recognised."""

BEFORE_FIRST: Final = "0 before the first message.bin"
"""The name of the bytes before the first message."""


def mbox_items(tree: FileTree, query: Query | None = None) -> Iterator[Listed]:
    """Yield the messages of every mbox file, other files as they are, and the listing's end."""
    files = total = 0
    for file in tree.files():
        if isinstance(file, Item):
            yield file
        elif query is None or tree.may_hold(file, query) or query.matches(file.item):
            files += 1
            total += file.size
            yield from tree.looked_into(file, file_items(tree, file))
    read = f"{files:,} {'file was' if files == 1 else 'files were'} read to the last of {total:,} bytes"
    yield ListingEnd(f"{tree.proof}; {read}")


def file_items(tree: FileTree, file: File) -> Iterator[Item]:
    """Yield the messages of an mbox file; of another file the file itself, and a word about that."""
    if not file.size or not is_mbox(file.read(0, _LOOK)):
        yield file.item
        if file.size:
            why = "It is no mbox file, which begins with a line From …: it was collected as it is"
            yield _report(file.item.id, file.item.path, f"{why}. [{file.item.path}]")
        return
    yield from message_items(file, tree.inside(file))


def message_items(
    file: File, inside: str, met: Callable[[Message, Header, Item], None] | None = None
) -> Iterator[Item]:
    """Yield the messages of an mbox file, and a skipped item for each that may be more than one message.

    Args:
        file: The mbox file.
        inside: How the paths of the messages begin.
        met: Called with each message, its header, and the item.
    """
    for message in messages(file):
        header = Header(message.head)
        item = _item(file, message, header, inside)
        if met is not None and message.number:
            met(message, header, item)
        yield item
        if not message.number:
            why = f"The file does not begin with a message: the bytes before the first are an item. [{item.path}]"
            yield _report(item.id, item.path, why)
        elif message.doubts:
            at = ", ".join(map(str, message.doubts))
            why = f"It may be several messages: lines that may begin one are at byte {at} of the file. [{item.path}]"
            yield _report(item.id, item.path, why)
        elif message.is_open:
            why = f"It ends, at byte {message.end} of the file, before its parts do: what follows may belong to it"
            yield _report(item.id, item.path, f"{why}. [{item.path}]")


def _item(file: File, message: Message, header: Header, inside: str) -> Item:
    name = texts.named(message.number, header.text(b"subject")) if message.number else BEFORE_FIRST
    return Item(
        ids.span_id(file.item.id, message.start, message.end),
        f"{inside}{name}",
        message.end - message.start,
        date_of(message.line),
        message.sha256.hex(),
    )


def _report(item_id: str, path: str, why: str) -> Item:
    return Item(f"{item_id}!?", path, skipped=Failure("unsure_split", why))
