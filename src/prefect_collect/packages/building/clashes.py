"""Finds items whose paths cannot exist together: the same path twice, or a file where a folder is needed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from prefect_collect.archive.item_paths import marked_path
from prefect_collect.job_folder.grown_array import GrownArray
from prefect_collect.job_folder.manifest_rules import Batches

_Hashes = npt.NDArray[np.int64]


def find_clashes(manifest: Batches) -> dict[int, str]:
    """Return the rows of the manifest that must be renamed, with their new paths.

    Of items with the same path, the first by item_id keeps it; a file whose path is another item's folder is renamed.
    The new path is `item_paths.marked_path`. Needs 8 bytes of memory per item and per folder.
    """
    files, folders = _hashes(manifest)
    suspects = set(_repeated(files).tolist()) | set(folders[are_in(files, folders)].tolist())
    if not suspects:
        return {}
    taken = _Sorted(files), _Sorted(folders)
    renamed: dict[int, str] = {}
    for path, rows in _rows_of(manifest, suspects).items():
        ordered = sorted(rows)
        keeps = 0 if hash(path) in taken[1] else 1
        for item_id, row in ordered[keeps:]:
            new = marked_path(path, item_id)
            while hash(new) in taken[0] or hash(new) in taken[1]:
                new = marked_path(new, item_id)
            renamed[row] = new
    return renamed


class _Sorted:
    """A set of hashes as a sorted array."""

    def __init__(self, hashes: _Hashes) -> None:
        self._hashes = hashes

    def __contains__(self, value: int) -> bool:
        at = int(np.searchsorted(self._hashes, value))
        return at < len(self._hashes) and int(self._hashes[at]) == value


def _hashes(manifest: Batches) -> tuple[_Hashes, _Hashes]:
    """Return the sorted hashes of all paths, and of all folders that they need.

    Python's own string hash has 64 bits. It differs between processes, which does no harm: paths with equal hashes are
    compared.
    """
    files = GrownArray(np.int64)
    folders = np.empty(0, np.int64)
    fresh: list[_Hashes] = []
    for batch in manifest(["path"]):
        paths = batch.column(0).to_pylist()
        files.add(_array(map(hash, paths), len(paths)))
        needed = _folders({path.rpartition("/")[0] for path in paths})
        fresh.append(_array(map(hash, needed), len(needed)))
        if sum(map(len, fresh)) > len(folders) + 1_000_000:
            folders, fresh = np.unique(np.concatenate([folders, *fresh])), []
    every = files.array()
    every.sort()
    return every, np.unique(np.concatenate([folders, *fresh]))


def are_in(ordered: npt.NDArray[Any], values: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Return which of the values a sorted array has, without a copy of it."""
    found = np.zeros(len(values), np.bool_)
    at = np.searchsorted(ordered, values)
    inside = at < len(ordered)
    found[inside] = ordered[at[inside]] == values[inside]
    return found


def _folders(parents: set[str]) -> set[str]:
    """Return the folders and all folders above them."""
    found: set[str] = set()
    for parent in parents:
        while parent and parent not in found:
            found.add(parent)
            parent = parent.rpartition("/")[0]
    return found


def _array(values: Iterable[int], count: int) -> _Hashes:
    return np.fromiter(values, np.int64, count)


def _repeated(ordered: _Hashes) -> Any:
    return np.unique(ordered[1:][ordered[1:] == ordered[:-1]])


def _rows_of(manifest: Batches, suspects: set[int]) -> dict[str, list[tuple[str, int]]]:
    """Return, by path, item id and row of every item whose path has one of the hashes."""
    found: dict[str, list[tuple[str, int]]] = {}
    start = 0
    for batch in manifest(["path", "item_id"]):
        paths = batch.column(0).to_pylist()
        for number, path in enumerate(paths):
            if hash(path) in suspects:
                found.setdefault(path, []).append((batch.column(1)[number].as_py(), start + number))
        start += len(paths)
    return found
