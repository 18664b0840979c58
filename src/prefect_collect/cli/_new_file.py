"""Writes what a command makes into a file, which appears under its name only when it is complete."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from prefect_collect.stores.os_errors import os_errors


@contextmanager
def new_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for writing. Raise StoreError if it cannot be written; nothing is left then."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with os_errors(str(path)):
            with part.open("wb") as target:
                yield target
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)
