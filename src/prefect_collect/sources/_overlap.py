"""What a source and a store have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from prefect_collect.sources._item import Item
from prefect_collect.stores import Lies


@dataclass(frozen=True, slots=True)
class Overlap:
    """What a source and a store have in common, as `DataSource.overlap` returns it.

    Attributes:
        lies: The store's place relative to the source.
        folder: The id of the store's folder at the source, which ends in "/"; "" unless the store lies inside.
        entrance: A function that returns the id of the folder or link through which an item lies in the store; None
            if the item lies outside. It may be called from several threads.
    """

    lies: Lies
    folder: str = ""
    entrance: Callable[[Item], str | None] = lambda _: None
