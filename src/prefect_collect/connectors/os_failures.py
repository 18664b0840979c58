"""What an operating system's error means, as a code of `prefect_collect.codes`."""

from __future__ import annotations

import errno
import os
from typing import Final

from prefect_collect.codes import Failure

_BY_ERRNO: Final = {
    errno.EACCES: "access_denied",
    errno.EPERM: "access_denied",
    errno.ENOENT: "not_found",
    errno.ENOTDIR: "not_found",
    errno.ESTALE: "not_found",
    errno.ENAMETOOLONG: "name_too_long",
    errno.EISDIR: "changed_during_read",
    errno.ELOOP: "path_unsafe",
    errno.ENXIO: "special_file",
    errno.ENODEV: "special_file",
    errno.ETIMEDOUT: "timeout",
    errno.ECONNREFUSED: "connection_lost",
    errno.ECONNRESET: "connection_lost",
    errno.ECONNABORTED: "connection_lost",
    errno.EPIPE: "connection_lost",
    errno.ENOTCONN: "connection_lost",
    errno.EHOSTUNREACH: "connection_lost",
    errno.EHOSTDOWN: "connection_lost",
    errno.ENETUNREACH: "connection_lost",
    errno.ENETDOWN: "connection_lost",
    errno.EMFILE: "unexpected_error",
    errno.ENFILE: "unexpected_error",
    errno.ENOMEM: "unexpected_error",
}

_WRITING: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG})
"""Errors that reading from a source cannot give: they are the staging store's."""


def os_code(error: OSError) -> str | None:
    """The code for an OSError, by its errno, else by its class; None if it cannot come from reading."""
    if error.errno in _WRITING:
        return None
    if isinstance(error, TimeoutError):
        return "timeout"
    if error.errno in _BY_ERRNO:
        return _BY_ERRNO[error.errno]
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
