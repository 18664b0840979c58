"""Reading an S3 object as a seekable file."""

from __future__ import annotations

import io
from typing import Any

from prefect_collect.stores._base import Blob
from prefect_collect.stores._s3_bucket import Bucket


class RangedReader(io.RawIOBase):
    """Reads an object in ranges, as they are asked for; every range must be of the same object (by its ETag)."""

    def __init__(self, bucket: Bucket, blob: Blob) -> None:
        self._bucket = bucket
        self._blob = blob
        self._position = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """The position."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move; nothing is fetched yet."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._blob.size}[whence]
        if base + offset < 0:
            raise ValueError(f"negative seek position {base + offset}")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Fetch as many bytes as fit."""
        end = min(self._position + len(buffer), self._blob.size)
        if end <= self._position:
            return 0
        data, _ = self._bucket.get(self._blob.key, self._position, end, self._blob.etag)
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)
