"""What the operating system's errors mean, to a store that is written to and to a source that is read: one table."""

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
    """What an error number means.

    Attributes:
        source: the code of an item that cannot be read for it; None if reading cannot give it, so that it is the
            staging store's.
        store: the error of a store.
        text: what the store's error says; "" for the system's own words.
    """

    source: str | None
    store: type[StoreError] = StoreError
    text: str = ""


_NO_ANSWER: Final = OsMeaning("connection_lost", StoreUnavailable, "The network share did not answer")
_LOCAL: Final = OsMeaning("unexpected_error")

BY_ERRNO: Final = {
    errno.ENOENT: OsMeaning("not_found", KeyMissing, "There is no such file"),
    errno.EEXIST: OsMeaning("read_error", KeyExists, "The file is already there, and is not overwritten"),
    errno.ENOSPC: OsMeaning(None, StoreFull, "No space is left on the disk; free some, or name another store"),
    errno.EDQUOT: OsMeaning(None, StoreQuotaExceeded, "The disk quota is used up; raise it, or name another store"),
    errno.EFBIG: OsMeaning(
        None, StoreTooLarge, "The file is larger than the file system or this process's limits allow"
    ),
    errno.EROFS: OsMeaning(
        None, StoreAccessDenied, "The file system is read-only; mount it for writing, or name another store"
    ),
    errno.EACCES: OsMeaning(
        "access_denied", StoreAccessDenied, "Not allowed; give the user that the job runs as access to it"
    ),
    errno.EPERM: OsMeaning(
        "access_denied", StoreAccessDenied, "Not permitted; give the user that the job runs as access to it"
    ),
    errno.EIO: OsMeaning("read_error", StoreUnavailable, "The disk or share gave an input/output error; check it"),
    errno.ESTALE: OsMeaning("not_found", StoreUnavailable, "The network share went away; check that it is mounted"),
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
        "A part of the path is a file or a symbolic link, not a folder (links are not followed); name another",
    ),
    errno.ELOOP: OsMeaning(
        "path_unsafe", StoreError, "It is a symbolic link, and links inside a store are not followed; remove it"
    ),
    errno.EISDIR: OsMeaning(
        "changed_during_read", StoreError, "A folder of that name is in the way; remove it, or use another name"
    ),
    errno.ENAMETOOLONG: OsMeaning("name_too_long", StoreNameTooLong, "The name is longer than the file system allows"),
    errno.ENXIO: OsMeaning("special_file"),
    errno.ENODEV: OsMeaning("special_file"),
    errno.EMFILE: _LOCAL,
    errno.ENFILE: _LOCAL,
    errno.ENOMEM: _LOCAL,
}
