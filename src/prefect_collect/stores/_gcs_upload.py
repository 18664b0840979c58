"""An upload in parts to Google Cloud Storage: each part an object, which the server joins.

Google's own multipart uploads (XML) take no condition, so two writers could both create the object. Joining (compose)
takes one: https://cloud.google.com/storage/docs/composing-objects (at most 32 objects at once, in the same bucket).
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
from functools import partial
from typing import Any, Final

from google.cloud import storage

from prefect_collect.errors import KeyExists, StoreError
from prefect_collect.stores._base import Blob
from prefect_collect.stores._gcs_bucket import GcsBucket, crc32c, joined_crc32c
from prefect_collect.stores._gcs_errors import google_errors
from prefect_collect.stores._objects import new_token

PARTS: Final = ".prefect-collect-parts"
"""The folder of parts, which are removed when their object is complete or given up."""

_AT_ONCE: Final = 32
_ROOM: Final = 900
"""Bytes of a part's key, before its own name."""


class GcsUpload:
    """An upload in parts of one key; its methods may be called from several threads."""

    def __init__(self, bucket: GcsBucket, key: str) -> None:
        bucket.key(key)
        self._bucket = bucket
        self._key = key
        self._token = new_token()
        self._folder = f"{parts_of(bucket, key)}{self._token.value}/"
        self._parts: dict[int, tuple[storage.Blob, int, int]] = {}
        self._made: list[str] = []
        self._lock = threading.Lock()

    def send(self, number: int, data: bytes) -> None:
        """Upload a part, checked by its CRC-32C."""
        full = f"{self._folder}{number:05d}"
        with self._lock:
            self._made.append(full)
        with google_errors(self._bucket.locate(self._key)):
            sent = self._bucket.send(full, data, {})
        with self._lock:
            self._parts[number] = sent, len(data), crc32c(data)

    def complete(self, size: int, *, replace: bool) -> Blob:
        """Have the server join the parts. Raise KeyExists if the key exists, unless `replace`."""
        if not replace and self._bucket.holds(self._key):
            raise KeyExists(f"The object already exists and is not overwritten [{self._bucket.locate(self._key)}]")
        parts = [self._parts[number] for number in sorted(self._parts)]
        joined = self._joined([part[0] for part in parts])
        full = self._bucket.key(self._key)
        compose = partial(self._compose, full, joined)
        made = self._bucket.conditionally(compose, self._key, self._token, replace=replace)
        checksum = 0
        for _, length, part in parts:
            checksum = joined_crc32c(checksum, part, length)
        self._check(made, size, checksum)
        self._remove_parts()
        return Blob(self._key, size, str(made.generation))

    def abort(self) -> None:
        """Remove the parts. Never raise, as this runs after an error."""
        self._remove_parts()

    def _joined(self, blobs: list[storage.Blob]) -> list[storage.Blob]:
        """Return at most 32 objects that hold all the parts: those, or objects that are joined of them."""
        level = 0
        while len(blobs) > _AT_ONCE:
            level += 1
            groups = [blobs[start : start + _AT_ONCE] for start in range(0, len(blobs), _AT_ONCE)]
            names = [f"{self._folder}joined-{level}-{number:05d}" for number in range(len(groups))]
            self._made += names
            with google_errors(self._bucket.locate(self._key)):
                blobs = [self._bucket.compose(name, group, {}) for name, group in zip(names, groups, strict=True)]
        return blobs

    def _compose(self, full: str, sources: list[storage.Blob], condition: dict[str, Any]) -> storage.Blob:
        return self._bucket.compose(full, sources, condition, self._token)

    def _check(self, made: storage.Blob, size: int, checksum: int) -> None:
        """Remove the object, and raise StoreError, if it is not what was sent."""
        stated = int.from_bytes(_decoded(made.crc32c), "big")
        if (made.size, stated) == (size, checksum):
            return
        with contextlib.suppress(StoreError):
            self._bucket.remove_full(self._bucket.key(self._key), made.generation)
        raise StoreError(
            f"The server joined parts of {size} bytes to an object of {made.size} bytes, or with another CRC-32C; it "
            f"was removed again [{self._bucket.locate(self._key)}]"
        )

    def _remove_parts(self) -> None:
        """Remove the parts, where the bucket allows it: buckets for evidence often forbid it."""
        for full in self._made:
            with contextlib.suppress(StoreError):
                self._bucket.remove_full(full)
        self._made = []


def parts_of(bucket: GcsBucket, key: str) -> str:
    """Return the start of the keys, in the bucket, of all parts of one object, which ends in "-"."""
    name = hashlib.sha256(key.encode()).hexdigest()[:16]
    where = f"{bucket.prefix}{PARTS}/"
    for folder in key.split("/")[:-1]:
        if len(f"{where}{folder}/".encode()) > _ROOM:
            break
        where += f"{folder}/"
    return f"{where}{name}-"


def _decoded(checksum: str | None) -> bytes:
    import base64

    return base64.b64decode(checksum or "")
