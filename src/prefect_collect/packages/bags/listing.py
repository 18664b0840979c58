"""Fills a package's item lists from the manifest and from the items that were not collected."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import Final

from prefect_collect.codes import Failure
from prefect_collect.job_folder.manifest_rules import Batches
from prefect_collect.packages.bags.tag_files import TagFiles
from prefect_collect.packages.building.check import Checked
from prefect_collect.packages.building.duplicate_columns import duplicate_columns

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
    "metadata",
    "md5",
    "sha1",
    "custodian",
]


def list_items(
    tags: TagFiles,
    manifest: Batches,
    not_delivered: Batches,
    checked: Checked,
    failed: Mapping[int, Failure],
    first: int = 0,
) -> None:
    """List every item of the manifest (`failed`: those that failed while being written), then `not_delivered`.

    `first` is the number of the first item, if the batches are a part of the manifest.
    """
    start, all_good = first, not (failed or checked.undelivered) and checked.names.all_kept
    for batch in manifest(_COLUMNS):
        safe: list[str] = batch.column("path").to_pylist()
        if all_good:
            repeats = duplicate_columns(checked.duplicates, start, batch, [True] * len(safe))
            tags.list_batch(batch, safe, [None] * len(safe), repeats)
            start += batch.num_rows
            continue
        paths: list[str | None] = []
        failures: list[Failure | None] = []
        for number, path, segment in zip(count(start), safe, batch.column("segment").to_pylist(), strict=False):
            failure = failed.get(number) or checked.failure(number, path, segment)
            failures.append(failure)
            paths.append(None if failure else checked.names.path(number, path))
        repeats = duplicate_columns(checked.duplicates, start, batch, [failure is None for failure in failures])
        start += batch.num_rows
        tags.list_batch(batch, paths, failures, repeats)
    tags.list_missing(not_delivered)
