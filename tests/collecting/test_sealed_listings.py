"""A listing that is ended at once, while its thread still lists."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import cast

import pyarrow as pa
import pytest

from prefect_collect.collecting import enumeration
from prefect_collect.job_folder.ledger import inventory_table, read_inventory
from prefect_collect.job_folder.lifecycle import claim_attempt
from prefect_collect.sources import Item
from tests.support.memory_source import MemorySource
from tests.support.memory_store import MemoryStore
from tests.support.run_attempts import new_job


def test_what_is_listed_while_the_last_shard_is_frozen_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """An item that comes while the rows are made is in none of their columns: in some, it would lose them all."""
    monkeypatch.setattr(enumeration, "SHARD_ITEMS", 3)
    listed, freezing, more = threading.Event(), threading.Event(), threading.Event()

    class Late:
        """An item that tells when it was listed: its size is looked at after that."""

        id = path = "late"
        expands = None

        @property
        def size(self) -> int:
            more.set()
            return 0

    def items() -> Iterator[Item]:
        for number in range(4):
            yield Item(f"{number}", f"{number}")
        listed.set()
        freezing.wait(60)
        yield cast(Item, Late())

    def while_more_comes(rows: Sequence[Item], custodians: Sequence[str | None]) -> pa.Table:
        if [row.id for row in rows] == ["3"]:
            freezing.set()
            assert more.wait(60)
        return inventory_table(rows, custodians)

    monkeypatch.setattr(enumeration, "inventory_table", while_more_comes)
    source = MemorySource()
    folder = new_job(MemoryStore(), source)
    attempt = claim_attempt(folder)
    shards = enumeration.enumerate_source(source, items(), folder, attempt)
    assert next(shards).items == 3
    assert listed.wait(60)
    shards.close()
    assert read_inventory(folder, attempt, 1)["item_id"].to_pylist() == ["3"]
