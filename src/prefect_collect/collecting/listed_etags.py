"""The ETags by which earlier attempts listed items, for a retry of those that were never tried."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from prefect_collect.errors import CorruptPart, KeyMissing
from prefect_collect.job_folder import store_keys
from prefect_collect.job_folder.checked_evidence import Vouched
from prefect_collect.job_folder.folder import JobFolder

_COLUMNS: Final = ["item_id", "source_etag"]


class ListedEtags:
    """Reads the inventories of a job's attempts beside its error report, which has the items in the same order.

    So each inventory is read once, and no more than a part of it is held. From the first item that is not found in its
    inventory, because a part is lost or damaged, no ETag of that attempt is known: nothing is then compared with it.
    """

    def __init__(self, folder: JobFolder, evidence: Vouched) -> None:
        self._folder, self._evidence = folder, evidence
        self._open: dict[int, Iterator[tuple[str, str | None]]] = {}

    def of(self, attempt: int, item_id: str) -> str | None:
        """Return the ETag by which an attempt listed the next of its items; None if it is not known."""
        listed = self._open.get(attempt)
        if listed is None:
            listed = self._open[attempt] = self._listed(attempt)
        return next((etag for id_, etag in listed if id_ == item_id), None)

    def _listed(self, attempt: int) -> Iterator[tuple[str, str | None]]:
        job_id = self._folder.job_id
        with suppress(CorruptPart, KeyMissing):
            for part in self._folder.parts("inventory", attempt):
                for batch in self._evidence.batches(store_keys.inventory_key(job_id, attempt, part), _COLUMNS):
                    yield from zip(*(batch[name].to_pylist() for name in _COLUMNS), strict=True)
