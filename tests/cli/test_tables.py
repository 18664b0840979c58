"""Tables in terminals of every width lose no text."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from prefect_collect.cli._tables import Columns, table

IDS = ("24f7d136-0122-4630-ae73-83915a507165", "24f7d137-0122-4630-ae73-83915a507166")
COLUMNS = Columns(
    ("job", "name", "status", "items", "bytes"),
    [
        (IDS[0], "a name of several words", "Successfully completed", "1,234,567", "12.5 GiB"),
        (IDS[1], "x" * 50, "Failed", "7", "1.0 KiB"),
    ],
    right=("items", "bytes"),
    fold={"name": 10, "status": 12},
    brief={"job": ["24f7d136", "24f7d137"]},
    spare=("bytes",),
)


def _shown(width: int) -> str:
    out = io.StringIO()
    console = Console(file=out, width=width)
    for part in table(COLUMNS, width):
        console.print(part)
    return out.getvalue()


@pytest.mark.parametrize("width", [20, 38, 50, 60, 80, 100, 132, 200])
def test_nothing_is_cut(width: int) -> None:
    """In any width no line is too long or ends in spaces, numbers and ids are whole, and a column that is left out is
    named.
    """
    shown = _shown(width)
    assert all(len(line) <= width for line in shown.splitlines()), shown
    assert not re.search(" $", shown, re.MULTILINE), shown
    for whole in ("1,234,567", "24f7d136", "24f7d137"):
        assert whole in shown
    assert "12.5 GiB" in shown or "too narrow to show: bytes" in re.sub(r"\s+", " ", shown)
    assert shown.count("x") >= 50
    assert "Successfully" in shown
    assert "…" not in shown


def test_a_wide_terminal_shows_all_in_one_line_each() -> None:
    """In a wide terminal the ids are whole, and each row is one line."""
    lines = _shown(200).splitlines()
    assert len(lines) == 3
    assert IDS[0] in lines[1]


def test_a_narrow_terminal_shortens_the_ids_first() -> None:
    """Shorter cells and folds are tried before a column is left out."""
    shown = _shown(80)
    assert IDS[0] not in shown
    assert "bytes" in shown.splitlines()[0]
