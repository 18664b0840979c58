"""Composing an object on S3 of ranges of other objects, which the server copies."""

from __future__ import annotations

from concurrent.futures import Future
from functools import partial

from prefect_collect.errors import StoreError
from prefect_collect.stores._base import Blob, CopyRange
from prefect_collect.stores._object_compose import Composition
from prefect_collect.stores._objects import PartUpload
from prefect_collect.stores._parts import Limits, Part
from prefect_collect.stores._s3_bucket import Bucket
from prefect_collect.stores._s3_upload import Upload, abort_leftovers
from prefect_collect.threads.pool import Pool


class ServerCopy(Composition):
    """One object being composed on one S3 server, of ranges in `source` and new bytes."""

    def __init__(self, target: Bucket, key: str, source: Bucket, pool: Pool, *, replace: bool) -> None:
        super().__init__(target, partial(Upload, target), key, source, pool, replace=replace)
        self._to, self._from = target, source

    def run(self) -> Blob | None:
        """Copy the ranges and complete the object; return None if no range is large enough to be copied.

        Raise CopiesUnsupported if the server cannot copy parts.
        """
        parts = self.plan(Limits())
        if not any(part.copied for part in parts):
            return None
        abort_leftovers(self._to, self._to.key(self._key), exact=True)
        blob = self.upload(parts)
        self._check_size(blob.size)
        return blob

    def _submit(self, upload: PartUpload, parts: list[Part]) -> list[Future[None]]:
        """Have the server copy, at once, what it can."""
        assert isinstance(upload, Upload)
        copies = [(number, part) for number, part in enumerate(parts, 1) if part.copied]
        return [self._pool.submit(self._copy, upload, number, part) for number, part in copies]

    def _copy(self, upload: Upload, number: int, part: Part) -> None:
        self._stop.require_going()
        for span in part.spans:
            if isinstance(span, CopyRange):
                upload.copy(number, self._from, span)

    def _check_size(self, size: int) -> None:
        made = self._to.head(self._key)
        if made.size == size:
            return
        location = self._to.locate(self._key)
        self._to.remove([made.key])
        raise StoreError(
            f"The S3 server composed an object of {made.size} bytes instead of {size}; it was removed again "
            f"[{location}]"
        )
