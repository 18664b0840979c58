"""The error codes and failures of the operating system's errors."""

from __future__ import annotations

import os

from prefect_collect.codes import Failure
from prefect_collect.stores.os_meanings import BY_ERRNO


def os_code(error: OSError) -> str | None:
    """Return the code of an OSError, by its errno, else by its class; None if reading cannot cause the error."""
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
    """Return the failure of an OSError, whose message ends in `[place]`; None if reading cannot cause the error."""
    code = os_code(error)
    if code is None:
        return None
    reason = error.strerror or (os.strerror(error.errno) if error.errno else str(error) or type(error).__name__)
    return Failure(code, f"{reason}. [{place}]")
