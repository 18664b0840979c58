"""The modules of the package by their installed names, from the real files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
SOURCE: Final = ROOT / "src" / "prefect_collect"
LINKED: Final = ("blocks", "deployments", "flows", "tasks")
"""The folders at the top of the repository that are installed below prefect_collect; links in `SOURCE` lead to them."""


def _modules() -> dict[str, Path]:
    found = {}
    for base, top in [(SOURCE, "prefect_collect"), *((ROOT / name, f"prefect_collect.{name}") for name in LINKED)]:
        for folder, _, names in os.walk(base):  # Does not follow the links.
            for path in (Path(folder) / name for name in names if name.endswith(".py")):
                parts = path.relative_to(base).with_suffix("").parts
                found[".".join((top, *parts)).removesuffix(".__init__")] = path
    return found


MODULES: Final = _modules()
