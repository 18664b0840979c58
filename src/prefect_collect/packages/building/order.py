"""What a builder of packages is given: what the package is made of, and where it goes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from prefect_collect.job_folder.manifest_rules import Batches
from prefect_collect.packages.building.check import Checked
from prefect_collect.packages.building.replacing import Owner
from prefect_collect.packages.building.spec import Built, PackageSpec
from prefect_collect.stores import Store
from prefect_collect.threads.stop import Stop


@dataclass(frozen=True, slots=True)
class PackageInput:
    """What a package is made of.

    Attributes:
        manifest: The collected items, with the columns of the manifest.
        not_delivered: The items that were not collected, with the columns `NOT_DELIVERED`; they are only listed.
        checked: The result of `check_items` for the same manifest and `spec`.
        staging: The store that has the collection's segments.
        spec: The package to make.
        unchanged: Items that an incremental collection left with earlier jobs, as those hold them (also `held_by`), for
            a package that shares them with what was exported before; they are in `not_delivered`, too.
    """

    manifest: Batches
    not_delivered: Batches
    checked: Checked
    staging: Store
    spec: PackageSpec
    unchanged: Batches | None = None


@dataclass(frozen=True, slots=True)
class PackagePlace:
    """Where a package goes, and what it may replace there.

    Attributes:
        destination: The store.
        key: The file's name in the store, or the folder's.
        owner: The export that delivers it; None if there is none.
        replace: Whether what an earlier attempt of `owner` left there is replaced, or kept if it is the same.
    """

    destination: Store
    key: str
    owner: Owner | None = None
    replace: bool = False


class Builder(Protocol):
    """Builds the package of one format."""

    def __call__(self, given: PackageInput, place: PackagePlace, stop: Stop | None = None) -> Built:
        """Build the package of the good items. Raise PackageError, StoreError, CorruptSegment, JobCanceled."""
