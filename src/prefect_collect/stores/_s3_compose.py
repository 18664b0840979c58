"""Composing an object on S3 of ranges of other objects, which the server copies.

S3 puts at most 10,000 parts into an object. Where more ranges are to be copied, groups of them first become objects of
their own, which are then copied whole into the one that is wanted, and deleted.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial

from prefect_collect.errors import StoreError
from prefect_collect.stores._base import Blob, CopyRange
from prefect_collect.stores._object_compose import Composition
from prefect_collect.stores._object_store import PROBES
from prefect_collect.stores._objects import PartUpload
from prefect_collect.stores._parts import Limits, Part, join_parts
from prefect_collect.stores._s3_bucket import Bucket
from prefect_collect.stores._s3_pages import pages
from prefect_collect.stores._s3_upload import Upload, abort_leftovers
from prefect_collect.threads.abandoned import OPEN, fenced_by
from prefect_collect.threads.pool import Pool


class ServerCopy(Composition):
    """One object being composed on one S3 server, of ranges in `source` and new bytes."""

    def __init__(self, target: Bucket, key: str, source: Bucket, pool: Pool, *, replace: bool, limits: Limits) -> None:
        super().__init__(target, partial(Upload, target), key, source, pool, replace=replace)
        self._to, self._from, self._limits = target, source, limits

    def run(self) -> Blob | None:
        """Copy the ranges and complete the object; return None if no range is large enough to be copied.

        Raise CopiesUnsupported if the server cannot copy parts.
        """
        parts = self.plan(replace(self._limits, joins=True))
        if not any(part.copied for part in parts):
            return None
        abort_leftovers(self._to, self._to.key(self._key), exact=True)
        if len(parts) <= self._limits.parts:
            blob = self.upload(parts)
        else:
            with self._folder() as folder:
                blob = self.upload(self._joined(parts, folder))
        self._check_size(self._key, blob.size)
        return blob

    def _joined(self, parts: list[Part], folder: str) -> list[Part]:
        """Return fewer parts of the same bytes, as copies of objects that are made in the folder."""
        run = secrets.token_hex(4)
        joined: list[Part] = []
        for number, group in enumerate(join_parts(parts, self._limits)):
            if len(group) == 1:
                joined += group
                continue
            key = f"{folder}{run}-{number:05d}"
            blob = self.upload(group, key)
            self._check_size(key, blob.size)
            joined.append(Part((CopyRange(key, 0, blob.size, blob.etag),), copied=True))
        return joined

    @contextmanager
    def _folder(self) -> Iterator[str]:
        """Return the folder of the objects that are made on the way; it is emptied before and after.

        Its name is that of the key, so that the next try clears away what a killed process left.
        """
        folder = f"{PROBES}/{hashlib.sha256(self._key.encode()).hexdigest()[:32]}/"
        self._clear(folder)
        try:
            yield folder
        finally:
            with fenced_by(OPEN), suppress(StoreError):  # buckets for evidence often forbid deletion
                self._clear(folder)

    def _clear(self, folder: str) -> None:
        full, start = self._to.prefix + folder, len(self._to.prefix)
        abort_leftovers(self._to, full, exact=False)
        found = pages(self._to.client, self._to.name, full, self._to.locate(""))
        self._to.remove([entry["Key"][start:] for page in found for entry in page.get("Contents", [])])

    def _submit(self, upload: PartUpload, parts: list[Part]) -> list[Future[None]]:
        """Have the server copy, at once, what it can."""
        assert isinstance(upload, Upload)
        copies = [(number, part) for number, part in enumerate(parts, 1) if part.copied]
        return [self._pool.submit(self._copy, upload, number, part) for number, part in copies]

    def _copy(self, upload: Upload, number: int, part: Part) -> None:
        self._stop.require_going()
        for span in part.spans:
            if isinstance(span, CopyRange):
                upload.copy(number, self._to if span.key.startswith(f"{PROBES}/") else self._from, span)

    def _check_size(self, key: str, size: int) -> None:
        made = self._to.head(key)
        if made.size == size:
            return
        location = self._to.locate(key)
        self._to.remove([made.key])
        raise StoreError(
            f"The S3 server composed an object of {made.size} bytes instead of {size}; it was removed again "
            f"[{location}]"
        )
