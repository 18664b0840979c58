"""How a collection grew: its items and bytes over time, from the ledger, also while the job runs."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from prefect_collect.console.recent import Recent
from prefect_collect.errors import CorruptPart, KeyMissing
from prefect_collect.job_folder import store_keys
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.job_folder.parquet import read_batches
from prefect_collect.threads.pool import Pool

POINTS: Final = 60
"""The most points of a curve."""

_MOST_PARTS: Final = 250
"""Parts of the ledger that one look reads; the next look reads on."""

_MOST_JOBS: Final = 200
_THREADS: Final = 8
_COLUMNS: Final = ["size", "collected_at"]


@dataclass(frozen=True)
class Growth:
    """The items and bytes that an attempt had collected by certain times.

    Attributes:
        attempt: The attempt's number.
        start: When its first item was collected.
        end: When its last item was collected.
        items: The number of items collected by each of evenly spread times, the last of which is `end`.
        bytes: Their bytes.
        is_whole: Whether the whole ledger was read; if not, another look continues.
    """

    attempt: int
    start: datetime
    end: datetime
    items: tuple[int, ...]
    bytes: tuple[int, ...]
    is_whole: bool


@dataclass
class _Read:
    """What was read of an attempt's ledger: sums by second."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    parts: set[int] = field(default_factory=set)
    seconds: dict[int, tuple[int, int]] = field(default_factory=dict)


class Growths:
    """The ledgers that were read, so that each part of one is read once; used by several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: Recent[tuple[str, str, int], _Read] = Recent(_MOST_JOBS)

    def of(self, folder: JobFolder) -> Growth | None:
        """Return how the newest attempt that has collected items grew; None if none has. Raise StoreError."""
        for attempt in reversed(folder.attempts()):
            parts = folder.parts("ledger", attempt)
            if parts and (found := self._read(folder, attempt, parts)) is not None:
                return found
        return None

    def _read(self, folder: JobFolder, attempt: int, parts: list[int]) -> Growth | None:
        key = folder.store.url, folder.job_id, attempt
        with self._lock:
            known = self._known.of(key, _Read)
        with known.lock:
            new = [part for part in parts if part not in known.parts]
            with Pool(_THREADS, "growth") as pool:
                for sums in pool.map(lambda part: _sums(folder, attempt, part), new[:_MOST_PARTS]):
                    for second, (items, size) in sums.items():
                        before = known.seconds.get(second, (0, 0))
                        known.seconds[second] = before[0] + items, before[1] + size
            known.parts.update(new[:_MOST_PARTS])
            return _growth(attempt, dict(known.seconds), is_whole=len(new) <= _MOST_PARTS)


def _sums(folder: JobFolder, attempt: int, part: int) -> dict[int, tuple[int, int]]:
    """Return the items and bytes that were collected in each second; of a damaged part, none."""
    found: dict[int, tuple[int, int]] = {}
    try:
        for batch in read_batches(folder.store, store_keys.ledger_key(folder.job_id, attempt, part), _COLUMNS):
            held = batch.filter(pc.is_valid(batch["collected_at"]))
            at = held["collected_at"].cast(pa.int64()).to_numpy() // 1_000_000
            sizes = pc.fill_null(held["size"], 0).to_numpy()
            seconds, places = np.unique(at, return_inverse=True)
            items = np.bincount(places, minlength=len(seconds))
            totals = np.bincount(places, weights=sizes, minlength=len(seconds))
            for second, number, size in zip(seconds.tolist(), items.tolist(), totals.tolist(), strict=True):
                before = found.get(second, (0, 0))
                found[second] = before[0] + number, before[1] + int(size)
    except (KeyMissing, CorruptPart):
        return {}
    return found


def _growth(attempt: int, sums: dict[int, tuple[int, int]], *, is_whole: bool) -> Growth | None:
    if not sums:
        return None
    seconds = np.array(sorted(sums), np.int64)
    items: npt.NDArray[Any] = np.cumsum([sums[second][0] for second in seconds.tolist()])
    sizes: npt.NDArray[Any] = np.cumsum([sums[second][1] for second in seconds.tolist()])
    first, last = int(seconds[0]), int(seconds[-1])
    times = np.linspace(first, last, min(POINTS, last - first + 1))
    upto = np.searchsorted(seconds, times, "right") - 1
    return Growth(
        attempt=attempt,
        start=datetime.fromtimestamp(first, UTC),
        end=datetime.fromtimestamp(last + 1, UTC),
        items=tuple(items[upto].tolist()),
        bytes=tuple(sizes[upto].tolist()),
        is_whole=is_whole,
    )
