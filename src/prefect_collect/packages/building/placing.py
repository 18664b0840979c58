"""Puts a package that is one file under its name: composed by the stores, or as a stream where they cannot do that."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from itertools import chain
from typing import Final, Protocol

import pyarrow as pa

from prefect_collect.errors import KeyExists, KeyMissing, PackageExists
from prefect_collect.job_folder.manifest_rules import Batches
from prefect_collect.packages.building.order import PackagePlace
from prefect_collect.packages.building.pieces import Deflated
from prefect_collect.packages.building.replacing import file_left, refusal
from prefect_collect.packages.building.streaming import compressed_bytes, plain_bytes
from prefect_collect.packages.building.tag_file import PackageFile, fingerprint_of
from prefect_collect.stores import BegunFile, Blob, CopyRange, Piece, Store
from prefect_collect.threads.pool import in_background
from prefect_collect.threads.stop import Stop, stopped_by

_LOOK_EVERY: Final = 64 << 20
"""Bytes that are copied between two checks whether to go on."""


Going = Callable[[], None]
"""Returns if the work should go on; else it raises the exception that ends it."""

Lists = Callable[[Going], Sequence[PackageFile]]
"""Writes the tag files and returns them; it calls what it is given between its steps."""


class Layout(Protocol):
    """The parts of a package in their order.

    Attributes:
        compressed: True if the file is their bytes compressed with Zstandard.
    """

    compressed: bool

    @property
    def has_deflated(self) -> bool:
        """Return whether any piece is to be inflated."""

    def finish(self, files: Sequence[PackageFile]) -> int:
        """Append the tag files, after which nothing more can be added. Return the size, before it is compressed."""

    def first_pieces(self) -> Iterator[Piece | Deflated]:
        """Yield, in order, the pieces before the first one that depends on the tag files."""

    def last_pieces(self) -> Iterator[Piece | Deflated]:
        """Yield the other pieces of the finished file, in order."""


def place_file(
    layout: Layout,
    lists: Lists,
    staging: Store,
    place: PackagePlace,
    sealed: tuple[str, str],
    stop: Stop,
    begun: BegunFile | None = None,
) -> tuple[Blob, str]:
    """Write the file at its `place`, and return it with its fingerprint.

    The tag files are written while items that come before them in the file are copied; if one of the two fails, the
    other stops. `sealed` names the package's base folder, and the tag file that is its seal; `begun` is the file if its
    first pieces may have been copied before.

    Where the place allows to replace, a package that its owner delivered there before is replaced, and one that is
    identical to the new one is kept; anything else is never touched. Raise PackageExists, StoreError, CorruptSegment,
    JobCanceled.
    """
    destination, key, owner = place.destination, place.key, place.owner
    base, seal = sealed
    if not (place.replace or layout.compressed or layout.has_deflated):
        with _not_there(place), stopped_by(stop):
            blob, files = _composed(layout, lists, staging, place, stop, begun)
        return blob, fingerprint_of(files, seal)
    files = lists(stop.require_going)
    size = layout.finish(files)
    fingerprint = fingerprint_of(files, seal)
    left = file_left(destination, key, base, seal) if place.replace and owner is not None else None
    ours = left is not None and owner is not None and left[1] in owner.fingerprints
    pieces = until_canceled(chain(layout.first_pieces(), layout.last_pieces()), stop)
    if left is not None and not ours:
        blob = left[0]
        same = left[1] == fingerprint and (
            _holds(destination, blob, compressed_bytes(plain_bytes(pieces, staging, stop)))
            if layout.compressed
            else blob.size == size
        )
        if not same:
            raise refusal(destination, key)
        return blob, fingerprint
    check = _require_same(destination, left[0]) if ours and left else iter(())
    with _not_there(place), stopped_by(stop):
        if layout.compressed or layout.has_deflated:
            chunks: Iterator[bytes] = plain_bytes(pieces, staging, stop)
            if layout.compressed:
                chunks = compressed_bytes(chunks)
            return _streamed(destination, key, chain(chunks, check), replace=ours), fingerprint
        return destination.compose(key, chain(_copied(pieces), check), staging, replace=ours), fingerprint


@contextmanager
def _not_there(place: PackagePlace) -> Iterator[None]:
    """Raise PackageExists for KeyExists."""
    try:
        yield
    except KeyExists as error:
        where = place.destination.locate(place.key)
        raise PackageExists(f"The package already exists; name another one or remove it. [{where}]") from error


def _composed(
    layout: Layout, lists: Lists, staging: Store, place: PackagePlace, stop: Stop, begun: BegunFile | None
) -> tuple[Blob, Sequence[PackageFile]]:
    """Have the destination compose the file, while the lists are written that its last pieces wait for."""
    written: Future[None] = Future()

    def pieces() -> Iterator[Piece | Deflated]:
        yield from layout.first_pieces()
        written.result()
        yield from layout.last_pieces()

    def copy_going() -> None:
        stop.require_going()
        if written.done():
            written.result()

    def lists_going() -> None:
        stop.require_going()
        if composing.done():
            composing.result()

    copied = _copied(_in_steps(pieces(), copy_going))
    compose = place.destination.compose if begun is None else begun.compose
    composing = in_background(compose, place.key, copied, staging, name="compose")
    try:
        files = lists(lists_going)
        layout.finish(files)
    except BaseException as error:
        written.set_exception(error)
        if isinstance(error, Exception):
            wait([composing])
        raise
    written.set_result(None)
    return composing.result(), files


def _copied(pieces: Iterator[Piece | Deflated]) -> Iterator[Piece]:
    return (piece for piece in pieces if not isinstance(piece, Deflated))


def until_canceled(pieces: Iterator[Piece | Deflated], stop: Stop) -> Iterator[Piece | Deflated]:
    """Yield the pieces, large ranges in steps, so that a store checks `stop` between them and at the end.

    Raise JobCanceled.
    """
    return _in_steps(pieces, stop.require_going)


def _in_steps(pieces: Iterator[Piece | Deflated], require_going: Going) -> Iterator[Piece | Deflated]:
    for piece in pieces:
        require_going()
        if not isinstance(piece, CopyRange):
            yield piece
            continue
        for start in range(piece.start, piece.end, _LOOK_EVERY):
            require_going()
            yield dataclasses.replace(piece, start=start, end=min(piece.end, start + _LOOK_EVERY))
    require_going()


def step_by_step(batches: Batches, require_going: Going) -> Batches:
    """Return the same batches, which call `require_going` before each of them."""

    def read(columns: list[str]) -> Iterator[pa.RecordBatch]:
        for batch in batches(columns):
            require_going()
            yield batch

    return read


def _require_same(destination: Store, blob: Blob) -> Iterator[bytes]:
    """Yield nothing. Raise PackageExists if the file to replace was itself replaced."""
    with suppress(KeyMissing):
        if destination.stat(blob.key) != blob:
            raise refusal(destination, blob.key)
    yield from ()


def _streamed(destination: Store, key: str, chunks: Iterator[bytes], *, replace: bool) -> Blob:
    writer = destination.writer(key, replace=replace)
    try:
        for chunk in chunks:
            writer.write(chunk)
        return writer.commit()
    finally:
        writer.abort()


def _holds(destination: Store, blob: Blob, chunks: Iterator[bytes]) -> bool:
    """Return whether a file has exactly these bytes."""
    at = 0
    for chunk in chunks:
        if destination.read(blob.key, at, at + len(chunk)) != chunk:
            return False
        at += len(chunk)
    return at == blob.size
