"""Proves, before a package is made, that the staging store still holds every item as it was collected."""

from __future__ import annotations

import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from prefect_collect.codes import Failure
from prefect_collect.errors import KeyMissing, StoreAccessDenied, StoreError, StoreFull
from prefect_collect.job_folder.manifest_rules import Batches, manifest_faults
from prefect_collect.job_folder.store_keys import segment_key
from prefect_collect.packages.building.clashes import find_clashes
from prefect_collect.packages.building.duplicates import Duplicates
from prefect_collect.packages.building.names import Names, PortableNames
from prefect_collect.packages.building.proving import prove_items
from prefect_collect.packages.building.rows import KeptRows, Row, by_segment, misfits, parts_of, read_rows
from prefect_collect.packages.building.spec import DUPLICATE, PackageSpec
from prefect_collect.stores import BegunFile, Blob, DirectoryStore, Store
from prefect_collect.threads.pool import SMALL, Pool, in_this_thread
from prefect_collect.threads.stop import Stop

_GOOD: Final = 0
_WITHHELD: Final = -1
_ELSEWHERE: Final = "The item has the bytes of another one; the lists over all bags of the group name it."
"""What a bag of a group says, whose lists mark no duplicates."""

_REMOTE_THREADS, _LOCAL_THREADS = 16, 2


@dataclass(slots=True)
class Checked:
    """The outcome of checking the items of a manifest, by row number.

    `known` holds the segments that were recognised by their ETag, so that a copy can require it; `duplicates` which
    rows repeat the bytes of others, if that was asked for by `withhold`; `begun` the package's file, if it was begun,
    and then `rows` all rows, if they are few.
    """

    items: int = 0
    names: Names = field(default_factory=Names)
    known: dict[str, Blob] = field(default_factory=dict)
    duplicates: Duplicates | None = None
    begun: BegunFile | None = None
    rows: KeptRows = field(default_factory=KeptRows)
    _reasons: list[str] = field(default_factory=lambda: [""])
    _numbers: dict[str, int] = field(default_factory=dict)
    _reason_of: np.ndarray[Any, np.dtype[np.int32]] = field(default_factory=lambda: np.zeros(0, np.int32))
    _new_header: set[int] = field(default_factory=set)
    _sha512: Any = None

    @property
    def failed(self) -> int:
        """The number of items that cannot be exported."""
        return int(np.count_nonzero(self.bad))

    @property
    def bad(self) -> npt.NDArray[np.bool_]:
        """Of each row, whether its item cannot be exported."""
        return self._reason_of > _GOOD

    @property
    def undelivered(self) -> int:
        """The number of items that cannot be exported or are withheld."""
        return int(np.count_nonzero(self._reason_of))

    def withhold(self, duplicates: Duplicates) -> None:
        """Withhold the items that `duplicates` withholds: they are not delivered, and their code is ``duplicate``."""
        self.duplicates = duplicates
        self._reason_of[duplicates.withheld] = _WITHHELD

    def release(self, failed: Iterable[int], *, every: bool) -> set[int]:
        """Return the rows that are to be delivered now, because those in `failed`, their originals, could not be.

        With `every`, they are all that wait for an original in `failed`; otherwise one for each.
        """
        if self.duplicates is None:
            return set()
        rows = self.duplicates.release(np.fromiter(failed, np.int64), every=every)
        self._reason_of[rows] = _GOOD
        return set(rows.tolist())

    def is_good(self, number: int) -> bool:
        """Return whether the item of that row is to be exported, and can be."""
        return bool(self._reason_of[number] == _GOOD)

    def bad_rows(self, start: int, count: int) -> list[int]:
        """Return which of the `count` rows from `start` on are not exported, numbered from 0 at `start`."""
        rows: list[int] = np.flatnonzero(self._reason_of[start : start + count]).tolist()
        return rows

    def keeps_header(self, number: int) -> bool:
        """Return whether the item's local header in the segment can be used unchanged."""
        return number not in self._new_header and not self.names.is_changed(number)

    @property
    def keeps_all_headers(self) -> bool:
        """Return whether `keeps_header` holds for all items."""
        return not self._new_header and self.names.all_kept

    def sha512(self, number: int) -> bytes:
        """Return the item's SHA-512, if it was asked for."""
        return bytes(self._sha512[number].tobytes())

    def failure(self, number: int, path: str, segment: str | None) -> Failure | None:
        """Return why the item of that row is not exported; None if it is."""
        if self.is_good(number):
            return None
        if self._reason_of[number] == _WITHHELD:
            why = _ELSEWHERE if self.duplicates is None else self.duplicates.reason(number)
            return Failure(DUPLICATE, f"{why} [item={path}]")
        reason = self._reasons[self._reason_of[number]]
        return Failure(
            "segment_corrupt",
            f"The staged item cannot be exported: {reason}. Restore the segment from a backup and retry, or collect "
            f"the item again. [item={path}, segment={segment}]",
        )

    def failures(self, manifest: Batches) -> Iterator[tuple[int, str, Failure]]:
        """Yield row number, item id and failure of each item that is not exported, in the manifest's order."""
        start = 0
        for batch in manifest(["item_id", "path", "segment"]):
            for offset in self.bad_rows(start, batch.num_rows):
                item_id, path, segment = (batch.column(column)[offset].as_py() for column in range(3))
                failure = self.failure(start + offset, path, segment)
                if failure is not None:
                    yield start + offset, item_id, failure
            start += batch.num_rows

    def reason(self, text: str) -> int:
        """Return the number that stands for a reason."""
        number = self._numbers.setdefault(text, len(self._reasons))
        if number == len(self._reasons):
            self._reasons.append(text)
        return number


