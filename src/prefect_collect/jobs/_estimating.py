"""Estimate a collection before it starts."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from prefect_collect.blocks.data_source import DataSource, identity_of, recorded_source
from prefect_collect.collecting.estimating import kept_estimate
from prefect_collect.job_folder.estimates import Estimate
from prefect_collect.jobs._stores import opened
from prefect_collect.sources.query import Query

if TYPE_CHECKING:
    from prefect_collect.jobs._stores import StoreLike


def _ignored(items: int) -> None:
    pass


def estimate(
    source: DataSource,
    query: Query | dict[str, Any] | None = None,
    store: StoreLike = None,
    *,
    progress: Callable[[int], object] = _ignored,
    seconds: float | None = None,
) -> Estimate:
    """List a source to its end, and return the items, bytes and time that a collection of it is expected to take.

    The estimate is kept in the staging store: the pages of the next collections of the source with the same query show
    it beside what came. The time is that of earlier jobs of the source in this store; without any it is not known.

    Args:
        source: The source.
        query: Which items a collection takes; by default all.
        store: The staging store of the collection; by default the configured one.
        progress: Is called now and then with the number of items listed so far.
        seconds: The most seconds that the listing may take; by default it is not bounded.

    Raises:
        InvalidQuery: The query is not valid.
        SourceError: The source cannot be listed to its end, or not within `seconds` (``timeout``); `code` is the error
            code that a job would have.
        StoreError: The staging store cannot be read or written.
    """
    place = opened(store)
    return kept_estimate(
        source, Query.of(query), recorded_source(source), identity_of(source), place, progress, seconds
    )
