"""Finds names in a package that lead outside of it, or that some system reads in another way."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final

from prefect_collect.archive.unsafe_names import may_be_unsafe, unsafe
from prefect_collect.packages.bags.files import BagFiles
from prefect_collect.packages.contents.name_keys import unpack
from prefect_collect.packages.problems import Tally

_NAMES: Final = 256
"""How many names are looked at together: one may have 64 KiB."""

_WINDOWS: Final = {"backslash": 'names have a "\\", which Windows reads as the end of a folder\'s name'}


def check_safe(files: BagFiles) -> None:
    """Add unsafe names to the findings."""
    problems, windows = files.findings.problems, Tally()
    for name in _suspects(files):
        reason = unsafe(name)
        if reason:
            problems.add(name, reason)
        elif "\\" in name:
            windows.add("backslash", name)
    windows.report("package", files.findings.tolerated, _WINDOWS)


def _suspects(files: BagFiles) -> Iterator[str]:
    """Yield names that may be unsafe, and other names from the same group."""
    rows = files.index.query("SELECT name FROM file")
    while group := [row[0] for row in islice(rows, _NAMES)]:
        if may_be_unsafe(group):
            yield from map(unpack, group)
