"""Where things are by default, for what runs without Prefect; `flows` ask Prefect's settings too."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

STORE_VARIABLE: Final = "PREFECT_INTEGRATIONS_COLLECT_STORE"
"""The environment variable that names the default staging store: a directory or ``s3://bucket/prefix``."""


def default_store() -> str:
    """The staging store where none is named: `STORE_VARIABLE`, else the folder ``collect`` in ``PREFECT_HOME``."""
    named = os.environ.get(STORE_VARIABLE)
    if named:
        return named
    home = os.environ.get("PREFECT_HOME") or Path.home() / ".prefect"
    return str(Path(home).expanduser() / "collect")
