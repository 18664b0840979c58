"""The rules of the architecture: a name that begins with an underscore stays in its folder; modules stay small."""

from __future__ import annotations

import ast
from typing import Final

import pytest

from tests.support.package_modules import MODULES

MOST_LINES: Final = 300
PACKAGES: Final = {name for name, path in MODULES.items() if path.name == "__init__.py"}


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def private_imports(source: str, folder: str) -> list[str]:
    """Return the private modules and names that a source imports, or reaches by dots, from outside of `folder`."""
    found = []
    nodes = [*ast.walk(ast.parse(source))]
    modules = {"prefect_collect": "prefect_collect"}
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] == "prefect_collect":
            modules |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    for node in nodes:
        if isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.Attribute):
            first, rest = _reached(node)
            names = [f"{modules[first]}.{rest}"] if modules.get(first) in MODULES else []
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] != "prefect_collect":
                continue
            for index, part in enumerate(parts):
                owner = ".".join(parts[:index])
                home = owner if owner in PACKAGES else owner.rpartition(".")[0]
                if _is_private(part) and home != folder:
                    found.append(name)
    return found


def _reached(node: ast.Attribute) -> tuple[str, str]:
    """Return a name, and what is reached from it by dots; the first is empty if it is no name."""
    names = [node.attr]
    owner = node.value
    while isinstance(owner, ast.Attribute):
        names.append(owner.attr)
        owner = owner.value
    return owner.id if isinstance(owner, ast.Name) else "", ".".join(reversed(names))


def test_private_names_stay_in_their_folder() -> None:
    """A module imports no private module, and no private name, of another folder."""
    found = {
        name: private_imports(path.read_text(encoding="utf-8"), name if name in PACKAGES else name.rpartition(".")[0])
        for name, path in MODULES.items()
    }
    assert {name: imports for name, imports in found.items() if imports} == {}


@pytest.mark.parametrize(
    ("source", "folder", "found"),
    [
        ("from prefect_collect.stores._s3 import S3Store", "prefect_collect.flows", 1),
        ("from prefect_collect.stores import _s3", "prefect_collect.flows", 1),
        ("import prefect_collect.stores._s3", "prefect_collect.flows", 1),
        ("from prefect_collect.runs.turn import _take", "prefect_collect.flows", 1),
        ("import prefect_collect.stores\nprefect_collect.stores._s3", "prefect_collect.tasks", 1),
        ("from prefect_collect.runs import turn\nturn._take()", "prefect_collect.flows", 1),
        ("from prefect_collect.runs import turn\nturn.leave_queue()", "prefect_collect.flows", 0),
        ("def lazy():\n    from prefect_collect.flows._job_flow import _own", "prefect_collect.runs", 2),
        ("from prefect_collect.flows._job_flow import flow", "prefect_collect.flows", 0),
        ("from prefect_collect.stores import S3Store", "prefect_collect.flows", 0),
    ],
)
def test_planted_private_imports_are_seen(source: str, folder: str, found: int) -> None:
    """The rule finds private modules and names in every form of import, also within functions."""
    assert len(private_imports(source, folder)) == found


def test_modules_are_of_a_size_to_be_read() -> None:
    """No module has more than 300 lines."""
    lines = {name: path.read_text(encoding="utf-8").count("\n") for name, path in MODULES.items()}
    assert {name: number for name, number in lines.items() if number > MOST_LINES} == {}
