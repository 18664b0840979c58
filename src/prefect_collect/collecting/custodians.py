"""Whose data each item is: by a folder of its path, else the job's custodian."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from prefect_collect.errors import UsageError
from prefect_collect.escaping import one_line
from prefect_collect.parameters import MOST_CUSTODIAN
from prefect_collect.storable import require_storable

NAME: Final = "{custodian}"
"""What stands for the custodian's name in `Custodians.folder`."""

_LONGEST: Final = 1_000


@dataclass(frozen=True)
class Custodians:
    """Whose data each item of a job is.

    Attributes:
        job: The custodian of the items that have none of their own; "" for none.
        folder: Where each custodian has a folder, such as ``home/{custodian}`` or ``*/mail-{custodian}``: a path from
            the source's top, whose ``{custodian}`` is (a part of) a folder's name, and in which ``*`` is any folder.
            Each item below such a folder is that custodian's. "" if there are no such folders.

    Raises:
        UsageError: The folder cannot be used.
    """

    job: str = ""
    folder: str = ""

    def __post_init__(self) -> None:
        if self.folder:
            require_storable(self.folder, "custodian_folder", UsageError)
            if len(self.folder) > _LONGEST or self.folder.count(NAME) != 1 or "" in _names(self.folder):
                raise UsageError(
                    f"custodian_folder must be a path of folders with one {NAME} in it, such as home/{NAME}. "
                    f"[custodian_folder={one_line(self.folder[:100])}]"
                )

    def of(self, path: str) -> str | None:
        """Return whose the item at that path of the source is; None if that is not known."""
        if self._expression is not None and (found := self._expression.match(path)):
            # A name of the source may be anything; a custodian is one line.
            return one_line(found["custodian"].encode("utf-8", "backslashreplace").decode())[:MOST_CUSTODIAN]
        return self.job or None

    @cached_property
    def _expression(self) -> re.Pattern[str] | None:
        """The expression for the paths below the folders; None if there are none."""
        if not self.folder:
            return None
        return re.compile("".join(f"{_expression_of(name)}/" for name in _names(self.folder)))


def _names(folder: str) -> list[str]:
    return folder.strip("/").split("/")


def _expression_of(name: str) -> str:
    if name == "*":
        return "[^/]+"
    before, found, after = name.partition(NAME)
    return f"{re.escape(before)}(?P<custodian>[^/]+){re.escape(after)}" if found else re.escape(name)
