"""Staging stores and destinations, where jobs write: a directory, or a prefix in a bucket of an object store."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from prefect_collect.stores._base import Blob, BlobWriter, Buffer, CopyRange, Piece, Store
from prefect_collect.stores._begun_file import BegunFile
from prefect_collect.stores._directory import DirectoryStore
from prefect_collect.stores._nested import Lies, folder_in_bucket, folder_lies, prefix_lies, same_server, store_lies
from prefect_collect.stores._open import open_store

if TYPE_CHECKING:
    from prefect_collect.stores._azure import AzureStore
    from prefect_collect.stores._gcs import GcsStore
    from prefect_collect.stores._s3 import S3Store

__all__ = [
    "AzureStore",
    "BegunFile",
    "Blob",
    "BlobWriter",
    "Buffer",
    "CopyRange",
    "DirectoryStore",
    "GcsStore",
    "Lies",
    "Piece",
    "S3Store",
    "Store",
    "folder_in_bucket",
    "folder_lies",
    "open_store",
    "prefix_lies",
    "same_server",
    "store_lies",
]  # fmt: skip

_LATER = {"AzureStore": "_azure", "GcsStore": "_gcs", "S3Store": "_s3"}


def __getattr__(name: str) -> Any:
    """Import the library of an object store only when its store is first used."""
    if name in _LATER:
        return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
