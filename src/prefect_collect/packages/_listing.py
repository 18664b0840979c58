"""Filling a package's item lists from the manifest and from what was not collected."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from prefect_collect.items import Failure
from prefect_collect.packages._bag import TagFiles
from prefect_collect.packages._check import Checked
from prefect_collect.packages._spec import Batches

_COLUMNS: Final = [
    "path",
    "segment",
    "original_path",
    "item_id",
    "size",
    "sha256",
    "source_modified",
    "source_etag",
    "collected_at",
]


def list_items(
    tags: TagFiles, manifest: Batches, not_delivered: Batches, checked: Checked, failed: Mapping[int, Failure]
) -> None:
    """List every item of the manifest (`failed`: those that failed while being written), then `not_delivered`."""
    start = 0
    for batch in manifest(_COLUMNS):
        paths, failures = [], []
        segments = batch.column("segment").to_pylist()
        for number, path in enumerate(batch.column("path").to_pylist(), start):
            failure = failed.get(number) or checked.failure(number, path, segments[number - start])
            failures.append(failure)
            paths.append(None if failure else checked.renamed.get(number, path))
        start += batch.num_rows
        tags.list_batch(batch, paths, failures)
    tags.list_missing(not_delivered)
