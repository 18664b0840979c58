"""What of a folder, or of a bucket, a store takes: the store's own files are no items."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Final

from prefect_collect.connectors.files.tree import decode_id, encode_id, is_below
from prefect_collect.sources import Item
from prefect_collect.sources.overlaps import Overlap
from prefect_collect.stores import Lies, folder_lies, prefix_lies

_FOLDERS: Final = 4096


def folder_overlap(root: Path, store: Path, *, follow_symlinks: bool) -> Overlap | None:
    """What the items of a folder (or the one of a file) and a store in a folder have in common."""
    found = folder_lies(store, root)
    if found is None:
        return None
    lies, ways = found
    if lies is not Lies.INSIDE:
        return Overlap(lies)
    return Overlap(lies, encode_id(ways[0] + b"/"), _Ways(root, ways, follow_symlinks=follow_symlinks).entrance)


class _Ways:
    """The folders, and (if they are followed) the links, by which what is below a root lies in a store."""

    def __init__(self, root: Path, ways: list[bytes], *, follow_symlinks: bool) -> None:
        self._root = os.path.realpath(os.fsencode(root))
        self._ways = ways
        self._stores = [os.path.join(self._root, way) for way in ways]
        self._follow = follow_symlinks
        self._folder = lru_cache(_FOLDERS)(self._folder_way)

    def entrance(self, item: Item) -> str | None:
        """By which folder or link the item lies in the store."""
        relative = decode_id(item.id).rstrip(b"/")
        way = next((way for way in self._ways if is_below(relative, way)), None)
        if way is not None:
            return encode_id(way + b"/")
        if not self._follow:
            return None
        folder = os.path.dirname(relative)
        link = self._folder(folder) if folder else None
        if link is None and os.path.islink(os.path.join(self._root, relative)):
            link = self._way(relative)
        return None if link is None else encode_id(link)

    def _folder_way(self, relative: bytes) -> bytes | None:
        above = os.path.dirname(relative)
        return (self._folder(above) if above else None) or self._way(relative)

    def _way(self, relative: bytes) -> bytes | None:
        target = os.path.realpath(os.path.join(self._root, relative))
        if not any(is_below(target, store) for store in self._stores):
            return None
        return relative + b"/" if os.path.isdir(target) else relative


def prefix_overlap(prefix: str, folder: str) -> Overlap | None:
    """What the keys of a bucket that begin with a prefix, and a store in a folder of that bucket, have in common."""
    lies = prefix_lies(folder, prefix)
    if lies is None:
        return None
    if lies is not Lies.INSIDE:
        return Overlap(lies)
    start, way = folder.encode(), encode_id(folder.encode())
    return Overlap(lies, way, lambda item: way if decode_id(item.id).startswith(start) else None)
