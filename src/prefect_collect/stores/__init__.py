"""Staging stores and destinations, where jobs write: a directory or an S3 prefix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prefect_collect.stores._base import Blob, BlobWriter, Buffer, CopyRange, Piece, Store
from prefect_collect.stores._directory import DirectoryStore
from prefect_collect.stores._nested import Lies, folder_lies, prefix_lies, same_server, store_lies
from prefect_collect.stores._open import open_store

if TYPE_CHECKING:
    from prefect_collect.stores._s3 import S3Store

__all__ = [
    "Blob", "BlobWriter", "Buffer", "CopyRange", "DirectoryStore", "Lies", "Piece", "S3Store", "Store", "folder_lies",
    "open_store", "prefix_lies", "same_server", "store_lies",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import boto3 only when `S3Store` is first used."""
    if name == "S3Store":
        from prefect_collect.stores._s3 import S3Store

        return S3Store
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
