"""The part of a folder or bucket that is the staging store's: the store's own files are not items."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Final

from prefect_collect.connectors.files.tree import decode_id, encode_id, is_below
from prefect_collect.sources import Item, Overlap
from prefect_collect.stores import Lies, folder_lies, prefix_lies

_FOLDERS: Final = 4096


def folder_overlap(root: Path, store: Path, *, follow_symlinks: bool) -> Overlap | None:
    """Return what the items of a folder (or of a single file) and a store in a folder have in common."""
    found = folder_lies(store, root)
    if found is None:
        return None
    lies, paths = found
    if lies is not Lies.INSIDE:
        return Overlap(lies)
    return Overlap(lies, encode_id(paths[0] + b"/"), _Entrances(root, paths, follow_symlinks=follow_symlinks).entrance)


class _Entrances:
    """The folders, and the links if they are followed, through which items below a root lie in a store."""

    def __init__(self, root: Path, paths: list[bytes], *, follow_symlinks: bool) -> None:
        self._root = os.path.realpath(os.fsencode(root))
        self._paths = paths
        self._stores = [os.path.join(self._root, path) for path in paths]
        self._follow = follow_symlinks
        self._folder = lru_cache(_FOLDERS)(self._folder_entrance)

    def entrance(self, item: Item) -> str | None:
        """Return the id of the folder or link through which the item lies in the store; None if it lies outside."""
        relative = decode_id(item.id).rstrip(b"/")
        path = next((path for path in self._paths if is_below(relative, path)), None)
        if path is not None:
            return encode_id(path + b"/")
        if not self._follow:
            return None
        folder = os.path.dirname(relative)
        link = self._folder(folder) if folder else None
        if link is None and os.path.islink(os.path.join(self._root, relative)):
            link = self._entrance_at(relative)
        return None if link is None else encode_id(link)

    def _folder_entrance(self, relative: bytes) -> bytes | None:
        above = os.path.dirname(relative)
        return (self._folder(above) if above else None) or self._entrance_at(relative)

    def _entrance_at(self, relative: bytes) -> bytes | None:
        target = os.path.realpath(os.path.join(self._root, relative))
        if not any(is_below(target, store) for store in self._stores):
            return None
        return relative + b"/" if os.path.isdir(target) else relative


def prefix_overlap(prefix: str, folder: str) -> Overlap | None:
    """Return what the keys of a bucket that begin with a prefix, and a store in a folder of it, have in common."""
    lies = prefix_lies(folder, prefix)
    if lies is None:
        return None
    if lies is not Lies.INSIDE:
        return Overlap(lies)
    start, entrance = folder.encode(), encode_id(folder.encode())
    return Overlap(lies, entrance, lambda item: entrance if decode_id(item.id).startswith(start) else None)


def served_overlap(store: Path, look: Callable[[bytes], tuple[bytes, tuple[int | None, ...] | None]]) -> Overlap | None:
    """Return what the files that a server gives and a store in a folder of this machine have in common.

    The server is taken for this machine if it has a folder at the store's path with the same time, mode and owner.

    Args:
        store: The store's folder.
        look: Returns the real path of the source at the server, and the mode, time, user and group of a path there;
            None for what is not there.
    """
    try:
        here = os.path.realpath(os.fsencode(store))
        before = os.stat(here)
        root, found = look(here)
        after = os.stat(here)
    except OSError:
        return None
    if found not in [(at.st_mode, int(at.st_mtime), at.st_uid, at.st_gid) for at in (before, after)]:
        return None
    if is_below(root, here):
        return Overlap(Lies.AT if root == here else Lies.AROUND)
    if not is_below(here, root):
        return None
    inside = here[len(root.rstrip(b"/")) + 1 :]
    entrance = encode_id(inside + b"/")
    return Overlap(
        Lies.INSIDE, entrance, lambda item: entrance if is_below(decode_id(item.id).rstrip(b"/"), inside) else None
    )
