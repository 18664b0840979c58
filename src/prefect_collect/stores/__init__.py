"""Where jobs write: staging stores and destinations, as a directory or an S3 prefix."""

from prefect_collect.stores._base import Blob, BlobWriter, Buffer, CopyRange, Piece, Store
from prefect_collect.stores._directory import DirectoryStore
from prefect_collect.stores._open import open_store
from prefect_collect.stores._s3 import S3Store

__all__ = ["Blob", "BlobWriter", "Buffer", "CopyRange", "DirectoryStore", "Piece", "S3Store", "Store", "open_store"]
