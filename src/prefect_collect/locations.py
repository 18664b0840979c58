"""How places are named that Prefect knows: the setting of the default staging store, and saved store blocks."""

from __future__ import annotations

from typing import Final

STORE_VARIABLE: Final = "PREFECT_INTEGRATIONS_COLLECT_STORE"
"""The environment variable that names the default staging store: a directory or ``s3://bucket/prefix``."""

STORE_BLOCKS: Final = ("collect-s3-store/", "collect-directory-store/")
"""What the names of saved store blocks begin with: the slugs of `blocks.StoreBucket` and `blocks.StoreDirectory`."""
