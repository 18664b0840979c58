"""The query of a job, and queries that are saved for several jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prefect_collect.job_folder import long_queries
from prefect_collect.jobs._job import Job
from prefect_collect.jobs._stores import opened
from prefect_collect.sources.query import Query

if TYPE_CHECKING:
    from prefect_collect.jobs._stores import StoreLike


def save_query(query: Query | dict[str, Any], store: StoreLike = None) -> dict[str, Any]:
    """Save the patterns of a query in a staging store, and return a short `query` that refers to them.

    Use it for the parameters of deployments and schedules, which Prefect limits to 512 KiB. The returned query works in
    all jobs of that store. `collect` and `draft_collection` accept a long query as it is. The saved patterns are never
    removed.

    Args:
        query: The query with its patterns.
        store: The staging store; by default the configured one.

    Raises:
        InvalidQuery: The query is not valid.
        InvalidLocation: The store cannot be opened.
        StoreError: The patterns cannot be written.
    """
    return long_queries.save_query(opened(store), query)


def query_of(job: Job) -> Query:
    """Return the query of a collection, with all patterns, also those that are saved in its staging store.

    Raises:
        JobNotFound: The store cannot be opened.
        UsageError: The store does not hold the patterns.
        CorruptPart: The patterns are damaged.
        StoreError: The patterns cannot be read.
    """
    if job.record is not None:
        return long_queries.whole(job.folder, job.record.query)
    query = Query.of(job.parameters.get("query"))
    return query if query.patterns is None else long_queries.whole(job.folder, query)
