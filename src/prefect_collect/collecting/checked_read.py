"""Reads one item: computes its hash on the way, and compares it with what its source states."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import datetime
from typing import Any, Final

from prefect_collect.codes import CODES, Failure
from prefect_collect.errors import SourceError, TransientSourceError
from prefect_collect.sources import Content, Item, Source
from prefect_collect.sources.content_checks import flat, require_sound, whole
from prefect_collect.sources.digests import Digest
from prefect_collect.stores import Buffer
from prefect_collect.threads.stop import Stop

SOURCE_ERRORS: Final = (Exception, SystemExit, CancelledError)
"""The exceptions that a source's library may raise for one item or listing; other BaseExceptions end the process."""

LARGEST_ITEM: Final = 5 << 40
"""Bytes at which an item of unknown size is cut off: the largest object that S3 stores."""


def require_as_listed(item: Item, content: Content) -> None:
    """Raise SourceError if an opened item is badly described (invalid_item) or was changed (changed_during_read)."""
    require_sound(item, content)
    if not item.is_current:
        return
    for what, listed, present in (
        ("ETag", item.etag, content.etag),
        ("size", item.size, content.size),
        ("modification time", item.modified, content.modified),
        ("version", item.version, content.version),
    ):
        if what == "size" and not content.listed_size_counts:
            continue
        if listed is not None and present is not None and listed != present:
            raise SourceError(
                f"The item was changed after it was listed: its {what} was {listed} and is {present}. [{item.id}]",
                code="changed_during_read",
            )


def require_as_stated(item: Item, content: Content, digest: Digest) -> None:
    """Raise SourceError if the bytes read differ from what the source states.

    Its code is `truncated`, `checksum_mismatch` or `changed_during_read`.
    """
    if content.finish is not None:
        content.finish()
    announced = announced_size(item, content)
    if announced is not None and digest.size != announced:
        raise TransientSourceError(
            f"{digest.size} bytes arrived, but the source announced {announced}. [{item.id}]", code="truncated"
        )
    if (difference := digest.difference(content)) is not None:
        raise TransientSourceError(f"{difference}. [{item.id}]", code="checksum_mismatch")


def in_bounds(item: Item, content: Content) -> Iterator[bytes | memoryview]:
    """Yield the pieces of an opened item, as bytes, but no more than was announced: a body may never end.

    Raises:
        SourceError: `truncated` if more bytes arrive than the source announced, `too_large` if nothing was announced
            and more arrive than any store can hold.
    """
    announced = announced_size(item, content)
    size = 0
    for chunk in content.chunks:
        size += len(piece := flat(chunk))
        if announced is not None and size > announced:
            raise TransientSourceError(
                f"More bytes arrived than the {announced} that the source announced; the rest was not read. "
                f"[{item.id}]",
                code="truncated",
            )
        if size > LARGEST_ITEM:
            raise SourceError(f"More than {LARGEST_ITEM} bytes arrived, without an end. [{item.id}]", code="too_large")
        yield piece


def modified_of(item: Item, stated: datetime | None) -> datetime | None:
    """Return when an item changed last: as it is listed, or as its source stated when it was opened (`stated`).

    What is stated counts only in a retry, for an item that an earlier attempt listed with a time.
    """
    return item.modified if item.is_current or None in (item.modified, stated) else stated


def announced_size(item: Item, content: Content) -> int | None:
    """Return the size of an opened item, if its source states one that counts for the bytes that come."""
    counts = item.is_current and content.listed_size_counts
    return content.size if content.size is not None or not counts else item.size


def failure_of(error: BaseException, source: Source, item: Item | None = None) -> Failure:
    """Return what an exception means: a SourceError states its code, the source classifies its library's exceptions."""
    if isinstance(error, SourceError):
        code = error.code
        if not isinstance(code, str) or code not in CODES:
            return Failure("unexpected_error", f"{code}: {_text_of(error)}", error.http_status)
        return Failure(code, _text_of(error), error.http_status)
    what = f"{type(error).__name__}: {_text_of(error)}"
    known: object = None
    try:
        known = source.classify(error, item) if isinstance(error, Exception) else None
    except SOURCE_ERRORS as wrong:  # An error in `classify` must not end the shard, nor hide the first error.
        what += f"; and the source's classify raised {type(wrong).__name__}: {_text_of(wrong)}"
    if isinstance(known, Failure):
        return known
    name = item.id if item is not None else source.name
    return Failure("unexpected_error", f"{what} [{name}]")


def _text_of(error: BaseException) -> str:
    """Return an exception's text; for some exceptions even that raises."""
    try:
        return str(error)
    except Exception as wrong:
        return f"its message cannot be read ({type(wrong).__name__})"


def read_whole(
    item: Item, content: Content, stop: Stop | None = None, *, hashes: Collection[str] = ()
) -> tuple[Buffer, Digest]:
    """Return all bytes of an opened item, checked, and their hashes; `hashes` names more than SHA-256.

    Raise SourceError, JobCanceled, or an error of the source's library.
    """
    require_as_listed(item, content)
    digest = Digest(content, hashes)
    bounded = in_bounds(item, content)
    chunks = [whole(piece) for piece in (bounded if stop is None else _until_canceled(bounded, stop))]
    data: Buffer = chunks[0] if len(chunks) == 1 else b"".join(chunks)
    digest.update(data)
    require_as_stated(item, content, digest)
    return data, digest


def _until_canceled(chunks: Iterable[Any], stop: Stop) -> Iterator[Any]:
    for chunk in chunks:
        stop.require_going()
        yield chunk


def read_through(
    item: Item, content: Content, take: Callable[[Buffer], None], *, hashes: Collection[str] = ()
) -> Digest:
    """Pass the bytes of an opened item to `take`, piece by piece; check and return their hashes.

    Raise as `read_whole`.
    """
    require_as_listed(item, content)
    digest = Digest(content, hashes)
    for piece in in_bounds(item, content):
        digest.update(piece)
        take(piece)
    require_as_stated(item, content, digest)
    return digest
