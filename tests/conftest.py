"""The order of the tests: those that wait longest first, so that parallel workers end at about the same time.

No example of a property test has a deadline: how long one takes says how busy the machine is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest
from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

_FIRST: Final = ["served", "restarting", "deployments", "ui", "cli", "jobs"]
_ROOT: Final = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort by folder; within one, the order stays as it is."""
    items.sort(key=lambda item: _rank(item.path))


def _rank(path: Path) -> int:
    if path == _ROOT / "test_readme.py":
        return 0
    parts = path.relative_to(_ROOT).parts
    ours = parts[0] == "integration" and parts[1] in _FIRST
    return _FIRST.index(parts[1]) if ours else len(_FIRST)
