"""Proving items before a package is made of them, over many batches of the manifest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from prefect_collect.job_folder.store_keys import segment_key
from prefect_collect.packages import check_items
from prefect_collect.stores import Blob
from tests.packages.conftest import JOB, Staging
from tests.support.memory_store import MemoryStore


def test_damage_in_every_batch_is_found(staging: Any, damage: Callable[[str, int, bytes], None]) -> None:
    """Items are numbered over all batches: each damaged one fails under its own number, and no other."""
    segments = [staging.stage([(f"{segment}/{n:04d}", b"%d" % n) for n in range(1300)]) for segment in range(3)]
    damaged = [0, 999, 1000, 2599, 2600, 3899]
    for number in damaged:
        damage(segments[number // 1300], staging.rows[number]["offset"], b"x")
    checked = staging.check()
    assert checked.items == len(staging.rows) == 3900
    assert checked.bad_rows(0, 3900) == damaged
    assert [number for number, _, _ in checked.failures(staging.manifest)] == damaged


class _Asked(MemoryStore):
    """Counts how often each blob is looked at and read."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: Counter[tuple[str, str]] = Counter()

    def stat(self, key: str) -> Blob:
        """Return size and ETag."""
        self.asked["stat", key] += 1
        return super().stat(key)

    def read(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        """Return bytes."""
        self.asked["read", key] += 1
        return super().read(key, start, end)

    def look(self, key: str, start: int, end: int) -> tuple[Blob, bytes]:
        """Return size, ETag and bytes, as by one request."""
        found = super().look(key, start, end)
        self.asked.subtract([("stat", key), ("read", key)])
        self.asked["look", key] += 1
        return found


def test_a_segment_that_is_recognised_is_asked_for_once() -> None:
    """A segment whose items are in several batches of the manifest takes one request to be proven."""
    store = _Asked()
    staging = Staging(store)
    name = staging.stage([(f"{n:04d}", b"%d" % n) for n in range(2100)])
    key = segment_key(JOB, name)
    known = {name: Blob(name, len(store.blobs[key]), store.stat(key).etag)}
    store.asked.clear()
    checked = check_items(staging.manifest, store, staging.spec(), known=known, threads=1)
    assert (checked.items, checked.failed, [*checked.known]) == (2100, 0, [name])
    assert +store.asked == {("look", key): 1}


def test_an_item_beyond_the_end_of_a_recognised_segment_fails() -> None:
    """The place of each item is judged by the segment's size, also after the segment was proven in an earlier batch."""
    store = MemoryStore()
    staging = Staging(store)
    name = staging.stage([(f"{n:04d}", b"%d" % n) for n in range(2100)])
    found = store.stat(segment_key(JOB, name))
    last = staging.rows[-1]
    place = {field: last[field] + found.size for field in ("entry_offset", "offset")}
    staging.rows[-1] = {**last, **place}
    known = {name: Blob(name, found.size, found.etag)}
    checked = check_items(staging.manifest, store, staging.spec(), known=known, threads=1)
    assert checked.bad_rows(0, 2100) == [2099]
