"""Bags of other tools are judged by RFC 8493 and its drafts: each row of docs/verifying.md is caused here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from prefect_collect.errors import KeyMissing
from prefect_collect.packages import Verification, verify
from tests.packages import bags_with_odd_files, bags_with_odd_lists, bags_with_odd_tags
from tests.packages.foreign_bags import PAYLOAD, bag, manifest
from tests.packages.judged_bags import OXUM, URL, VALID, WARNING, WRONG, Case
from tests.support.memory_store import MemoryStore

PAGE: Final = Path(__file__).parents[2] / "docs/verifying.md"
CASES: Final = [*bags_with_odd_lists.CASES, *bags_with_odd_tags.CASES, *bags_with_odd_files.CASES]


def rows() -> dict[str, str]:
    """Return the rows of the page and their verdicts; a row that refers to the one above is named after both."""
    found: dict[str, str] = {}
    for text in PAGE.read_text().splitlines():
        cells = re.fullmatch(r"\| (.+) \| (valid|valid, with a warning|not valid) \| .+ \|", text)
        if cells:
            found[cells[1]] = cells[2] if cells[1] not in found else f"{found[cells[1]]}/{cells[2]}"
    return found


def test_each_row_of_the_page_has_a_case_and_each_case_a_row() -> None:
    """The page's table and its verdicts cannot differ from what is tested."""
    tested: dict[str, set[str]] = {}
    for each in CASES:
        tested.setdefault(each.row, set()).add(each.verdict)
    assert {row: set(verdict.split("/")) for row, verdict in rows().items()} == tested


def verdict_of(found: Verification) -> str:
    """Return the verdict in the words of the page."""
    return WRONG if not found.valid else WARNING if found.warnings else VALID


@pytest.mark.parametrize("each", CASES, ids=lambda each: f"{each.row[:60]}-{each.words[:20]}")
def test_a_bag_is_judged_as_the_page_says(each: Case, tmp_path: Path) -> None:
    """The verdict is that of the table, and a reason names the cause."""
    found = verify(each.make(tmp_path))
    said = "\n".join(map(str, found.problems if each.verdict == WRONG else found.warnings))
    assert verdict_of(found) == each.verdict, said
    assert each.words in said


@dataclass
class _Leaving(MemoryStore):
    """A store whose blob was removed after it was listed."""

    lost: str = ""

    def read(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        """Return the bytes."""
        if key == self.lost:
            raise KeyMissing(f"There is no such blob. [{key}]")
        return super().read(key, start, end)


@pytest.mark.parametrize("lost", ["manifest-sha512.txt", "fetch.txt", "bag-info.txt", "bagit.txt", ""])
def test_a_tag_file_that_cannot_be_read_is_told_though_no_tag_manifest_lists_it(lost: str) -> None:
    """A lost tag file is not taken for an empty one: it could have named a problem."""
    more = {
        "manifest-sha512.txt": manifest(PAYLOAD, "sha512"),
        "fetch.txt": URL + b" - data/a.txt\n",
        "bag-info.txt": OXUM,
    }
    files = {f"bag/{name}": content for name, content in {**bag(tagged=False), **more}.items()}
    found = verify("bag", store=_Leaving(files, lost=f"bag/{lost}"))
    assert [problem.path for problem in found.problems if "it was not read" in problem.what] == ([lost] if lost else [])
