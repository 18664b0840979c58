"""Settling what an attempt of a lost process holds, before it is closed.

The process may only have been frozen, and come back. So each shard that it has not committed is committed for it, as
not attempted, and the next part of its inventory is taken: its own conditional creates fail from then on, and nothing
that it writes is ever read.
"""

from __future__ import annotations

from contextlib import suppress
from itertools import count

from prefect_collect import layout
from prefect_collect.errors import CorruptPart, KeyExists
from prefect_collect.items import Failure
from prefect_collect.jobfolder import JobFolder
from prefect_collect.ledger import inventory_table, ledger_bytes, not_attempted, read_inventory
from prefect_collect.parts import part_bytes


def fence(folder: JobFolder, attempt: int, why: Failure) -> None:
    """Let the attempt's process add nothing any more; `why` is the reason of what it did not come to.

    Raises StoreError.
    What it commits meanwhile counts: of two that commit a shard, one wins. A part that is damaged is left as it is.
    """
    if folder.inventory_totals(attempt) is None:
        _end_listing(folder, attempt)
    committed = set(folder.parts("ledger", attempt))
    for part in folder.parts("inventory", attempt):
        if part not in committed:
            with suppress(KeyExists, CorruptPart):
                table = not_attempted(read_inventory(folder, attempt, part), why)
                folder.store.create(layout.ledger_key(folder.job_id, attempt, part), ledger_bytes(table, []))


def _end_listing(folder: JobFolder, attempt: int) -> None:
    """Take the number of the next inventory part, with no items."""
    empty = part_bytes(inventory_table([]))
    for part in count(max(folder.parts("inventory", attempt), default=-1) + 1):
        with suppress(KeyExists):
            folder.store.create(layout.inventory_key(folder.job_id, attempt, part), empty)
            return
