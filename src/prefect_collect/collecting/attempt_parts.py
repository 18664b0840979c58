"""The parts of an attempt's inventory and ledger."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Final

import pyarrow as pa

from prefect_collect.codes import Failure
from prefect_collect.collecting.shard_ledger import not_attempted
from prefect_collect.errors import CorruptPart, KeyMissing
from prefect_collect.job_folder import store_keys
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.job_folder.id_sets import IdSet
from prefect_collect.job_folder.ledger import read_inventory, read_ledger
from prefect_collect.job_folder.ledger_rules import is_of_inventory
from prefect_collect.threads.pool import in_order

_AT_ONCE: Final = 4
"""The parts that are read at once: on S3 each takes some 30 ms. Each thread that reads takes some 17 MiB."""

_LOST_PARTS: Final = 10_000
"""The most missing parts that an account can name, in addition to twice the number of those that exist."""


class AttemptParts:
    """The items that an attempt found, and the outcomes that its shards committed; the mark of its end is read once.

    With `compared`, a ledger part that does not account for exactly the items of its inventory part counts as damaged.
    """

    def __init__(self, folder: JobFolder, attempt: int, *, compared: bool) -> None:
        self._folder, self._attempt, self._compared = folder, attempt, compared
        self.totals = folder.inventory_totals(attempt) or {}
        self._frozen = set(folder.parts("inventory", attempt))
        self._committed = set(folder.parts("ledger", attempt))
        present = self._frozen | self._committed
        self._parts = sorted(present | set(range(self._expected_parts(present))))
        self.vanished: set[str] = set()
        """Of what this attempt replaces, the ids in whose place it has no item; known when `redone` was called."""
        self.lost: list[int] = []
        """Parts of which neither the inventory nor the ledger can be read."""

    def _expected_parts(self, present: set[int]) -> int:
        """Return the number of parts in the inventory's end mark.

        Raise CorruptPart if nearly all of them are missing.
        """
        said: int = self.totals.get("parts", 0)
        if said > _LOST_PARTS + 2 * len(present):
            raise CorruptPart(
                f"The inventory should have {said} parts, but only {len(present)} exist; restore them from a "
                f"backup. [job={self._folder.job_id}, attempt={self._attempt}]"
            )
        return said

    def redone(self) -> IdSet:
        """Return the ids that this attempt replaces in the account: its items, and the folders it listed again."""
        ids = IdSet()
        for of_part in in_order(self._redone, self._parts, _AT_ONCE):
            for found in of_part:
                ids.add(found)
        resolved: list[str] = [*self.totals.get("resolved", ())]
        is_there = ids.contains(resolved) if resolved else ()
        self.vanished = {id_ for id_, is_found in zip(resolved, is_there, strict=True) if not is_found}
        ids.add(resolved)
        return ids

    def outcomes(self, missing: Failure, warnings: list[str]) -> Iterator[pa.Table]:
        """Yield the outcome of every item, part by part: as committed, or not attempted because of `missing`.

        Damage of ledger parts is added to the `warnings`.
        """
        for part, table, damage in in_order(partial(self._outcome, missing), self._parts, _AT_ONCE):
            if damage is not None:
                warnings.append(damage.message)
            if table is None:
                self.lost.append(part)
            else:
                yield table

    def is_complete(self, found: int) -> bool:
        """Return whether the source was listed to its end, and every item found has an outcome."""
        if not self.totals.get("listed"):
            return False
        said = self.totals.get("items")
        if found != said and not self.lost:
            raise CorruptPart(
                f"The inventory's end counts {said} items, but its parts hold {found}; restore them from a backup. "
                f"[job={self._folder.job_id}, attempt={self._attempt}]"
            )
        return not self.lost

    def lost_failure(self) -> Failure:
        """Return the failure of the job that lost parts amount to."""
        parts = ", ".join(map(str, self.lost))
        return Failure(
            "ledger_corrupt",
            f"Inventory and ledger of shard {parts} are lost, so its items are not accounted for; a retry lists the "
            f"source again. [job={self._folder.job_id}, attempt={self._attempt}]",
        )

    def _redone(self, part: int) -> list[list[str]]:
        table = self._inventory(part)
        if table is not None:
            return [table["expands"].drop_null().unique().to_pylist(), table["item_id"].to_pylist()]
        table = self._ledger(part)[0]
        return [] if table is None else [table["item_id"].to_pylist()]

    def _outcome(self, missing: Failure, part: int) -> tuple[int, pa.Table | None, Failure | None]:
        """Return the part, the outcomes of its items (None if nothing of it can be read), and the ledger's damage."""
        table, damage = self._ledger(part)
        if table is None and (inventory := self._inventory(part)) is not None:
            table = not_attempted(inventory, damage or missing)
        return part, table, damage

    def _ledger(self, part: int) -> tuple[pa.Table | None, Failure | None]:
        if part not in self._committed:
            return None, None
        try:
            table = read_ledger(self._folder, self._attempt, part)
        except CorruptPart as error:
            return None, Failure("ledger_corrupt", str(error))
        if table is None or not self._compared:
            return table, None
        inventory = self._inventory(part)
        if inventory is None or is_of_inventory(table, inventory):
            return table, None
        where = self._folder.store.locate(store_keys.ledger_key(self._folder.job_id, self._attempt, part))
        what = "The ledger part of a shard does not account for exactly the items of its inventory part."
        return None, Failure("ledger_corrupt", f"{what} Restore it from a backup. [{where}]")

    def _inventory(self, part: int) -> pa.Table | None:
        if part not in self._frozen:
            return None
        try:
            return read_inventory(self._folder, self._attempt, part)
        except (CorruptPart, KeyMissing):
            return None
