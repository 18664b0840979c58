"""The custodian of each item: by a pattern or a folder of its path, else the job's."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from prefect_collect.errors import UsageError
from prefect_collect.escaping import one_line
from prefect_collect.parameters import CUSTODIAN_NAME, MOST_CUSTODIAN, checked_custodian_folder, checked_custodians
from prefect_collect.sources.globs import Globs, compile_globs
from prefect_collect.storable import require_storable

_SHOWN: Final = 10
"""The most patterns that a warning names."""


@dataclass
class Custodians:
    """The custodian of each item of a job.

    Attributes:
        job: The custodian of the items that have none of their own; "" for none.
        folder: Where each custodian has a folder (`parameters.checked_custodian_folder`); "" if there are no such
            folders. Each item below such a folder is that custodian's.
        patterns: Globs over paths and their custodians (`parameters.checked_custodians`). The first that matches
            decides; it goes before the folder.
        in_folders: How many items were below such a folder.

    Raises:
        UsageError: The folder or a pattern cannot be used.
    """

    job: str = ""
    folder: str = ""
    patterns: Sequence[Mapping[str, str]] = ()
    in_folders: int = 0
    _met: set[int] = field(default_factory=set, init=False, repr=False)

    def __post_init__(self) -> None:
        require_storable(self.folder, "custodian_folder", UsageError)
        try:
            self.folder = checked_custodian_folder(self.folder) or ""
        except ValueError as error:
            raise UsageError(f"{error} [custodian_folder={one_line(self.folder[:100])}]") from error
        require_storable([*self.patterns], "custodians", UsageError)
        try:
            self.patterns = checked_custodians(self.patterns) or ()
        except ValueError as error:
            raise UsageError(f"{error} [custodians]") from error
        self._globs = [(_glob(one["pattern"]), one["custodian"]) for one in self.patterns]

    def of(self, path: str, stated: str | None = None) -> str | None:
        """Return the custodian of the item at that path of the source; None if it is not known.

        `stated` is whom the source names: it counts where the job knows none.
        """
        for number, (globs, custodian) in enumerate(self._globs):
            if globs.match(path):
                self._met.add(number)
                return custodian
        if self._expression is not None and (found := self._expression.match(path)):
            self.in_folders += 1
            return _as_name(found["custodian"])
        return self.job or _as_name(stated or "") or None

    def warnings(self, found: int) -> list[str]:
        """Return the warnings for a listing of so many items: no folder of a custodian, patterns that match nothing."""
        if not found:
            return []
        return [*self._of_folder(), *self._of_patterns()]

    def _of_folder(self) -> list[str]:
        if not self.folder or self.in_folders:
            return []
        return [
            "No item lies in a custodian's folder, so none has a custodian of its own. The path begins at the source's "
            f"top. [custodian_folder={one_line(self.folder)}]"
        ]

    def _of_patterns(self) -> list[str]:
        unmet = [one["pattern"] for number, one in enumerate(self.patterns) if number not in self._met]
        if not unmet:
            return []
        shown = ", ".join(map(one_line, unmet[:_SHOWN])) + (
            f", … and {len(unmet) - _SHOWN:,} more" * (len(unmet) > _SHOWN)
        )
        return [
            "These patterns of custodians gave no item a custodian, as no path matches them, or an earlier pattern "
            f"matches first. A path begins at the source's top. [custodians={shown}]"
        ]

    @cached_property
    def _expression(self) -> re.Pattern[str] | None:
        """The expression for the paths below the folders; None if there are none."""
        if not self.folder:
            return None
        return re.compile("".join(f"{_expression_of(name)}/" for name in self.folder.split("/")))


def _as_name(name: str) -> str:
    """Return a name that the source gives, which may be anything, as a custodian: one line."""
    return one_line(name.encode("utf-8", "backslashreplace").decode())[:MOST_CUSTODIAN]


def _glob(pattern: str) -> Globs:
    """Return a pattern compiled. Raise InvalidQuery, which is a UsageError."""
    globs = compile_globs([pattern], field="custodians")
    assert globs is not None  # one pattern was given
    return globs


def _expression_of(name: str) -> str:
    if name == "*":
        return "[^/]+"
    before, found, after = name.partition(CUSTODIAN_NAME)
    return f"{re.escape(before)}(?P<custodian>[^/]+){re.escape(after)}" if found else re.escape(name)
