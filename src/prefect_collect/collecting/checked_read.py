"""Reading one item: hashing it as it passes by, and comparing it with what its source says."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from prefect_collect.codes import CODES, Failure
from prefect_collect.errors import SourceError, TransientSourceError
from prefect_collect.sources import Content, Item, Source
from prefect_collect.sources.digests import Digest
from prefect_collect.sources.item_checks import flat, require_sound, whole
from prefect_collect.stores import Buffer
from prefect_collect.threads.stop import Stop

SOURCE_ERRORS: Final = (Exception, SystemExit, CancelledError)
"""What a source's library may raise for one item or listing; other BaseExceptions are the process's own."""

LARGEST_ITEM: Final = 5 << 40
"""Bytes at which an item is cut whose size nothing announces: the largest object that S3 takes."""


def require_as_listed(item: Item, content: Content) -> None:
    """Raise SourceError if an opened item is described wrongly (invalid_item) or was changed (changed_during_read)."""
    require_sound(item, content)
    if not item.is_current:
        return
    for what, listed, present in (
        ("ETag", item.etag, content.etag),
        ("size", item.size, content.size),
        ("modification time", item.modified, content.modified),
        ("version", item.version, content.version),
    ):
        if listed is not None and present is not None and listed != present:
            raise SourceError(
                f"The item was changed after it was listed: its {what} was {listed} and is {present}. [{item.id}]",
                code="changed_during_read",
            )


def require_as_stated(item: Item, content: Content, digest: Digest) -> None:
    """Raise if what arrived is not what the source states: truncated, checksum_mismatch, or changed_during_read."""
    if content.finish is not None:
        content.finish()
    announced = _announced(item, content)
    if announced is not None and digest.size != announced:
        raise TransientSourceError(
            f"{digest.size} bytes arrived where the source announced {announced}. [{item.id}]", code="truncated"
        )
    if (difference := digest.difference(content)) is not None:
        raise TransientSourceError(f"{difference}. [{item.id}]", code="checksum_mismatch")


def in_bounds(item: Item, content: Content) -> Iterator[bytes | memoryview]:
    """The pieces of an opened item, as bytes, as long as they are not more than was announced: a body may have no end.

    Raises:
        SourceError: `truncated` if more bytes come than the source announced, `too_large` if more come than any store
            takes and nothing was announced.
    """
    announced = _announced(item, content)
    size = 0
    for chunk in content.chunks:
        size += len(piece := flat(chunk))
        if announced is not None and size > announced:
            raise TransientSourceError(
                f"More than the {announced} bytes that the source announced arrived; the rest was not waited for. "
                f"[{item.id}]",
                code="truncated",
            )
        if size > LARGEST_ITEM:
            raise SourceError(f"More than {LARGEST_ITEM} bytes arrived, and no end. [{item.id}]", code="too_large")
        yield piece


def _announced(item: Item, content: Content) -> int | None:
    return content.size if content.size is not None or not item.is_current else item.size


def failure_of(error: BaseException, source: Source, item: Item | None = None) -> Failure:
    """What an exception means: our own say it themselves, the source knows its library's, the rest is unexpected."""
    if isinstance(error, SourceError):
        code = error.code
        if not isinstance(code, str) or code not in CODES:
            return Failure("unexpected_error", f"{code}: {_said(error)}", error.http_status)
        return Failure(code, _said(error), error.http_status)
    what = f"{type(error).__name__}: {_said(error)}"
    known: object = None
    try:
        known = source.classify(error, item) if isinstance(error, Exception) else None
    except SOURCE_ERRORS as wrong:  # Code of others must not end the shard, nor hide what it was asked about.
        what += f"; and the source's classify raised {type(wrong).__name__}: {_said(wrong)}"
    if isinstance(known, Failure):
        return known
    name = item.id if item is not None else source.name
    return Failure("unexpected_error", f"{what} [{name}]")


def _said(error: BaseException) -> str:
    """An exception's text; some cannot even say it."""
    try:
        return str(error)
    except Exception as wrong:
        return f"it does not say what happened ({type(wrong).__name__})"


def read_whole(item: Item, content: Content, stop: Stop | None = None) -> tuple[Buffer, Digest]:
    """All bytes of an opened item, checked. Raises SourceError, JobCanceled, or what the source's library raises."""
    require_as_listed(item, content)
    digest = Digest(content)
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


def read_through(item: Item, content: Content, take: Callable[[Buffer], None]) -> Digest:
    """Pass the bytes of an opened item on, piece by piece, hashing them; checked at the end. Raises as `read_whole`."""
    require_as_listed(item, content)
    digest = Digest(content)
    for piece in in_bounds(item, content):
        digest.update(piece)
        take(piece)
    require_as_stated(item, content, digest)
    return digest
