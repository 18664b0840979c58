"""The task runs of an export: checking the items, and building the package."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE

from prefect_collect.exporting.attempt import build_package, check_package
from prefect_collect.exporting.bound_collection import BoundCollection
from prefect_collect.exporting.delivery import Delivery
from prefect_collect.packages import Built, Checked
from prefect_collect.threads.progress import Progress


@task(
    name="check items",
    persist_result=False,
    cache_policy=NO_CACHE,
    description="Proves that the staging store still has every item as it was collected.",
)
def check_items_task(bound: BoundCollection, delivery: Delivery, progress: Progress) -> Checked:
    """Prove every item of the exported collection."""
    return check_package(bound, delivery, progress)


@task(
    name="build package",
    persist_result=False,
    cache_policy=NO_CACHE,
    description="Builds the package at the destination.",
)
def build_package_task(bound: BoundCollection, delivery: Delivery, checked: Checked, replace: bool) -> Built:
    """Build the package from the proven items."""
    return build_package(bound, delivery, checked, replace=replace)
