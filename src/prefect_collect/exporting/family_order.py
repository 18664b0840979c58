"""The order in which a load file has the items of a collection whose source states families."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from prefect_collect.exporting.bound_collection import BoundCollection
from prefect_collect.exporting.control_numbers import has_numbers_without_families
from prefect_collect.exporting.delivery import Delivery
from prefect_collect.formats import FORMATS
from prefect_collect.job_folder import table_columns
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.packages import family_order, reordered
from prefect_collect.threads.stop import Stop


@contextmanager
def in_family_order(
    bound: BoundCollection, delivery: Delivery, folder: JobFolder, stop: Stop
) -> Iterator[BoundCollection]:
    """Yield the collection with its items in the order in which the load file of the export `folder` numbers them.

    All other formats, and collections whose items are in that order, keep theirs; so does a retry of an export by an
    earlier version, which did not look for families: its items keep their numbers.

    Raise PackageError, EvidenceError, StoreError, JobCanceled.
    """
    order = family_order(bound.manifest) if "load_file" in FORMATS[delivery.format].options else None
    if order is None or has_numbers_without_families(folder):
        yield bound
        return
    with reordered(bound.manifest, table_columns.MANIFEST.names, order, stop) as manifest:
        yield replace(bound, in_order=manifest)
