"""What a user configures in Prefect: data sources, the staging store, destinations."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prefect_collect.blocks._locate import source_from
    from prefect_collect.blocks.data_source import DataSource
    from prefect_collect.blocks.file_source import FileSource
    from prefect_collect.blocks.object_store_source import ObjectStoreSource
    from prefect_collect.blocks.store_bucket import StoreBucket
    from prefect_collect.blocks.store_directory import StoreDirectory

__all__ = ["DataSource", "FileSource", "ObjectStoreSource", "StoreBucket", "StoreDirectory", "source_from"]

_HOMES = {
    "DataSource": "data_source",
    "FileSource": "file_source",
    "ObjectStoreSource": "object_store_source",
    "StoreBucket": "store_bucket",
    "StoreDirectory": "store_directory",
    "source_from": "_locate",
}


def __getattr__(name: str) -> Any:
    """Import a block when it is first asked for: Prefect and boto3 take a second."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """Names the blocks, so that ``prefect block register -m prefect_collect.blocks`` finds them."""
    return __all__
