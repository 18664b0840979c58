"""Which tests a process of a parallel run is given together: those of a file, and those that share a `serve`."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

from xdist.scheduler import LoadFileScheduling

_FOLDER: Final = "tests/integration/served"
_ALONE: Final = {f"{_FOLDER}/test_machines.py"}
"""It starts servers of its own."""

_PARTS: Final = 2


class Scheduling(LoadFileScheduling):
    """Gives files to processes, those that share a `serve` in two parts.

    Each part starts a `serve`, and mostly waits for it; meanwhile the other processes run what computes.
    """

    def _split_scope(self, nodeid: str) -> str:
        path = str(super()._split_scope(nodeid))
        return f"{_FOLDER} {_parts()[path]}" if path in _parts() else path


@cache
def _parts() -> dict[str, int]:
    """Return the part of each file, by its path from the root: every second one belongs to the same."""
    files = sorted(f"{_FOLDER}/{path.name}" for path in (Path(__file__).parents[2] / _FOLDER).glob("test_*.py"))
    return {path: n % _PARTS for n, path in enumerate(file for file in files if file not in _ALONE)}
