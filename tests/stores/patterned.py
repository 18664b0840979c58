"""Bytes in which a shift is found."""

from __future__ import annotations

MIB = 1 << 20


def patterned(size: int, seed: int = 0) -> bytes:
    """Return bytes in which every position differs from its neighbors, so that a shift is found."""
    block = bytes((position * 31 + seed) % 251 for position in range(4 * 251))
    return (block * (size // len(block) + 1))[:size]
