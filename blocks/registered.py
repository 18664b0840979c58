"""The import of every block, so that Prefect knows the classes of saved blocks.

The entry point ``prefect.collections`` names this module, and Prefect loads it before it first looks up a block's
class; `import prefect_collect.blocks` itself imports no block and stays fast.
"""

from __future__ import annotations

from prefect_collect.blocks.directory_store import DirectoryStoreBlock
from prefect_collect.blocks.file_source import FileSource
from prefect_collect.blocks.object_store_source import ObjectStoreSource
from prefect_collect.blocks.s3_store import S3StoreBlock

__all__ = ["DirectoryStoreBlock", "FileSource", "ObjectStoreSource", "S3StoreBlock"]
