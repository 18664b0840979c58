"""An upload in blocks to Azure Blob Storage.

Blocks that are not committed are seen by no reader, and Azure removes them after a week:
https://learn.microsoft.com/rest/api/storageservices/put-block. A commit of another writer discards them.
"""

from __future__ import annotations

import base64
import contextlib
import threading
from typing import Any

from azure.core import MatchConditions
from azure.storage.blob import BlobBlock

from prefect_collect.errors import KeyExists, StoreError
from prefect_collect.stores._azure_bucket import AzureBucket, metadata_of
from prefect_collect.stores._azure_errors import azure_errors
from prefect_collect.stores._base import Blob
from prefect_collect.stores._objects import new_token


class AzureUpload:
    """An upload in blocks of one key; its methods may be called from several threads."""

    def __init__(self, bucket: AzureBucket, key: str) -> None:
        self._bucket = bucket
        self._key = key
        self._token = new_token()
        self._blob = bucket.blob(key)
        self._blocks: dict[int, str] = {}
        self._lock = threading.Lock()

    def send(self, number: int, data: bytes) -> None:
        """Upload a block, checked by its MD5."""
        name = base64.b64encode(f"{self._token.value}{number:05d}".encode()).decode()
        with azure_errors(self._bucket.locate(self._key)):
            self._blob.stage_block(name, data, len(data), validate_content=True)
        with self._lock:
            self._blocks[number] = name

    def complete(self, size: int, *, replace: bool) -> Blob:
        """Make the object of the blocks. Raise KeyExists if the key exists, unless `replace`."""
        blocks = [BlobBlock(self._blocks[number]) for number in sorted(self._blocks)]
        condition: dict[str, Any] = {} if replace else {"match_condition": MatchConditions.IfMissing}

        def send() -> str:
            made = self._blob.commit_block_list(blocks, metadata=metadata_of(self._token), **condition)
            return str(made["etag"])

        if not replace and self._bucket.holds(self._key):
            raise KeyExists(f"The object already exists and is not overwritten [{self._bucket.locate(self._key)}]")
        etag = self._bucket.conditionally(send, self._key, self._token)
        made = self._bucket.head(self._key)
        if made.size == size or made.etag != etag:
            return Blob(self._key, size, etag)
        with contextlib.suppress(StoreError):
            self._bucket.remove(self._key)
        raise StoreError(
            f"Azure Blob Storage made an object of {made.size} bytes of blocks of {size} bytes; it was removed again "
            f"[{self._bucket.locate(self._key)}]"
        )

    def abort(self) -> None:
        """Leave the blocks to Azure, which has no request that discards them."""
