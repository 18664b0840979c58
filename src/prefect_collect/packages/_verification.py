"""What verifying a package found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

MOST_PROBLEMS: Final = 10_000
"""Problems kept; further ones are only counted."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: the path in the package (or the part of the file) that it is about, and what it is."""

    path: str
    what: str

    def __str__(self) -> str:
        return f"{self.path}: {self.what}"


@dataclass(frozen=True, slots=True)
class Verification:
    """The result of `verify`.

    `items` and `bytes` count the payload; `not_delivered` counts the items that the package itself says it does not
    hold; `fingerprint` is the hex SHA-256 of ``tagmanifest-sha256.txt`` ("" if there is none); `tool` is what made
    the bag, as it says.
    """

    location: str
    problems: list[Problem]
    items: int
    bytes: int
    fingerprint: str
    not_delivered: int
    tool: str

    @property
    def valid(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


@dataclass(slots=True)
class Problems:
    """Collects problems, up to MOST_PROBLEMS of them."""

    kept: list[Problem] = field(default_factory=list)
    more: int = 0

    def add(self, path: str, what: str) -> None:
        """Add one; a path that is no Unicode text is shown escaped."""
        if len(self.kept) < MOST_PROBLEMS:
            self.kept.append(Problem(path.encode("utf-8", "backslashreplace").decode(), what))
        else:
            self.more += 1

    def finish(self) -> list[Problem]:
        """All of them, the last one counting those that were not kept."""
        return [*self.kept, Problem("package", f"{self.more} more problems")] if self.more else self.kept


class Damaged(Exception):
    """A file of a package cannot be read as it should be; stays inside `verify`."""
