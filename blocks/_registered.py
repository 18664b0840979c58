"""Imports every block, so that Prefect knows the classes of saved ones; the package itself stays light.

The entry point ``prefect.collections`` names this module: Prefect loads it before it first looks for a block's class.
"""

from __future__ import annotations

from prefect_collect.blocks.file_source import FileSource
from prefect_collect.blocks.object_store_source import ObjectStoreSource
from prefect_collect.blocks.store_bucket import StoreBucket
from prefect_collect.blocks.store_directory import StoreDirectory

__all__ = ["FileSource", "ObjectStoreSource", "StoreBucket", "StoreDirectory"]
