"""The SQLite database of a Prefect server's first start, made once for all tests: its migrations take ten seconds."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

import prefect

_CACHE: Final = Path(__file__).parents[2] / ".pytest_cache" / "sqlite"


def put_database(home: Path) -> None:
    """Let the server with that PREFECT_HOME find the tables that its first start would make."""
    home.mkdir(parents=True, exist_ok=True)
    shutil.copy(_template(), home / "prefect.db")


def _template() -> Path:
    template = _CACHE / f"prefect-{prefect.__version__}.db"
    _CACHE.mkdir(parents=True, exist_ok=True)
    with (_CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not template.exists():
            with tempfile.TemporaryDirectory(dir=_CACHE) as home:
                command = [sys.executable, "-m", "prefect", "server", "database", "upgrade", "-y"]
                others = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
                subprocess.run(command, check=True, capture_output=True, env={**others, "PREFECT_HOME": home})
                (Path(home) / "prefect.db").rename(template)
    return template
