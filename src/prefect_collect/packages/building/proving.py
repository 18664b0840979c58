"""Proves items of one segment: SHA-256 of the bytes of each, and the local header before them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Final

from prefect_collect.errors import CorruptSegment
from prefect_collect.packages.building.reading import SegmentReader, each_item, header_and_chunks
from prefect_collect.packages.building.rows import Row
from prefect_collect.stores import Store
from prefect_collect.threads.stop import Stop

_ALTERED: Final = "its bytes in the segment are not the collected ones (SHA-256 differs)"

KeepSha512 = Callable[[int, bytes], None]
"""Is given row number and SHA-512 of each proven item."""


def prove_items(
    staging: Store, key: str, rows: Sequence[Row], prefix: bytes, stop: Stop, keep_sha512: KeepSha512 | None
) -> tuple[dict[int, str], set[int]]:
    """Return why items are not proven, and which have another local header than the expected one, by row number.

    Args:
        staging: The store of the segment.
        key: The segment's key.
        rows: The items, in their order.
        prefix: What is before each path in a local header.
        stop: Ends the work with JobCanceled.
        keep_sha512: Also compute SHA-512, for this.

    Raises:
        KeyMissing, StoreError: The segment cannot be read.
        JobCanceled: `stop` was set to cancel.
    """
    reasons: dict[int, str] = {}
    headers: set[int] = set()

    def visit(reader: SegmentReader, row: Row, ahead: int) -> None:
        try:
            name = prefix + row.path.encode()
            header, chunks = header_and_chunks(reader, row, ahead)
            if header != row.header(name, row.has_zip64(name)):
                headers.add(row.number)
            sha256, size = hashlib.sha256(), 0
            sha512 = None if keep_sha512 is None else hashlib.sha512()
            for chunk in chunks:
                sha256.update(chunk)
                size += len(chunk)
                if sha512 is not None:
                    sha512.update(chunk)
        except CorruptSegment as error:
            reasons[row.number] = str(error).rpartition(" [")[0]
            return
        if sha256.digest() != row.sha256 or size != row.size:
            reasons[row.number] = _ALTERED
        elif keep_sha512 is not None and sha512 is not None:
            keep_sha512(row.number, sha512.digest())

    each_item(staging, key, rows, visit, stop)
    return reasons, headers
