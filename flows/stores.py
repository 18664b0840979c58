"""Open the staging store of a job: a location, a block, or the one of the setting."""

from __future__ import annotations

import os
from typing import Any

from prefect.blocks.core import Block

from prefect_collect.errors import InvalidLocation
from prefect_collect.runs.prefect_settings import default_store
from prefect_collect.stores import Store, open_store


def store_of(value: Block | str | os.PathLike[str] | None, *, field: str = "store") -> Store:
    """Return the store of a block, a path or a URL; for None, the default staging store.

    Raise InvalidLocation if it cannot be opened; the message calls it `field`.
    """
    if value is None:
        return open_store(default_store())
    if isinstance(value, (str, os.PathLike)):
        return open_store(value)
    if not isinstance(value, Block):
        raise InvalidLocation(
            f"{field} must be a path, an s3://, gs:// or az:// URL, or a store block. [{field}={value!r}]"
        )
    made: Any = getattr(value, "store", None)
    if made is None:
        raise InvalidLocation(
            f"{field} must be a path, an s3://, gs:// or az:// URL, or a block of a store (DirectoryStoreBlock, "
            f"S3StoreBlock, CloudStoreBlock), not a "
            f"{value.get_block_type_name()}."
        )
    store: Store = made()
    return store


def place_of(value: Any) -> Store:
    """Open the store that a flow's parameter names: a location, or a reference to a block as Prefect keeps it.

    Raise InvalidLocation if it cannot be opened, or its block was deleted.
    """
    if isinstance(value, dict) and "$ref" in value:
        load: Any = Block.load_from_ref
        try:
            value = load(value["$ref"])
        except ValueError as error:
            raise InvalidLocation(
                f"The block of the staging store was deleted; name the store. [block={value}]"
            ) from error
    return store_of(value)
