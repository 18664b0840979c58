"""Imports every block, so that Prefect knows the classes of saved ones; the package itself stays light.

The entry point ``prefect.collections`` names this module: Prefect loads it before it first looks for a block's class.
"""

from __future__ import annotations

from prefect_collect.blocks.directory_store import DirectoryStoreBlock
from prefect_collect.blocks.file_source import FileSource
from prefect_collect.blocks.object_store_source import ObjectStoreSource
from prefect_collect.blocks.s3_store import S3StoreBlock

__all__ = ["DirectoryStoreBlock", "FileSource", "ObjectStoreSource", "S3StoreBlock"]
