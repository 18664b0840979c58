"""What an `OSError` of a directory store means."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from prefect_collect.errors import (
    KeyExists,
    KeyMissing,
    StoreAccessDenied,
    StoreError,
    StoreFull,
    StoreNameTooLong,
    StoreQuotaExceeded,
    StoreTooLarge,
    StoreUnavailable,
)

_MEANING: Final[dict[int, tuple[type[StoreError], str]]] = {
    errno.ENOENT: (KeyMissing, "There is no such file"),
    errno.EEXIST: (KeyExists, "The file is already there, and is not overwritten"),
    errno.ENOSPC: (StoreFull, "No space is left on the disk; free some, or name another store"),
    errno.EDQUOT: (StoreQuotaExceeded, "The disk quota is used up; raise it, or name another store"),
    errno.EFBIG: (StoreTooLarge, "The file is larger than the file system or this process's limits allow"),
    errno.EACCES: (StoreAccessDenied, "Not allowed; give the user that the job runs as access to it"),
    errno.EPERM: (StoreAccessDenied, "Not permitted; give the user that the job runs as access to it"),
    errno.EROFS: (StoreAccessDenied, "The file system is read-only; mount it for writing, or name another store"),
    errno.EIO: (StoreUnavailable, "The disk or share gave an input/output error; check it"),
    errno.ESTALE: (StoreUnavailable, "The network share went away; check that it is mounted"),
    errno.ETIMEDOUT: (StoreUnavailable, "The network share did not answer in time"),
    errno.EHOSTDOWN: (StoreUnavailable, "The network share did not answer"),
    errno.ENOTCONN: (StoreUnavailable, "The network share is not connected"),
    errno.ENOTDIR: (
        StoreError,
        "A part of the path is a file or a symbolic link, not a folder (links are not followed); name another",
    ),
    errno.ELOOP: (StoreError, "It is a symbolic link, and links inside a store are not followed; remove it"),
    errno.EISDIR: (StoreError, "A folder of that name is in the way; remove it, or use another name"),
    errno.ENAMETOOLONG: (StoreNameTooLong, "The name is longer than the file system allows"),
}


def store_error(error: OSError, location: str) -> StoreError:
    """The `StoreError` that stands for an `OSError` at that place."""
    if error.errno == errno.EEXIST and error.filename2 is None and os.path.isfile(error.filename or ""):
        # mkdir of the store's own folder
        return StoreError(f"It is a file, not a folder; name another [{os.fspath(error.filename)}]")
    kind, text = _MEANING.get(error.errno or 0, (StoreError, error.strerror or str(error)))
    return kind(f"{text} [{location}]")


@contextmanager
def os_errors(location: str) -> Iterator[None]:
    """Raise the `StoreError` for any `OSError` inside, chained to it."""
    try:
        yield
    except OSError as error:
        raise store_error(error, location) from error
