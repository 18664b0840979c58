"""Long tag files cost no more than their length: a continued value is not kept, a line stops at a bound.

Since what is kept is bounded, no growing text is copied for every line.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from typing import Final

import pytest

from prefect_collect.archive.problems import Damaged
from prefect_collect.packages.bags.info import read_info
from prefect_collect.packages.bags.text import ASSUMED, LONGEST_LINE, lines
from prefect_collect.packages.problems import Findings

PIECE: Final = 64 << 10


def folded(size: int) -> bytes:
    """Return a bag-info.txt of one value that continues over so many lines."""
    return b"Bag-Software-Agent: x\n" + b" yz\n" * size


def long_line(size: int) -> bytes:
    """Return a manifest of one line of so many times 64 KiB."""
    return b"a" * (size * PIECE)


class Pieces:
    """A tag file in pieces that counts the pieces read."""

    def __init__(self, data: bytes) -> None:
        self._data, self.taken = data, 0

    def __iter__(self) -> Iterator[bytes]:
        for start in range(0, len(self._data), PIECE):
            self.taken += 1
            yield self._data[start : start + PIECE]


def held(data: bytes) -> int:
    """Return the peak memory of reading a bag-info.txt, beside the file."""
    pieces, findings = Pieces(data), Findings()
    tracemalloc.start()
    try:
        assert read_info("bag-info.txt", lines(pieces, "utf-8"), ASSUMED, findings).tool.startswith("x yz yz")
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_what_a_folded_value_holds() -> None:
    """No more of a value is kept when it continues for longer, so no line costs more than the one before."""
    once = held(folded(50_000))
    assert held(folded(100_000)) <= once + PIECE


def test_a_line_without_end_is_not_read_to_its_end() -> None:
    """Reading stops at the bound of a line, however long it is."""
    for size in (64, 128):
        pieces = Pieces(long_line(size))
        with pytest.raises(Damaged, match="reading stopped there"):
            list(lines(pieces, "utf-8"))
        assert pieces.taken <= LONGEST_LINE // PIECE + 1
