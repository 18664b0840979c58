"""Puts a package that is one file under its name: composed by the stores, or as a stream where they cannot do that."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import chain
from typing import Final, Protocol

from prefect_collect.errors import KeyExists, KeyMissing, PackageExists
from prefect_collect.packages.building.order import PackagePlace
from prefect_collect.packages.building.pieces import Deflated
from prefect_collect.packages.building.replacing import file_left, refusal
from prefect_collect.packages.building.streaming import compressed_bytes, plain_bytes
from prefect_collect.packages.building.tag_file import PackageFile, fingerprint_of
from prefect_collect.stores import Blob, CopyRange, Piece, Store
from prefect_collect.threads.stop import Stop, stopped_by

_LOOK_EVERY: Final = 64 << 20
"""Bytes that are copied between two checks whether the job was canceled."""


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

    def pieces(self) -> Iterator[Piece | Deflated]:
        """Yield all pieces of the finished file, in order."""


def place_file(
    layout: Layout,
    files: Sequence[PackageFile],
    staging: Store,
    place: PackagePlace,
    sealed: tuple[str, str],
    stop: Stop,
) -> tuple[Blob, str]:
    """Write the file at its `place`, and return it with its fingerprint.

    `sealed` names the package's base folder, and the one of the `files` that is its seal.

    Where the place allows to replace, a package that its owner delivered there before is replaced, and one that is
    identical to the new one is kept; anything else is never touched. Raise PackageExists, StoreError, CorruptSegment,
    JobCanceled.
    """
    destination, key, owner = place.destination, place.key, place.owner
    size = layout.finish(files)
    base, seal = sealed
    fingerprint = fingerprint_of(files, seal)
    left = file_left(destination, key, base, seal) if place.replace and owner is not None else None
    ours = left is not None and owner is not None and left[1] in owner.fingerprints
    pieces = until_canceled(layout.pieces(), stop)
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
    with stopped_by(stop):
        try:
            if layout.compressed or layout.has_deflated:
                chunks: Iterator[bytes] = plain_bytes(pieces, staging, stop)
                if layout.compressed:
                    chunks = compressed_bytes(chunks)
                return _streamed(destination, key, chain(chunks, check), replace=ours), fingerprint
            copied = (piece for piece in pieces if not isinstance(piece, Deflated))
            return destination.compose(key, chain(copied, check), staging, replace=ours), fingerprint
        except KeyExists as error:
            where = destination.locate(key)
            raise PackageExists(f"The package already exists; name another one or remove it. [{where}]") from error


def until_canceled(pieces: Iterator[Piece | Deflated], stop: Stop) -> Iterator[Piece | Deflated]:
    """Yield the pieces, large ranges in steps, so that a store checks `stop` between them and at the end.

    Raise JobCanceled.
    """
    for piece in pieces:
        stop.require_going()
        if not isinstance(piece, CopyRange):
            yield piece
            continue
        for start in range(piece.start, piece.end, _LOOK_EVERY):
            stop.require_going()
            yield dataclasses.replace(piece, start=start, end=min(piece.end, start + _LOOK_EVERY))
    stop.require_going()


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
