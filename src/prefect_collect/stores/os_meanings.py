"""The meaning of the operating system's errors, in one table for stores and sources."""

from __future__ import annotations

import errno
from typing import Final, NamedTuple

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


class OsMeaning(NamedTuple):
    """The meaning of an error number.

    Attributes:
        source: The code of an item that cannot be read because of it; None if reading cannot cause the error, so that
            it must be the staging store's.
        store: The class of a store's error.
        text: The message of a store's error; "" for the system's own text.
    """

    source: str | None
    store: type[StoreError] = StoreError
    text: str = ""


_NO_ANSWER: Final = OsMeaning("connection_lost", StoreUnavailable, "The network share did not answer")
_LOCAL: Final = OsMeaning("unexpected_error")

BY_ERRNO: Final = {
    errno.ENOENT: OsMeaning("not_found", KeyMissing, "There is no such file"),
    errno.EEXIST: OsMeaning("read_error", KeyExists, "The file already exists and is not overwritten"),
    errno.ENOSPC: OsMeaning(None, StoreFull, "No space is left on the disk; free some, or use another store"),
    errno.EDQUOT: OsMeaning(None, StoreQuotaExceeded, "The disk quota is used up; raise it, or use another store"),
    errno.EFBIG: OsMeaning(
        None, StoreTooLarge, "The file is larger than the file system or this process's limits allow"
    ),
    errno.EROFS: OsMeaning(
        None, StoreAccessDenied, "The file system is read-only; mount it for writing, or use another store"
    ),
    errno.EACCES: OsMeaning(
        "access_denied", StoreAccessDenied, "Access is not allowed; grant it to the user that the job runs as"
    ),
    errno.EPERM: OsMeaning(
        "access_denied", StoreAccessDenied, "The operation is not permitted; allow it to the user that the job runs as"
    ),
    errno.EIO: OsMeaning("read_error", StoreUnavailable, "The disk or share has an input/output error; check it"),
    errno.ESTALE: OsMeaning("not_found", StoreUnavailable, "The network share is gone; check that it is mounted"),
    errno.ETIMEDOUT: OsMeaning("timeout", StoreUnavailable, "The network share did not answer in time"),
    errno.ENOTCONN: OsMeaning("connection_lost", StoreUnavailable, "The network share is not connected"),
    errno.EHOSTDOWN: _NO_ANSWER,
    errno.EHOSTUNREACH: _NO_ANSWER,
    errno.ENETUNREACH: _NO_ANSWER,
    errno.ENETDOWN: _NO_ANSWER,
    errno.ECONNREFUSED: _NO_ANSWER,
    errno.ECONNRESET: _NO_ANSWER,
    errno.ECONNABORTED: _NO_ANSWER,
    errno.EPIPE: OsMeaning("connection_lost"),
    errno.ENOTDIR: OsMeaning(
        "not_found",
        StoreError,
        "A part of the path is a file or a symbolic link, not a folder (links are not followed); choose another path",
    ),
    errno.ELOOP: OsMeaning(
        "path_unsafe", StoreError, "This is a symbolic link, and links inside a store are not followed; remove it"
    ),
    errno.EISDIR: OsMeaning(
        "changed_during_read", StoreError, "A folder has that name; remove it, or use another name"
    ),
    errno.ENAMETOOLONG: OsMeaning("name_too_long", StoreNameTooLong, "The name is longer than the file system allows"),
    errno.ENXIO: OsMeaning("special_file"),
    errno.ENODEV: OsMeaning("special_file"),
    errno.EMFILE: _LOCAL,
    errno.ENFILE: _LOCAL,
    errno.ENOMEM: _LOCAL,
}
