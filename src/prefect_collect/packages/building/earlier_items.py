"""Finds the rows of a manifest whose bytes earlier jobs hold or have delivered, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from prefect_collect.job_folder.manifest_rules import Batches
from prefect_collect.packages.building.clashes import are_in
from prefect_collect.packages.building.duplicate_texts import rows_among, temporary_database
from prefect_collect.parameters import Deduplicate

_DIGEST: Final = 32


@dataclass(frozen=True, slots=True)
class Earlier:
    """The items of an earlier job.

    Attributes:
        job_id: The job.
        delivers: True if it is an export, which has delivered them; False if it is a collection, which holds them.
        items: Its manifest.
    """

    job_id: str
    delivers: bool
    items: Batches


class EarlierItems:
    """Which rows of a manifest have the bytes of an earlier job's item.

    Attributes:
        rows: Of each row, whether one of the jobs has its bytes.
        delivered: Of each row, whether one has delivered them (with deduplicate="custodian": of the same custodian).
    """

    def __init__(
        self, manifest: Batches, prefixes: npt.NDArray[np.uint64], usable: npt.NDArray[np.bool_],
        jobs: Iterable[Earlier], deduplicate: Deduplicate | None,
    ) -> None:  # fmt: skip
        self.rows = np.zeros(len(prefixes), np.bool_)
        self.delivered = np.zeros(len(prefixes), np.bool_)
        self._per_custodian = deduplicate == "custodian"
        self._database = temporary_database()
        self._database.execute("CREATE TABLE known(key BLOB PRIMARY KEY, said TEXT) WITHOUT ROWID")
        self._database.execute("CREATE TABLE mark(row INTEGER PRIMARY KEY, said TEXT)")
        if jobs:
            ordered = np.unique(prefixes[usable])
            for job in jobs:
                self._remember(job, ordered)
            self._mark(manifest, usable)

    def said(self, rows: list[int]) -> dict[int, str]:
        """Return ``job/id`` of the item that each of these rows repeats."""
        return dict(rows_among(self._database, "SELECT row, said FROM mark WHERE row IN", rows))

    def _remember(self, job: Earlier, ordered: npt.NDArray[np.uint64]) -> None:
        """Keep the items of a job whose hashes begin as those of rows; the first one with a hash stands for all."""
        if not len(ordered):
            return
        for batch in job.items(["item_id", "sha256", "custodian"]):
            same = np.flatnonzero(are_in(ordered, digest_prefixes(batch["sha256"])))
            if not len(same):
                continue
            some = batch.take(pa.array(same))
            lists = (some[name].to_pylist() for name in ("item_id", "sha256", "custodian"))
            known = [
                (key, f"{job.job_id}/{item_id}")
                for item_id, digest, custodian in zip(*lists, strict=True)
                if digest is not None
                for key in (digest, *([self._key(digest, custodian)] if job.delivers else []))
            ]
            self._database.executemany("INSERT OR IGNORE INTO known VALUES (?, ?)", known)

    def _key(self, digest: bytes, custodian: str | None) -> bytes:
        """Return what stands for bytes that were delivered."""
        whose = "" if custodian is None or not self._per_custodian else f"={custodian}"
        return digest + b"delivered" + whose.encode()

    def _mark(self, manifest: Batches, usable: npt.NDArray[np.bool_]) -> None:
        start = 0
        for batch in manifest(["sha256", "custodian"]):
            digests, whose = batch["sha256"].to_pylist(), batch["custodian"].to_pylist()
            rows = np.flatnonzero(usable[start : start + len(digests)]).tolist()
            keys = {row: (digests[row], self._key(digests[row], whose[row])) for row in rows}
            known = self._known([key for pair in keys.values() for key in pair])
            marks = []
            for row, (held, given) in keys.items():
                if held in known:
                    self.rows[start + row] = True
                    self.delivered[start + row] = given in known
                    marks.append((start + row, known.get(given) or known[held]))
            self._database.executemany("INSERT INTO mark VALUES (?, ?)", marks)
            start += len(digests)

    def _known(self, keys: list[bytes]) -> dict[bytes, str]:
        return dict(rows_among(self._database, "SELECT key, said FROM known WHERE key IN", sorted(set(keys))))


def digest_prefixes(column: Any) -> npt.NDArray[np.uint64]:
    """Return the first 8 bytes of each SHA-256 of a column as a number; of null, anything."""
    count = len(column)
    raw = column.buffers()[1]
    if not count or raw is None:
        return np.zeros(count, np.uint64)
    whole = np.frombuffer(raw, np.uint64, count * _DIGEST // 8, column.offset * _DIGEST)
    return np.ascontiguousarray(whole[:: _DIGEST // 8])
