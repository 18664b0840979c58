"""Prefect's databases as after a server's first start, made once for all tests, as migrations take ten seconds."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import prefect

_REGISTER: Final = """
import asyncio
from prefect.server.database import provide_database_interface
from prefect.server.models.block_registration import run_block_auto_registration

async def register():
    async with await provide_database_interface().session() as session:
        await run_block_auto_registration(session)

asyncio.run(register())
"""
"""As `prefect.server.api.server.create_app` does (3.8)."""

_CACHE: Final = Path(__file__).parents[2] / ".pytest_cache" / "sqlite"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock the folder within this context, so that only this process writes the files that the tests keep there."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def migrate(home: Path, **settings: str) -> None:
    """Create Prefect's tables, as the first start of a server with that PREFECT_HOME and those settings does."""
    _run(["-m", "prefect", "server", "database", "upgrade", "-y"], home, settings)


def register_blocks(home: Path, **settings: str) -> None:
    """Register the block types that each start of a server registers, which takes seconds."""
    _run(["-c", _REGISTER], home, settings)


def _run(words: list[str], home: Path, settings: dict[str, str]) -> None:
    others = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment = {**others, "PREFECT_HOME": str(home), **settings}
    subprocess.run([sys.executable, *words], check=True, capture_output=True, env=environment)


def put_database(home: Path) -> None:
    """Copy a database with Prefect's tables to that PREFECT_HOME, so that its server need not create them."""
    home.mkdir(parents=True, exist_ok=True)
    shutil.copy(_template(), home / "prefect.db")


def _template() -> Path:
    template = _CACHE / f"prefect-{prefect.__version__}.db"
    with locked(_CACHE):
        if not template.exists():
            with tempfile.TemporaryDirectory(dir=_CACHE) as home:
                migrate(Path(home))
                (Path(home) / "prefect.db").rename(template)
    return template
