"""The problems and warnings that verifying a package finds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

MOST_PROBLEMS: Final = 10_000
"""The most problems that are kept; further ones are only counted."""

MOST_TEXT: Final = 16 << 20
"""The most characters of problems that are kept: paths come from outside, and one may have 65,535 bytes."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem: the path in the package (or the part of the file) that it is about, and what is wrong."""

    path: str
    what: str

    def __str__(self) -> str:
        return f"{self.path}: {self.what}"


@dataclass(frozen=True, slots=True)
class Verification:
    """The result of `verify`.

    `problems` make the package invalid; `warnings` do not. `items` and `bytes` count the payload; `not_delivered`
    counts the items that the package itself lists as not delivered; `fingerprint` is the hex SHA-256 of
    ``tagmanifest-sha256.txt`` ("" if there is none); `tool` is the software that made the bag, as the bag states.
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
        """Return whether there are no problems."""
        return not self.problems


@dataclass(slots=True)
class Problems:
    """Collects problems, up to MOST_PROBLEMS of them and MOST_TEXT characters."""

    kept: list[Problem] = field(default_factory=list)
    more: int = 0
    text: int = 0

    def add(self, path: str, what: str) -> None:
        """Add a problem; a path that is not Unicode text is escaped."""
        if len(self.kept) < MOST_PROBLEMS and self.text < MOST_TEXT:
            problem = Problem(shown(path), what)
            self.text += len(problem.path) + len(what)
            self.kept.append(problem)
        else:
            self.more += 1

    def take(self, others: Problems) -> None:
        """Add the problems of another collection."""
        for problem in others.kept:
            self.add(problem.path, problem.what)
        self.more += others.more

    def finish(self) -> list[Problem]:
        """Return all problems; the last one counts those that were not kept."""
        return [*self.kept, Problem("package", f"{self.more} more problems")] if self.more else self.kept


@dataclass(slots=True)
class Findings:
    """The findings of a verification, by their consequence.

    A problem makes any package invalid. What is tolerated is a warning about a package of another tool, and makes a
    package made here invalid, because it must be as it was written. `form` matters only in a package made here.
    """

    problems: Problems = field(default_factory=Problems)
    tolerated: Problems = field(default_factory=Problems)
    warnings: Problems = field(default_factory=Problems)
    form: Problems = field(default_factory=Problems)

    def judged(self, *, ours: bool) -> tuple[list[Problem], list[Problem]]:
        """Return the problems and the warnings."""
        if ours:
            self.problems.take(self.tolerated)
            self.problems.take(self.form)
            return self.problems.finish(), self.warnings.finish()
        self.tolerated.take(self.warnings)
        return self.problems.finish(), self.tolerated.finish()


@dataclass(slots=True)
class Tally:
    """Counts oddities of the same kind, to report each kind once, with its first place."""

    counts: dict[str, int] = field(default_factory=dict)
    first: dict[str, str] = field(default_factory=dict)

    def add(self, kind: str, place: str) -> None:
        """Count one."""
        self.counts[kind] = self.counts.get(kind, 0) + 1
        self.first.setdefault(kind, place[:200])

    def report(self, path: str, problems: Problems, words_of: Mapping[str, str]) -> None:
        """Report each of these kinds in these words: how many there are, and the first place."""
        for kind, words in words_of.items():
            if kind in self.counts:
                problems.add(path, f"{words} ({self.counts[kind]:,} in all, first {shown(self.first[kind])})")


class Damaged(Exception):
    """A file of a package cannot be read as it should be; never leaves `verify`."""


def shown(text: str) -> str:
    """Return text that any output accepts: what is not Unicode text is escaped."""
    return text.encode("utf-8", "backslashreplace").decode()
