"""Tests of what an S3 server really does, once per process and bucket."""

from __future__ import annotations

import contextlib
import secrets
import threading
from typing import Final

from prefect_collect.errors import KeyExists, StoreError, StoreUnsafe
from prefect_collect.stores._object_store import PROBES
from prefect_collect.stores._s3_bucket import Bucket

_LOCK: Final = threading.Lock()
_EXCLUSIVE: Final[dict[tuple[str, str], bool]] = {}
_NO_COPIES: Final[set[str]] = set()


def require_exclusive_creates(bucket: Bucket) -> None:
    """Create one key twice. Raise StoreUnsafe if that works, unless the bucket has a single writer."""
    where = (bucket.endpoint, bucket.name)
    with _LOCK:
        if where not in _EXCLUSIVE:
            _EXCLUSIVE[where] = _is_exclusive(bucket)
    if not _EXCLUSIVE[where] and not bucket.single_writer:
        raise StoreUnsafe(
            "The S3 server lets two writers create the same object (it ignores If-None-Match), so they could fork a "
            "job; use another server, or set --single-writer (single_writer of a block) if nothing else ever writes "
            "there "
            f"[{bucket.locate('').rstrip('/')}]"
        )


def _is_exclusive(bucket: Bucket) -> bool:
    key = f"{PROBES}/{secrets.token_hex(8)}"
    try:
        bucket.create_raw(key)
        bucket.create_raw(key)
    except KeyExists:
        return True
    except StoreUnsafe:
        return False
    finally:
        with contextlib.suppress(StoreError):  # buckets for evidence often forbid deletion
            bucket.remove([key])
    return False


def copies_parts(bucket: Bucket) -> bool:
    """Return whether the server may support UploadPartCopy: True until `note_no_copies`."""
    return bucket.endpoint not in _NO_COPIES


def note_no_copies(bucket: Bucket) -> None:
    """Remember that the server does not support UploadPartCopy."""
    _NO_COPIES.add(bucket.endpoint)
