"""The control numbers that an earlier export gave, and that a later one continues."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Numbers = Mapping[bytes, int]
"""The numbers that an earlier export gave, by `number_key`."""


@dataclass(frozen=True, slots=True)
class Continued:
    """What an earlier export gave: numbers by `number_key` of item id and SHA-256, and the highest.

    `families` has, by `family_key`, the first and the last number of a family's items.
    """

    numbers: Numbers
    last: int
    families: Mapping[bytes, tuple[int, int]] = field(default_factory=dict)


def number_key(item_id: str, sha256: bytes) -> bytes:
    """Return what stands for an item with these bytes."""
    return sha256 + item_id.encode("utf-8", "surrogatepass")
