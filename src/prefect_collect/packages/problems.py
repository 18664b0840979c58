"""What verifying a package found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

MOST_PROBLEMS: Final = 10_000
"""Problems kept; further ones are only counted."""

MOST_TEXT: Final = 16 << 20
"""Characters of problems kept: paths come from outside, and one may have 65,535 bytes."""


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

    `problems` make the package invalid; `warnings` are worth knowing. `items` and `bytes` count the payload;
    `not_delivered` counts the items that the package itself says it does not hold; `fingerprint` is the hex SHA-256 of
    ``tagmanifest-sha256.txt`` ("" if there is none); `tool` is what made the bag, as it says.
    """

    location: str
    problems: list[Problem]
    items: int
    bytes: int
    fingerprint: str
    not_delivered: int
    tool: str
    warnings: list[Problem] = field(default_factory=list)

    @property
    def valid(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


@dataclass(slots=True)
class Problems:
    """Collects problems, up to MOST_PROBLEMS of them and MOST_TEXT characters."""

    kept: list[Problem] = field(default_factory=list)
    more: int = 0
    text: int = 0

    def add(self, path: str, what: str) -> None:
        """Add one; a path that is no Unicode text is shown escaped."""
        if len(self.kept) < MOST_PROBLEMS and self.text < MOST_TEXT:
            problem = Problem(shown(path), what)
            self.text += len(problem.path) + len(what)
            self.kept.append(problem)
        else:
            self.more += 1

    def take(self, others: Problems) -> None:
        """Add those of others."""
        for problem in others.kept:
            self.add(problem.path, problem.what)
        self.more += others.more

    def finish(self) -> list[Problem]:
        """All of them, the last one counting those that were not kept."""
        return [*self.kept, Problem("package", f"{self.more} more problems")] if self.more else self.kept


@dataclass(slots=True)
class Findings:
    """What a verification finds, by what follows from it.

    A problem makes any package invalid. What is tolerated is a warning about a package of others, and makes one of
    ours invalid, as ours are what they were written as. `form` is of interest only in one of ours.
    """

    problems: Problems = field(default_factory=Problems)
    tolerated: Problems = field(default_factory=Problems)
    warnings: Problems = field(default_factory=Problems)
    form: Problems = field(default_factory=Problems)

    def judged(self, *, ours: bool) -> tuple[list[Problem], list[Problem]]:
        """Problems and warnings."""
        if ours:
            self.problems.take(self.tolerated)
            self.problems.take(self.form)
            return self.problems.finish(), self.warnings.finish()
        self.tolerated.take(self.warnings)
        return self.problems.finish(), self.tolerated.finish()


@dataclass(slots=True)
class Tally:
    """Counts what is odd in many places, to say it once, with the first of them."""

    counts: dict[str, int] = field(default_factory=dict)
    first: dict[str, str] = field(default_factory=dict)

    def add(self, kind: str, place: str) -> None:
        """Count one."""
        self.counts[kind] = self.counts.get(kind, 0) + 1
        self.first.setdefault(kind, place[:200])

    def report(self, path: str, problems: Problems, said: Mapping[str, str]) -> None:
        """Say those of these kinds in these words: how many, and the first of them."""
        for kind, words in said.items():
            if kind in self.counts:
                problems.add(path, f"{words} ({self.counts[kind]:,} in all, first {shown(self.first[kind])})")


class Damaged(Exception):
    """A file of a package cannot be read as it should be; stays inside `verify`."""


def shown(text: str) -> str:
    """Text that any output takes: what is no Unicode text is escaped."""
    return text.encode("utf-8", "backslashreplace").decode()
