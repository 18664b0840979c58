"""What an operating system's error means, as a code of `prefect_collect.codes`."""

from __future__ import annotations

import os

from prefect_collect.codes import Failure
from prefect_collect.stores.os_meanings import BY_ERRNO


def os_code(error: OSError) -> str | None:
    """The code for an OSError, by its errno, else by its class; None if it cannot come from reading."""
    if error.errno in BY_ERRNO:
        return BY_ERRNO[error.errno].source
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, PermissionError):
        return "access_denied"
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return "not_found"
    if isinstance(error, ConnectionError) or type(error).__name__ in ("gaierror", "herror"):
        return "connection_lost"
    return "read_error"


def os_failure(error: OSError, place: str) -> Failure | None:
    """The failure for an OSError, its message ending in `[place]`; None if it cannot come from reading."""
    code = os_code(error)
    if code is None:
        return None
    reason = error.strerror or (os.strerror(error.errno) if error.errno else str(error) or type(error).__name__)
    return Failure(code, f"{reason}. [{place}]")
