"""Modules that a command is spared."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from prefect_collect.runs.unused_imports import without_unused


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package that is used in a function alone, one that may be missing, and the module that imports both."""
    (tmp_path / "used_late").mkdir()
    (tmp_path / "used_late" / "__init__.py").write_text("from used_late.inside import answer\n")
    (tmp_path / "used_late" / "inside.py").write_text("import used_late\nanswer = 42\n")
    (tmp_path / "never_used.py").write_text("")
    (tmp_path / "their_program.py").write_text(
        "import used_late\n"
        "try:\n    import never_used\nexcept ImportError:\n    never_used = None\n"
        "def ask():\n    return used_late.answer\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in ("used_late", "used_late.inside", "never_used", "their_program"):
        sys.modules.pop(name, None)


@pytest.mark.usefixtures("modules")
def test_a_module_is_imported_when_it_is_used() -> None:
    """What is used in a function is imported at the first call; what is left out is found again afterwards."""
    with without_unused(["used_late", "not_installed"], ["never_used"]):
        theirs = importlib.import_module("their_program")
    assert "used_late.inside" not in sys.modules
    assert "not_installed" not in sys.modules
    assert theirs.never_used is None
    assert theirs.ask() == theirs.ask() == 42
    assert importlib.import_module("used_late").__file__
    assert importlib.import_module("used_late.inside").answer == 42
    assert importlib.import_module("never_used")


@pytest.mark.usefixtures("modules")
def test_a_part_of_such_a_module_is_imported() -> None:
    """A submodule, or a name of the module, can be imported by whoever needs it, before the module was used."""
    with without_unused(["used_late"], []):
        importlib.import_module("their_program")
    assert importlib.import_module("used_late.inside").answer == 42
