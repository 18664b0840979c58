"""Open the staging store or destination that a flow's parameter names."""

from __future__ import annotations

import os
from typing import Any

from prefect.blocks.core import Block

from prefect_collect.errors import InvalidLocation
from prefect_collect.flows._settings import default_store
from prefect_collect.stores import Store, open_store


def store_of(value: Block | str | os.PathLike[str] | None, *, field: str = "store") -> Store:
    """The store that a block, a path or a URL names; None: the default staging store. Raises InvalidLocation."""
    if value is None:
        return open_store(default_store())
    if isinstance(value, (str, os.PathLike)):
        return open_store(value)
    if not isinstance(value, Block):
        raise InvalidLocation(f"{field} must be a path, an s3:// URL, or a store block. [{field}={value!r}]")
    made: Any = getattr(value, "store", None)
    if made is None:
        raise InvalidLocation(
            f"{field} must be a path, an s3:// URL, or a StoreDirectory or StoreBucket block, not a "
            f"{value.get_block_type_name()}."
        )
    store: Store = made()
    return store
