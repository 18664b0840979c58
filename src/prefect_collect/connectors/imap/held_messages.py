"""The messages of a folder that earlier jobs hold, and whether the server keeps what IMAP promises of them.

RFC 9051 (and 3501) promise that under one UIDVALIDITY a UID never means other bytes, so a held message that is still
there is unchanged. MODSEQ (CONDSTORE) would add nothing: it counts changes of flags and labels, not of bytes. UIDNEXT,
if it were kept, would pass over messages below it that no job could read. What is held says both better.

A server that was restored from an older copy breaks the promise: it gives UIDs once more, from some UID on. The last
held messages are among these, so they are described again and compared.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from typing import Final

from prefect_collect.connectors.imap.places import Place
from prefect_collect.sources import Item
from prefect_collect.sources.listing import HeldItems

_COMPARED: Final = 20
"""The last held messages of a folder that are described again."""

_LOOKED_UP: Final = 500
"""The messages that are looked up at once."""


class HeldMessages:
    """The held messages of one folder with one UIDVALIDITY, by UID."""

    def __init__(self, items: HeldItems, folder: str, validity: int) -> None:
        self._items, self._folder, self._validity = items, folder, validity

    def among(self, uids: Sequence[int]) -> dict[int, Item]:
        """Return those of the messages that are held, as they were listed."""
        found = self._items.items([Place(self._folder, self._validity, uid).id for uid in uids])
        return {uid: item for uid, item in zip(uids, found, strict=True) if item is not None}

    def last(self, uids: array[int]) -> dict[int, Item]:
        """Return the last few of the messages that are held."""
        found: dict[int, Item] = {}
        for end in range(len(uids), 0, -_LOOKED_UP):
            some = [*self.among(uids[max(0, end - _LOOKED_UP) : end].tolist()).items()]
            found |= dict(some[-_COMPARED:])
            if len(found) >= _COMPARED:
                break
        return dict(sorted(found.items())[-_COMPARED:])

    def is_same(self, held: Mapping[int, Item], now: Mapping[int, Item]) -> bool:
        """Return whether the server describes held messages as it did; those that were deleted are not compared."""
        return bool(now) and all(_marks(item) == _marks(held[uid]) for uid, item in now.items())

    def of_another_folder(self, place: str) -> str:
        """Return the warning that the folder was recreated since it was collected; "" if it was not."""
        beginning = f"{self._folder};UIDVALIDITY="
        before = {id_.removeprefix(beginning) for id_ in self._items.folders if id_.startswith(beginning)}
        if not before or str(self._validity) in before:
            return ""
        return (
            f"The folder was recreated since it was collected: its UIDVALIDITY was {' and '.join(sorted(before))} and "
            f"is {self._validity}, so its messages are new items. [{place}]"
        )

    def broken(self, place: str) -> str:
        """Return the warning that UIDs of the folder have come to mean other messages."""
        return (
            "The last messages that earlier jobs hold of the folder are others now, though its UIDVALIDITY is still "
            f"{self._validity}: the server was restored from an older copy, or breaks the rules of IMAP. So each of "
            f"its messages was read, and compared with the held one by its SHA-256. [{place}]"
        )


def _marks(item: Item) -> tuple[object, ...]:
    return item.size, item.modified, item.etag
