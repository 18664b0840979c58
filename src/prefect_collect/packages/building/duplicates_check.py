"""Checks what a list of items says of duplicates: that the item they name has the same bytes, and is delivered."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from prefect_collect.archive.problems import Problems, shown
from prefect_collect.packages.building.spec import DELIVERED, DUPLICATE
from prefect_collect.packages.contents.index import FileIndex
from prefect_collect.packages.contents.repeats import Repeats

_MOST: Final = 10_000
"""The most wrong items that are named."""

_MOST_JOBS: Final = 1_000

_OF_A_JOB: Final = re.compile(r"([0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12})/.", re.DOTALL)
"""The form of a mark that names an item of an earlier job."""

ListedItem = tuple[str, str, str | None, str | None, str | None]
"""What a list says of an item: its id, outcome, SHA-256 (hex), error code and ``duplicate_of``."""


class DuplicatesCheck:
    """The check of one list: call `add` with all its items, then `finish` with them again. Memory does not grow.

    An item of an earlier job cannot be looked up in the package: only its form is checked. In a bag `in_group` an item
    may be a duplicate without a mark, as the other one may be in another bag.
    """

    def __init__(
        self, index: FileIndex, name: str, problems: Problems, warnings: Problems, *, in_group: bool = False
    ) -> None:
        self._in_group = in_group
        self._name, self._problems, self._warnings = name, problems, warnings
        self._said: Repeats = index.hashes("said")
        self._claims: Repeats = index.hashes("claims")
        self._elsewhere: Repeats = index.hashes("elsewhere")

    def add(self, items: Iterable[ListedItem]) -> None:
        """Read some items."""
        said: list[int] = []
        claims: list[int] = []
        elsewhere: list[int] = []
        for item_id, outcome, sha256, code, mark in items:
            said.append(hash((item_id, sha256, False)))
            if outcome == DELIVERED:
                said.append(hash((item_id, sha256, True)))
            if mark is not None or (code == DUPLICATE and not self._in_group):
                claim = hash((mark, sha256, code == DUPLICATE))
                (elsewhere if mark is not None and _OF_A_JOB.match(mark) else claims).append(claim)
        self._said.add(said)
        self._claims.add(claims)
        self._elsewhere.add(elsewhere)

    def finish(self, items: Iterable[ListedItem]) -> None:
        """Report what is wrong, and warn of what only the packages of other jobs hold."""
        wrong = self._claims.beyond(self._said, _MOST)
        elsewhere = self._elsewhere.beyond(self._said, _MOST)
        if not wrong and not elsewhere:
            return
        jobs: dict[str, int] = {}
        for item_id, _, sha256, code, mark in items:
            if mark is None and code != DUPLICATE:
                continue
            claim, found = hash((mark, sha256, code == DUPLICATE)), _OF_A_JOB.match(mark or "")
            if found is not None:
                is_elsewhere = len(elsewhere) >= _MOST or claim in elsewhere
                if code == DUPLICATE and is_elsewhere and (found[1] in jobs or len(jobs) < _MOST_JOBS):
                    jobs[found[1]] = jobs.get(found[1], 0) + 1
            elif claim in wrong:
                self._problems.add(self._name, _lacking(item_id, code, mark))
        for job, count in jobs.items():
            what = f"{count:,} items are not delivered because job {job} has delivered their bytes"
            self._warnings.add(self._name, f"{what}; verify its package too")


def _lacking(item_id: str, code: str | None, mark: str | None) -> str:
    item = shown(item_id[:500])
    if mark is None:
        return f"it does not say which item has the bytes of {item!r}, which is not delivered as a duplicate"
    delivered = " and is delivered" if code == DUPLICATE else ""
    original = shown(mark[:500])
    return f"it marks {item!r} as a duplicate of {original!r}, but lists no such item that has its bytes{delivered}"
