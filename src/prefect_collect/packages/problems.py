"""The problems and warnings that verifying a package finds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from prefect_collect.archive.problems import Problem, Problems, shown


@dataclass(frozen=True, slots=True)
class Verification:
    """The result of `verify`.

    `problems` make the package invalid; `warnings` do not. `items` and `bytes` count the payload; `not_delivered`
    counts the items that the package itself lists as not delivered; `fingerprint` is the hex SHA-256 of the file that
    seals it, of a bag ``tagmanifest-sha256.txt`` ("" if there is none): of a package that is not valid, it proves
    nothing. `tool` is the software that made the bag, as the bag states.
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
class Findings:
    """The findings of a verification, by their consequence.

    A problem makes any package invalid. What is tolerated is a warning about a package of another tool, and makes a
    package made here invalid, because it must be as it was written. `form` matters only in a package made here.
    """

    problems: Problems = field(default_factory=Problems)
    tolerated: Problems = field(default_factory=Problems)
    warnings: Problems = field(default_factory=Problems)
    form: Problems = field(default_factory=Problems)

    def take(self, later: Findings) -> None:
        """Add the findings of what was checked after this, or beside it."""
        self.problems.take(later.problems)
        self.tolerated.take(later.tolerated)
        self.warnings.take(later.warnings)
        self.form.take(later.form)

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
