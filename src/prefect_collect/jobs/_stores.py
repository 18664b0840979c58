"""Open the staging store that a call names. Prefect is imported only for what it alone knows."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from prefect_collect.runs.prefect_settings import default_store
from prefect_collect.stores import Store, open_store

if TYPE_CHECKING:
    from prefect.blocks.core import Block

    StoreLike = Store | Block | str | os.PathLike[str] | dict[str, Any] | None


def opened(store: StoreLike, parameters: dict[str, Any] | None = None) -> Store:
    """Return the named staging store, else the one in a job's parameters, else the default one."""
    if isinstance(store, Store):
        return store
    named = store if store is not None else (parameters or {}).get("store")
    if named is None:
        return open_store(default_store())
    if isinstance(named, (str, os.PathLike)):
        return open_store(named)
    from prefect_collect.flows.stores import place_of

    return place_of(named)