def check_items(
    manifest: Batches,
    staging: Store,
    spec: PackageSpec,
    *,
    base: str | None = None,
    known: Mapping[str, Blob] | None = None,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    stop: Stop | None = None,
    begins: Callable[[list[Row]], None] | None = None,
) -> Checked:
    """Prove each item of the manifest, and find the items that must be renamed.

    In a directory, every item's bytes are hashed (SHA-256) and its local header is compared with the expected one; a
    damaged header alone does no harm, because it is written again. On S3 a segment whose size and ETag are those in
    `known` (by the segment's name in the manifest) counts as proven, unless SHA-512 is asked for; any other segment is
    read. A lost, shortened or altered segment fails only the items that it damages (``segment_corrupt``). `progress` is
    called, one call at a time, with the items and bytes done since the last call; `begins`, if no item must be renamed,
    with rows before they are checked, in their order. Paths are portable below the folder `base`, the longest one of
    the package, by default the one of `spec`.

    Raises:
        StoreUnavailable, StoreAccessDenied, CorruptPart: The whole job is affected.
        JobCanceled: `stop` was set to cancel.
    """
    stop = Stop() if stop is None else stop
    check = _Check(staging, spec, dict(known or {}), progress, stop)
    check.faults = manifest_faults(manifest)
    renamed = find_clashes(manifest)
    check.found.names = Names(renamed, PortableNames(manifest, renamed, base or spec.base), applied=spec.portable)
    is_local = isinstance(staging, DirectoryStore)
    threads = threads or (_LOCAL_THREADS if is_local else _REMOTE_THREADS)
    with Pool(threads, "check") as pool:
        waiting: deque[Future[None]] = deque()
        for rows in read_rows(manifest):
            stop.require_going()
            check.extend(len(rows))
            if begins is not None:
                check.found.rows.add(rows)
            for group in by_segment(rows):
                for some in parts_of(group) if is_local else (group,):
                    is_small = is_local and sum(row.stored_size or 0 for row in some) < SMALL * len(some)
                    if begins is not None and check.found.names.all_kept:
                        begins(some)
                    waiting.append((in_this_thread if is_small else pool.submit)(check.segment, some))
                    while len(waiting) > 4 * threads:
                        waiting.popleft().result()
        for future in waiting:
            future.result()
    return check.found


