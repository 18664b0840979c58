"""Reading the messages of mbox files: each alone, from its place in the file."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from typing import Any, Final

from prefect_collect.connectors.containers import ids
from prefect_collect.connectors.containers.files import File
from prefect_collect.connectors.containers.tree import FileTree, again
from prefect_collect.connectors.mail import texts
from prefect_collect.connectors.mail.attachments import Attachments
from prefect_collect.connectors.mail.header import LONGEST_HEADER, Header, metadata_of
from prefect_collect.connectors.mbox.items import BEFORE_FIRST, file_items
from prefect_collect.connectors.mbox.separators import LONGEST_LINE
from prefect_collect.errors import SourceError
from prefect_collect.sources import Content, Item, Listed

_BEFORE: Final = LONGEST_LINE + 24
"""Bytes before a message that are read with it: its separator line."""

_END_OF_HEADER: Final = re.compile(rb"\A\r?\n|\n\r?\n")
_AFTER: Final = re.compile(rb"(?:\r?\n){0,2}(?:From |\Z)")

Pieces = Iterator[bytes | memoryview]


@contextmanager
def opened(tree: FileTree, item: Item) -> Iterator[Content]:
    """Open a message of any size, or a file that is no mbox file. Raise SourceError, OSError."""
    span = ids.span_of(item.id)
    if span is None:
        with tree.file(item.id).open() as content:
            yield content
    else:
        yield message_content(tree.file(span.file), span, item)


def message_content(file: File, span: ids.Span, item: Item) -> Content:
    """Return the bytes of a message and what its header says.

    The names of the attachments join the metadata when the last byte has passed by.
    """
    line, pieces = _after_separator(file, span, item)
    head, pieces = _with_header(pieces)
    # Without the SHA-256 of the listing, as in a retry, the place and the name are all by which it is known.
    if item.etag is None and not (_ends_there(file, span) and _is_named(item, head)):
        raise _moved("not_found", item)
    metadata: dict[str, Any] = {}
    if line:
        metadata = metadata_of(Header(head)) | {"separator": texts.shortened(texts.plain(line))}
    attachments, sums = Attachments(), hashlib.sha256()

    def finish() -> None:
        if attachments.names:
            metadata["attachments"] = texts.few(attachments.names)
        if item.is_current and item.etag is not None and sums.hexdigest() != item.etag:
            raise _moved("changed_during_read", item)

    chunks = _hashed(attachments.passing(pieces), sums)
    return Content(chunks, span.end - span.start, finish=finish, metadata=metadata)


def message_again(tree: FileTree, item: Item) -> Iterator[Listed]:
    """Yield a message as it is now, nothing if it is not at its place any more; of a file that failed, what is in it.

    The bytes at its place may be others now, so nothing is left to compare with.
    """
    span = ids.span_of(item.id)
    if item.id.endswith("!/"):
        file = tree.file(item.id.removesuffix("!/"), item.path.rstrip("/"))
        yield from again(item, tree.looked_into(file, file_items(tree, file)))
    elif span is None:
        inner = replace(item, id=ids.source_id(item.id))
        yield from (
            replace(now, id=ids.file_id(now.id)) if isinstance(now, Item) else now for now in tree.source.relist(inner)
        )
    elif _is_there(tree.file(span.file), span, item):
        yield replace(item, size=None, modified=None, etag=None, version=None, failure=None, expands=None)


def _is_there(file: File, span: ids.Span, item: Item) -> bool:
    """Return whether a message still begins and ends where it did, and has its subject."""
    try:
        if not _ends_there(file, span):
            return False
        _, pieces = _after_separator(file, span, item)
        return _is_named(item, _with_header(pieces)[0])
    except FileNotFoundError:
        return False
    except SourceError as error:
        if error.code != "not_found":
            raise
        return False


def _ends_there(file: File, span: ids.Span) -> bool:
    """Return whether a message ends at a place: before a separator, or where the file ends."""
    return span.end <= file.size and _AFTER.match(file.read(span.end, span.end + 16)) is not None


def _is_named(item: Item, head: bytes) -> bool:
    """Return whether a message has the subject that its path was made of."""
    name = item.path.rpartition("/")[2]
    number = name.partition(".")[0].partition(" ")[0]
    if name == BEFORE_FIRST or not (number.isascii() and number.isdigit()):
        return True
    return name == texts.named(int(number[:18]), Header(head).text(b"subject"))


def _after_separator(file: File, span: ids.Span, item: Item) -> tuple[bytes, Pieces]:
    """Return the separator line before a message, and the message; of the bytes before the first, no line."""
    before = min(span.start, _BEFORE)
    stream: Pieces = file.stream(span.start - before, span.end) if span.end > span.start - before else iter(())
    first = b""
    while len(first) < before and (piece := next(stream, None)) is not None:
        first += piece
    line = first[:before].rstrip(b"\r\n").rpartition(b"\n")[2].removeprefix(b"\xef\xbb\xbf")
    if before and not (line.startswith(b"From ") and first.endswith(b"\n", 0, before)):
        raise _moved("not_found", item)
    return line, chain([first[before:]] if first[before:] else [], stream)


def _with_header(pieces: Pieces) -> tuple[bytes, Pieces]:
    """Return the first bytes, with the whole header, and all pieces."""
    head = b""
    taken: list[bytes | memoryview] = []
    while len(head) < LONGEST_HEADER and _END_OF_HEADER.search(head) is None:
        piece = next(pieces, None)
        if piece is None:
            break
        taken.append(piece)
        head += piece[: LONGEST_HEADER - len(head)]
    return head, chain(taken, pieces)


def _hashed(pieces: Iterable[bytes | memoryview], sums: Any) -> Pieces:
    for piece in pieces:
        sums.update(piece)
        yield piece


def _moved(code: str, item: Item) -> SourceError:
    what = "The file was changed: the message that was listed is not at this place any more"
    return SourceError(f"{what}; a new job lists it again. [{item.id}]", code=code)
