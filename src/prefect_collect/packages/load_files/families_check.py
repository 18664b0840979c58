"""Checks what the exact list of items states of families: that each range holds its family, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from prefect_collect.archive.problems import Problems, shown
from prefect_collect.packages.building.duplicate_texts import temporary_database
from prefect_collect.packages.load_files.description import Description
from prefect_collect.packages.load_files.families import family_key
from prefect_collect.packages.load_files.lists import ITEMS

_DIGITS: Final = re.compile(r"[0-9]{1,18}")
_SUMMED: Final = (
    "SELECT COUNT(*), MIN(number), MAX(number), COUNT(first), COUNT(last), MIN(first), MAX(first), MIN(last), MAX(last)"
    " FROM member GROUP BY family ORDER BY MIN(number)"
)


class ListedFamily(NamedTuple):
    """What the list says of an item's family; None where it says nothing."""

    control: str | None
    family: str | None
    first: str | None
    last: str | None


class FamiliesCheck:
    """The check of the families of one package, in a temporary database: memory does not grow with them.

    A range is right if it begins with the lowest number of its family, ends with the highest, and the family has as
    many items as there are numbers from one to the other: no number stands twice, so no other item is between. Items
    that are held and not delivered count, because they keep their numbers.
    """

    def __init__(self, described: Description, problems: Problems) -> None:
        self._described, self._problems = described, problems
        self._database = temporary_database()
        self._database.execute("CREATE TABLE member(family BLOB, number INTEGER, first TEXT, last TEXT)")

    def close(self) -> None:
        """Remove the database."""
        self._database.close()

    def add(self, items: Iterable[ListedFamily]) -> None:
        """Add items."""
        members = []
        for control, family, first, last in items:
            number = self._number(control or "")
            if family is None or number is None:
                if family is not None or first is not None or last is not None:
                    self._problem(f"it states a family or a range of {shown((control or 'an item')[:200])} wrongly")
                continue
            members.append((family_key(family), number, first, last))
        self._database.executemany("INSERT INTO member VALUES (?, ?, ?, ?)", members)

    def finish(self) -> None:
        """Compare the ranges of all families with the numbers of their items."""
        for count, low, high, firsts, lasts, first, other_first, last, other_last in self._database.execute(_SUMMED):
            is_whole = high - low + 1 == count
            where = f"the family of {self._written(low)}"
            if not firsts and not lasts:
                # An export that continues others knows of items of the family that they had.
                if is_whole and not self._described.continues:
                    self._problem(f"it states no range of {where}, whose items are numbered one after the other")
            elif {firsts, lasts} != {count} or first != other_first or last != other_last:
                self._problem(f"it states several ranges of {where}")
            elif not is_whole:
                self._problem(f"the range of {where} holds other items too, or none with one of its numbers")
            elif (first, last) != (self._written(low), self._written(high)):
                self._problem(f"the range of {where} is not from its first to its last item")

    def _number(self, control: str) -> int | None:
        prefix = self._described.prefix
        digits = control[len(prefix) :] if control.startswith(prefix) else ""
        return int(digits) if _DIGITS.fullmatch(digits) else None

    def _written(self, number: int) -> str:
        return f"{self._described.prefix}{number:0{min(self._described.width, 18)}d}"

    def _problem(self, what: str) -> None:
        self._problems.add(ITEMS, what)
