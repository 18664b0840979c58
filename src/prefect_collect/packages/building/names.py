"""The path of each item in a package: as it was staged, unique, and portable if that is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from prefect_collect.archive.item_paths import MAX_PART, marked_path
from prefect_collect.job_folder.grown_array import GrownArray
from prefect_collect.job_folder.manifest_rules import Batches
from prefect_collect.packages.building.clashes import are_in
from prefect_collect.packages.building.portable_paths import (
    DEVICES,
    MAX_UNITS,
    PLAIN,
    portable_part,
    same_name,
    units,
    whats_wrong,
)

_FEWEST_UNITS: Final = 60
"""The fewest UTF-16 units for a file's name; folders that leave less are removed from the path."""

_Node = tuple[str, str]
"""A folder's path and a name in it, in the form that all names have in common which some system takes for the same."""

_Hashes = npt.NDArray[np.int64]

_UPPER: Final = r"[A-Z][^/]*\z"
"""Matches an ASCII path whose last part is not in lower case; a regular expression of RE2."""


@dataclass(slots=True)
class Names:
    """The path in the package of each row of a manifest.

    Attributes:
        renamed: The new paths of items that clash with others on every system (`find_clashes`).
        portable: The names that every system accepts; None if portability was not checked.
        applied: Whether the package uses those names, or only a warning tells that it does not.
    """

    renamed: dict[int, str] = field(default_factory=dict)
    portable: PortableNames | None = None
    applied: bool = False

    def path(self, number: int, path: str) -> str:
        """Return the path in the package of the item of that row, which was staged under `path`."""
        path = self.renamed.get(number, path)
        return self.portable.path(number, path) if self.applied and self.portable is not None else path

    def is_changed(self, number: int) -> bool:
        """Return whether the item's path in the package is not the one it was staged under."""
        return number in self.renamed or (self.applied and self.is_unportable(number))

    @property
    def all_kept(self) -> bool:
        """Return whether every item has the path that it was staged under."""
        return not self.renamed and not (self.applied and self.unportable)

    @property
    def unportable(self) -> int:
        """The number of items with a path that not every system accepts."""
        return 0 if self.portable is None else int(np.count_nonzero(self.portable.changed))

    def is_unportable(self, number: int) -> bool:
        """Return whether the item's path is one that not every system accepts."""
        return self.portable is not None and bool(self.portable.changed[number])


