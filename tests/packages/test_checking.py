"""Proving items before a package is made of them, over many batches of the manifest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


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
