"""How far folders within folders are followed, by one rule for every source that has folders.

A link that leads back makes a tree without an end. Where a source knows what a link leads to, it leaves the link out.
Where it does not, as over WebDAV, a folder is known again by its listing alone, and that may differ at every look. So
what is followed has bounds: of depth, and of folders whose folders are called like those above them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from prefect_collect.codes import Failure
from prefect_collect.errors import SourceError

MOST_FOLDERS: Final = 256
"""The most folders, one within the other, that are followed below a source's root."""

MOST_ALIKE: Final = 10_000
"""The most folders of a listing that are followed although their folders are called like those of folders above."""

_ABOVE: Final = 4
"""How many folders above have to hold folders of the same names for a folder to count as alike."""


def too_deep(folder: bytes | str, place: str) -> Failure | None:
    """Return why a folder is not followed, by its path below the root, which ends in "/"; None if it is.

    `place` is the location in which the message ends.
    """
    depth = folder.count(b"/") if isinstance(folder, bytes) else folder.count("/")
    if depth <= MOST_FOLDERS:
        return None
    return Failure("too_deep", f"The folder lies in more than {MOST_FOLDERS} others. [{_cut(place)}]")


def require_depth(folder: bytes | str, place: str) -> None:
    """Raise SourceError (`too_deep`) for a folder that is not followed; a retry looks at it again."""
    if (failure := too_deep(folder, place)) is not None:
        raise SourceError(failure.message, code=failure.code)


@dataclass(eq=False, slots=True)
class Nested:
    """A folder that was read: the hash of the names of the folders in it, in any order, and the folder above."""

    names: int = 0
    above: Nested | None = None

    def add(self, name: bytes | str) -> None:
        """Count a folder in it."""
        self.names += hash(name)

    @property
    def is_alike(self) -> bool:
        """Whether folders above hold folders of the same names, as they do in a link that leads back."""
        found, at = 0, self.above
        while at is not None and found < _ABOVE:
            found += at.names == self.names
            at = at.above
        return bool(self.names) and found >= _ABOVE


class Alike:
    """The folders of one listing that are alike to those above them."""

    def __init__(self) -> None:
        self._followed = 0

    def refuse(self, folder: Nested, place: str) -> Failure | None:
        """Return why what is in a folder is not followed; None if it is."""
        if not folder.is_alike:
            return None
        self._followed += 1
        if self._followed <= MOST_ALIKE:
            return None
        what = f"It and more than {MOST_ALIKE:,} others hold folders of the same names as those above them"
        return Failure("too_deep", f"{what}, so it may lie within itself. [{_cut(place)}]")


def _cut(place: str) -> str:
    return place if len(place) <= 500 else f"{place[:500]}…"
