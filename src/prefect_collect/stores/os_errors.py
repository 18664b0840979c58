"""The StoreError of each OSError of a directory store."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from prefect_collect.errors import StoreError
from prefect_collect.stores.os_meanings import BY_ERRNO, OsMeaning

_UNKNOWN: Final = OsMeaning("read_error")


def store_error(error: OSError, location: str) -> StoreError:
    """Return the `StoreError` of an `OSError` at a location."""
    if error.errno == errno.EEXIST and error.filename2 is None and os.path.isfile(error.filename or ""):
        # mkdir of the store's own folder
        return StoreError(f"This is a file, not a folder; choose another place [{os.fspath(error.filename)}]")
    meaning = BY_ERRNO.get(error.errno or 0, _UNKNOWN)
    return meaning.store(f"{meaning.text or error.strerror or error} [{location}]")


@contextmanager
def os_errors(location: str) -> Iterator[None]:
    """Turn any `OSError` within this context into its `StoreError`, chained to it."""
    try:
        yield
    except OSError as error:
        raise store_error(error, location) from error
