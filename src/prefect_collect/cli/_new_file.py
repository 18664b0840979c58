"""Writes what a command makes into a file, which appears under its name only when it is complete."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from prefect_collect.errors import UsageError
from prefect_collect.stores.os_errors import os_errors, store_error


@contextmanager
def new_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for writing. Raise UsageError if none can be made there, StoreError if it cannot be written.

    Nothing is left then.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.touch()
    except PermissionError as error:
        raise UsageError(
            f"The file cannot be written: its folder allows no new file; name another folder, or grant the right to "
            f"write there. [{path}]"
        ) from error
    except OSError as error:
        raise store_error(error, str(path)) from error
    try:
        with os_errors(str(path)):
            with part.open("wb") as target:
                yield target
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)
