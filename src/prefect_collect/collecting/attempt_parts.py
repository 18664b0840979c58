"""What an attempt left in its inventory and its ledger, part by part."""

from __future__ import annotations

from collections.abc import Iterator
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

_LOST_PARTS: Final = 10_000
"""Parts that an account can name as lost beside those that are there."""


class AttemptParts:
    """The items that an attempt found, and what its shards committed of them; the mark of its end is read once.

    With `compared`, a ledger part that does not account for just the items of its inventory part counts as damaged.
    """

    def __init__(self, folder: JobFolder, attempt: int, *, compared: bool) -> None:
        self._folder, self._attempt, self._compared = folder, attempt, compared
        self.totals = folder.inventory_totals(attempt) or {}
        self._frozen = set(folder.parts("inventory", attempt))
        self._committed = set(folder.parts("ledger", attempt))
        present = self._frozen | self._committed
        self._parts = sorted(present | set(range(self._said(present))))
        self.lost: list[int] = []
        """Parts of which neither the inventory nor the ledger can be read."""

    def _said(self, present: set[int]) -> int:
        """How many parts the inventory's end says that there are. Raises CorruptPart if nearly all of them are gone."""
        said: int = self.totals.get("parts", 0)
        if said > _LOST_PARTS + 2 * len(present):
            raise CorruptPart(
                f"The inventory says that it has {said} parts, but {len(present)} are there; restore them from a "
                f"backup. [job={self._folder.job_id}, attempt={self._attempt}]"
            )
        return said

    def redone(self) -> IdSet:
        """The items that this attempt took over from earlier ones: those it lists, and the folders it opened up."""
        ids = IdSet()
        for part in self._parts:
            table = self._inventory(part)
            if table is not None:
                ids.add(table["expands"].drop_null().unique().to_pylist())
            else:
                table = self._ledger(part)[0]
            if table is not None:
                ids.add(table["item_id"].to_pylist())
        ids.add(self.totals.get("resolved", ()))
        return ids

    def outcomes(self, missing: Failure, warnings: list[str]) -> Iterator[pa.Table]:
        """The outcome of every item, part by part: committed, or not attempted because of `missing`.

        Damage of ledger parts is added to the `warnings`.
        """
        for part in self._parts:
            table, damage = self._ledger(part)
            if table is not None:
                yield table
                continue
            if damage is not None:
                warnings.append(damage.message)
            inventory = self._inventory(part)
            if inventory is None:
                self.lost.append(part)
            else:
                yield not_attempted(inventory, damage or missing)

    def is_complete(self, found: int) -> bool:
        """Whether the source was listed to its end, and all that was found is accounted for."""
        if not self.totals.get("listed"):
            return False
        said = self.totals.get("items")
        if found != said and not self.lost:
            raise CorruptPart(
                f"The inventory says that {said} items were found, but its parts hold {found}; restore "
                f"them from a backup. [job={self._folder.job_id}, attempt={self._attempt}]"
            )
        return not self.lost

    def lost_failure(self) -> Failure:
        """What it means for the job that parts are lost."""
        parts = ", ".join(map(str, self.lost))
        return Failure(
            "ledger_corrupt",
            f"Inventory and ledger of shard {parts} are lost, so its items are not accounted for; a retry lists the "
            f"source again. [job={self._folder.job_id}, attempt={self._attempt}]",
        )

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
        what = "The ledger part of a shard does not account for just the items that the shard was given, as they were"
        return None, Failure("ledger_corrupt", f"{what} listed. Restore it from a backup. [{where}]")

    def _inventory(self, part: int) -> pa.Table | None:
        if part not in self._frozen:
            return None
        try:
            return read_inventory(self._folder, self._attempt, part)
        except (CorruptPart, KeyMissing):
            return None
