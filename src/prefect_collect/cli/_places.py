"""Resolve the staging store and the destination that a user names on the command line."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from prefect_collect.errors import InvalidLocation, StoreError
from prefect_collect.storable import require_storable
from prefect_collect.stores import DirectoryStore, open_store
from prefect_collect.stores.addresses import STORE_BLOCKS, STORE_VARIABLE, require_meant
from prefect_collect.stores.os_errors import store_error

if TYPE_CHECKING:
    from prefect.blocks.core import Block


def store_location(given: str | None) -> str:
    """Return the staging store's location, absolute, so that a later command in another folder finds it."""
    return absolute(given if given is not None else default_store())


def default_store() -> str:
    """Return the default staging store, from the environment, else from Prefect's settings."""
    if named := os.environ.get(STORE_VARIABLE):
        return named
    from prefect_collect.cli._server import quieten
    from prefect_collect.runs import prefect_settings
    from prefect_collect.runs.imports import importing

    quieten()
    with importing(freeze=True):
        return prefect_settings.default_store()


def absolute(location: str) -> str:
    """Return the location with a local path made absolute; a URL stays as it is.

    Raise InvalidLocation if it is empty, or a saved block or mistyped URL, whose name would become a folder.
    """
    if not location.strip():
        raise InvalidLocation("The location is empty; name a folder, or s3://bucket/prefix. [location='']")
    if is_saved(location):
        raise InvalidLocation(
            f"A saved block can only be a destination; name a folder (./{location} for one of that name), or "
            f"s3://bucket/prefix. [location={location}]"
        )
    require_meant(location)
    return location if "://" in location else os.path.abspath(os.path.expanduser(location))


def is_saved(location: str) -> bool:
    """Return whether the location names a saved store block, such as ``collect-s3-store/NAME``."""
    return location.startswith(STORE_BLOCKS)


def destination(text: str) -> str:
    """Return the location of a destination: absolute, or a saved store block as it is.

    Raise InvalidLocation if it is not valid, or a folder that cannot be created or written to.
    """
    if is_saved(text):
        return text
    location = absolute(text)
    require_usable(location)
    return location


def saved_destination(name: str) -> Block:
    """Return the saved store block from Prefect. Raise InvalidLocation if Prefect has none of that name."""
    from prefect.blocks.core import Block

    import prefect_collect.blocks  # noqa: F401  this registers the block types

    require_storable(name, "destination", InvalidLocation)
    load: Any = Block.load
    try:
        block: Block = load(name)
    except ValueError as error:
        raise InvalidLocation(
            f"Prefect has no such block; list them with `prefect block ls`, or write ./{name} for a folder of that "
            f"name. [destination={name}]"
        ) from error
    return block


def require_store(location: str) -> None:
    """Raise InvalidLocation if the location is a local path at which there is no folder."""
    store = open_store(location)
    if not isinstance(store, DirectoryStore) or store.root.is_dir():
        return
    if store.root.exists():
        raise InvalidLocation(f"The staging store is a file, not a folder; name another one. [{location}]")
    raise InvalidLocation(f"There is no such folder; name the staging store that the jobs are in. [{location}]")


def require_usable(location: str) -> None:
    """Raise InvalidLocation if the location is a folder that cannot be created or written to; leave nothing behind."""
    store = open_store(location)
    if not isinstance(store, DirectoryStore):
        return
    try:
        store.require_folder()
        missing = [place for place in (store.root, *store.root.parents) if not place.exists()]
        try:
            store.root.mkdir(parents=True, exist_ok=True)
            if not os.access(store.root, os.W_OK | os.X_OK):
                read_only = os.statvfs(store.root).f_flag & os.ST_RDONLY
                raise OSError(errno.EROFS if read_only else errno.EACCES, "")
        finally:
            for made in missing:
                with suppress(OSError):
                    made.rmdir()
    except StoreError as error:
        raise InvalidLocation(str(error)) from error
    except OSError as error:
        raise InvalidLocation(f"The folder cannot be created or written to. {store_error(error, location)}") from error