class _Check:
    """One run of `check_items`; its methods are called by several threads."""

    def __init__(
        self,
        staging: Store,
        spec: PackageSpec,
        known: dict[str, Blob],
        progress: Callable[[int, int], None] | None,
        stop: Stop,
    ) -> None:
        self._stop = stop
        self.found = Checked()
        self.faults: dict[int, str] = {}
        self._staging, self._spec, self._known, self._progress = staging, spec, known, progress
        self._prefix = f"{spec.base}/data/".encode()
        self._proven: set[str] = set()
        self._lock = threading.Lock()
        self._room = self.found._reason_of
        self._digests: Any = tempfile.TemporaryFile() if spec.sha512 else None  # noqa: SIM115

    def extend(self, count: int) -> None:
        """Extend the results by that many items."""
        found = self.found
        found.items += count
        with self._lock:
            if found.items > len(self._room):  # by a half more, as to copy it for each batch takes quadratic time
                room = np.zeros(max(found.items, len(self._room) * 3 // 2), np.int32)
                room[: len(found._reason_of)] = found._reason_of
                self._room = room
            found._reason_of = self._room[: found.items]
        if self._digests is not None:
            with self._lock:
                self._digests.truncate(max(1, found.items) * 64)
                found._sha512 = np.memmap(self._digests, np.uint8, "r+", shape=(max(1, found.items), 64))

    def segment(self, rows: list[Row]) -> None:
        """Check items of one segment."""
        self._stop.require_going()
        reasons = {row.number: self.faults[row.number] for row in rows if row.number in self.faults}
        placed = [row for row in rows if row.number not in reasons] if reasons else rows
        headers: set[int] = set()
        if placed:
            self._check_placed(placed, reasons, headers)
        with self._lock:
            self.found._new_header |= headers
            for number, reason in reasons.items():
                self.found._reason_of[number] = self.found.reason(reason)
            if self._progress is not None:
                self._progress(len(rows), sum(row.size for row in placed))

    def _check_placed(self, rows: list[Row], reasons: dict[int, str], headers: set[int]) -> None:
        name = rows[0].segment
        key = segment_key(self._spec.job_id, name)
        try:
            if not self._spec.sha512 and self._is_proven(name, key, max(row.end for row in rows), rows[0]):
                headers.update(misfits(rows, len(self._prefix)))
                return
            keep_sha512 = self._keep_sha512 if self._spec.sha512 else None
            altered, unexpected = prove_items(self._staging, key, rows, self._prefix, self._stop, keep_sha512)
            reasons.update(altered)
            headers.update(unexpected)
        except (KeyMissing, StoreError) as error:
            if error.transient or isinstance(error, StoreAccessDenied | StoreFull):
                raise
            why = str(error).rpartition(" [")[0]
            lost = "its segment is lost" if isinstance(error, KeyMissing) else f"its segment cannot be read ({why})"
            reasons.update((row.number, lost) for row in rows)

    def _is_proven(self, name: str, key: str, end: int, first: Row) -> bool:
        """Return whether a segment is the recorded one, with the expected headers; it is asked for once."""
        if name in self._proven:
            return end <= self.found.known[name].size
        recorded = self._known.get(name)
        if recorded is None or not recorded.etag or isinstance(self._staging, DirectoryStore):
            return False
        now, header = self._staging.look(key, first.entry_offset, first.offset)
        if (now.size, now.etag) != (recorded.size, recorded.etag) or end > now.size:
            return False
        self.found.known[name] = now
        path = self._prefix + first.path.encode()
        if header == first.header(path, first.has_zip64(path)):  # then the other items have theirs too
            self._proven.add(name)
        return name in self._proven

    def _keep_sha512(self, number: int, digest: bytes) -> None:
        with self._lock:
            self.found._sha512[number] = np.frombuffer(digest, np.uint8)
