"""Words that several commands say."""

from __future__ import annotations


def items(number: int) -> str:
    """A number of items in words."""
    return f"{number:,} item" if number == 1 else f"{number:,} items"
