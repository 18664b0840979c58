"""How packages name the software that made them."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Final

AGENT: Final = "prefect-collect"
"""The name; every byte of a package that states it is verified."""


@cache  # it is read from a file with the whole README
def agent_version() -> str:
    """Return the installed version of this software; "" if it is not installed."""
    try:
        return version("prefect-collect")
    except PackageNotFoundError:
        return ""
