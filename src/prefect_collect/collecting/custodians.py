"""Whose data each item is: by a folder of its path, else the job's custodian."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from prefect_collect.errors import UsageError
from prefect_collect.escaping import one_line
from prefect_collect.parameters import CUSTODIAN_NAME, MOST_CUSTODIAN, checked_custodian_folder
from prefect_collect.storable import require_storable


@dataclass
class Custodians:
    """Whose data each item of a job is.

    Attributes:
        job: The custodian of the items that have none of their own; "" for none.
        folder: Where each custodian has a folder (`parameters.checked_custodian_folder`); "" if there are no such
            folders. Each item below such a folder is that custodian's.
        in_folders: How many items were below such a folder.

    Raises:
        UsageError: The folder cannot be used.
    """

    job: str = ""
    folder: str = ""
    in_folders: int = 0

    def __post_init__(self) -> None:
        require_storable(self.folder, "custodian_folder", UsageError)
        try:
            self.folder = checked_custodian_folder(self.folder) or ""
        except ValueError as error:
            raise UsageError(f"{error} [custodian_folder={one_line(self.folder[:100])}]") from error

    def of(self, path: str) -> str | None:
        """Return whose the item at that path of the source is; None if that is not known."""
        if self._expression is not None and (found := self._expression.match(path)):
            self.in_folders += 1
            # A name of the source may be anything; a custodian is one line.
            return one_line(found["custodian"].encode("utf-8", "backslashreplace").decode())[:MOST_CUSTODIAN]
        return self.job or None

    def warnings(self, found: int) -> list[str]:
        """Return the warning for a listing of so many items none of which was in a custodian's folder."""
        if not self.folder or self.in_folders or not found:
            return []
        return [
            "No item lies in a custodian's folder, so none has a custodian of its own. The path begins at the source's "
            f"top. [custodian_folder={one_line(self.folder)}]"
        ]

    @cached_property
    def _expression(self) -> re.Pattern[str] | None:
        """The expression for the paths below the folders; None if there are none."""
        if not self.folder:
            return None
        return re.compile("".join(f"{_expression_of(name)}/" for name in self.folder.split("/")))


def _expression_of(name: str) -> str:
    if name == "*":
        return "[^/]+"
    before, found, after = name.partition(CUSTODIAN_NAME)
    return f"{re.escape(before)}(?P<custodian>[^/]+){re.escape(after)}" if found else re.escape(name)