class PortableNames:
    """Portable paths for the items of a manifest: equal for equal manifests, and unique on every system.

    Of names in one folder that differ only in case or Unicode form, the first in their order is kept, folders before
    files. A path that is too long with the package's folders loses its innermost folders and the end of its name. Needs
    9 bytes of memory per item, 16 per folder, and the names that clash.
    """

    def __init__(self, manifest: Batches, renamed: dict[int, str], base: str) -> None:
        self._manifest, self._renamed = manifest, renamed
        self._limit = MAX_UNITS - units(f"{base}/data/")
        self._folders: dict[str, str] = {}
        self._files: dict[int, str] = {}
        self._known: dict[str, str] = {"": ""}
        self.changed: npt.NDArray[np.bool_] = np.zeros(0, np.bool_)
        folders = self._rename_folders()
        self._rename_files(folders)

    def path(self, number: int, path: str) -> str:
        """Return the portable path of the item of that row, whose path is `path`."""
        if not self.changed[number]:
            return path
        known = self._files.get(number)
        return known if known is not None else self._placed(path)[1]

    def reasons(self, number: int, path: str) -> list[str]:
        """Return why the path of that row is not portable, in words."""
        found = [why for part in path.split("/") for why in whats_wrong(part)]
        if units(path) > self._limit:
            found.append(f"a path of more than {MAX_UNITS} characters with the package's folders")
        clashes = number in self._files or any(folder in self._folders for folder in _folders_above(path))
        if clashes or not found:
            found.append("a name that differs from another only in case or Unicode form")
        return list(dict.fromkeys(found))

    def _batches(self) -> Iterator[list[str]]:
        start = 0
        for batch in self._manifest(["path"]):
            paths = batch.column(0).to_pylist()
            if self._renamed:
                paths = [self._renamed.get(start + row, path) for row, path in enumerate(paths)]
            yield paths
            start += len(paths)

    def _numbered(self) -> Iterator[tuple[int, str]]:
        return enumerate(chain.from_iterable(self._batches()))

    # Folders

    def _rename_folders(self) -> _Hashes:
        """Find new names for folders; return the sorted hashes of all folder names after that."""
        pairs = np.empty((0, 2), np.int64)
        fresh: list[npt.NDArray[np.int64]] = []
        for batch in self._batches():
            folders = _all_folders(batch)
            found = [(_hash(_folder_node(folder)), hash(folder)) for folder in folders]
            fresh.append(np.array(found, np.int64).reshape(-1, 2))
            if sum(map(len, fresh)) > len(pairs) + 1_000_000:
                pairs, fresh = np.unique(np.concatenate([pairs, *fresh]), axis=0), []
        pairs = np.unique(np.concatenate([pairs, *fresh]), axis=0)
        taken = np.sort(pairs[:, 0])
        suspects = _repeated(taken)
        if suspects:
            groups: dict[_Node, set[str]] = {}
            for batch in self._batches():
                for folder in _all_folders(batch):
                    node = _folder_node(folder)
                    if _hash(node) in suspects:
                        groups.setdefault(node, set()).add(folder)
            added: set[int] = set()
            for node in sorted(groups):
                for folder in sorted(groups[node])[1:]:
                    part = portable_part(folder.rpartition("/")[2], folder)
                    self._folders[folder] = _untaken(node[0], part, folder, taken, added)
            taken = np.sort(np.concatenate([taken, np.fromiter(added, np.int64, len(added))]))
            self._known = {"": ""}
        return taken

    def _folder(self, folder: str) -> str:
        """Return the portable path of a folder."""
        unknown = []
        while (above := self._known.get(folder)) is None:  # not recursive: a path may have tens of thousands of parts
            unknown.append(folder)
            folder = folder.rpartition("/")[0]
        if len(self._known) > 100_000:
            self._known = {"": ""}
        for below in reversed(unknown):
            new = self._folders.get(below) or portable_part(below.rpartition("/")[2], below)
            above = self._known[below] = f"{above}/{new}" if above else new
        return above

    # Files

    def _placed(self, path: str) -> tuple[str, str]:
        """Return the (original) folder that an item goes to, and its portable path unless that clashes with another."""
        folder, _, part = path.rpartition("/")
        new = portable_part(part, path)
        above = self._folder(folder)
        whole = f"{above}/{new}" if above else new
        if units(whole) <= self._limit:
            return folder, whole
        folder, above, left = self._with_units_left(folder)
        return folder, above + marked_path(new, path, left)

    def _with_units_left(self, folder: str) -> tuple[str, str, int]:
        """Return the innermost folder, of this one and those above it, that leaves enough units for a name.

        With it come its portable path with a slash, and the units left.
        """
        while True:
            above = self._folder(folder)
            above = f"{above}/" if above else ""
            left = self._limit - units(above)
            if left >= _FEWEST_UNITS or not folder:
                return folder, above, min(MAX_PART, max(left, _FEWEST_UNITS))
            folder = folder.rpartition("/")[0]

    def _rename_files(self, folders: _Hashes) -> None:
        """Find new names for files that clash, and record which paths change."""
        hashes, changed = GrownArray(np.int64), GrownArray(np.bool_)
        for paths in self._batches():
            nodes, differs = _array(map(hash, paths), len(paths)), np.zeros(len(paths), np.bool_)
            plain, is_node = self._plain(paths)
            for row in np.flatnonzero(~is_node).tolist():
                path = paths[row]
                folder, whole = (path.rpartition("/")[0], path) if plain[row] else self._placed(path)
                nodes[row] = _hash((folder, same_name(whole.rpartition("/")[2])))
                differs[row] = whole != path
            hashes.add(nodes)
            changed.add(differs)
        self.changed = changed.array()
        taken = hashes.array()
        taken.sort()
        suspects = _repeated(taken) | set(folders[are_in(taken, folders)].tolist())
        if not suspects:
            return
        groups: dict[_Node, list[tuple[str, int]]] = {}
        for number, path in self._numbered():
            folder, whole = self._placed(path)
            node = folder, same_name(whole.rpartition("/")[2])
            if _hash(node) in suspects:
                groups.setdefault(node, []).append((path, number))
        taken = np.sort(np.concatenate([taken, folders]))
        added: set[int] = set()
        for node in sorted(groups):
            keeps = 0 if _in(folders, _hash(node)) else 1
            for path, number in sorted(groups[node])[keeps:]:
                part = self._placed(path)[1].rpartition("/")[2]
                folder, above, left = self._with_units_left(node[0])
                self._files[number] = above + _untaken(folder, part, path, taken, added, left)
                self.changed[number] = True

    def _plain(self, paths: list[str]) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """Return which paths certainly stay as they are, unless they clash, and which of them have a lower-case name.

        Such a name is its own common form, so that the path is its node.
        """
        column = pa.array(paths, pa.string())
        fine = pc.and_not(pc.match_substring_regex(column, PLAIN), pc.match_substring_regex(column, DEVICES))
        fine = pc.and_(fine, pc.less_equal(pc.binary_length(column), self._limit))
        if self._folders:
            fine = pc.and_(fine, False)
        lower = pc.and_not(fine, pc.match_substring_regex(column, _UPPER))
        return fine.to_numpy(zero_copy_only=False), lower.to_numpy(zero_copy_only=False)


def _hash(node: _Node) -> int:
    """Return a hash of a node: that of the path whose name is in the common form."""
    folder, same = node
    return hash(f"{folder}/{same}" if folder else same)


def _array(values: Iterable[int], count: int) -> _Hashes:
    return np.fromiter(values, np.int64, count)


def _untaken(
    folder: str, part: str, whole: str, taken: _Hashes, added: set[int], size: int = MAX_PART
) -> str:  # fmt: skip
    """Return, and add, a marked name of at most `size` bytes that nothing else in the folder has."""
    new = marked_path(part, whole, size)
    while _in(taken, node := _hash((folder, same_name(new)))) or node in added:
        new = marked_path(new, f"{whole}\0{new}", size)
    added.add(node)
    return new


def _folder_node(folder: str) -> _Node:
    parent, _, part = folder.rpartition("/")
    return parent, same_name(portable_part(part, folder))


def _folders_above(path: str) -> Iterator[str]:
    folder = path.rpartition("/")[0]
    while folder:
        yield folder
        folder = folder.rpartition("/")[0]


def _all_folders(paths: Iterable[str]) -> set[str]:
    """Return the folders of the paths, and all folders above them."""
    found: set[str] = set()
    for parent in {path.rpartition("/")[0] for path in paths}:
        while parent and parent not in found:
            found.add(parent)
            parent = parent.rpartition("/")[0]
    return found


def _repeated(ordered: _Hashes) -> set[int]:
    return set(np.unique(ordered[1:][ordered[1:] == ordered[:-1]]).tolist())


def _in(ordered: _Hashes, value: int) -> bool:
    at: Any = np.searchsorted(ordered, value)
    return bool(at < len(ordered) and int(ordered[at]) == value)
