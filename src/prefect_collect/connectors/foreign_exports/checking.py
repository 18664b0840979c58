"""Comparing files with the checksums that an export states."""

from __future__ import annotations

import hashlib

from prefect_collect.connectors.containers.files import File
from prefect_collect.connectors.foreign_exports.lists import Lists
from prefect_collect.errors import TransientSourceError
from prefect_collect.sources import Content, Item


def compare(file: File, lists: Lists) -> str:
    """Return words about the checksum of a file that is read for it alone. Raise SourceError if it is another one."""
    stated = lists.checksum(file.item.path)
    if stated is None:
        return ""
    algorithm, digest = stated
    sums = hashlib.new(algorithm, usedforsecurity=False)
    for piece in file.stream():
        sums.update(piece)
    _require(algorithm, digest, sums.digest(), file.item.path)
    return f"; its {algorithm.upper()} is the one that the export states"


def _require(algorithm: str, stated: bytes, found: bytes, place: str) -> None:
    if stated != found:
        what = f"The {algorithm.upper()} is {found.hex()}, but the export states {stated.hex()}"
        raise TransientSourceError(f"{what}. [{place}]", code="checksum_mismatch")


def held_to(content: Content, stated: tuple[str, bytes] | None, item: Item) -> Content:
    """Return a content that is also compared with the checksum that the export states."""
    if stated is None:
        return content
    algorithm, digest = stated
    if (known := getattr(content, algorithm)) is not None:
        _require(algorithm, digest, known, item.path)
    content.md5, content.sha1, content.sha256 = (
        digest if name == algorithm else getattr(content, name) for name in ("md5", "sha1", "sha256")
    )
    return content
