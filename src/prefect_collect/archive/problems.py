"""The problems that reading an archive finds."""

from __future__ import annotations

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


class Damaged(Exception):
    """A file cannot be read as it should be; its readers turn this into a problem, or an error of their own."""


class NotAnArchive(Damaged):
    """A file has nothing of an archive: neither the end of a ZIP file, nor the beginning of an archive of any kind."""


def shown(text: str) -> str:
    """Return text that any output accepts: what is not Unicode text is escaped."""
    return text.encode("utf-8", "backslashreplace").decode()
