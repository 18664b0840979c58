"""What a job was asked to collect, and lists of patterns for several jobs."""

from __future__ import annotations

from typing import Any

from prefect_collect.job_folder import long_queries
from prefect_collect.jobs._job import Job
from prefect_collect.jobs.lookup import StoreLike, opened
from prefect_collect.sources.query import Query


def save_query(query: Query | dict[str, Any], store: StoreLike = None) -> dict[str, Any]:
    """Save the patterns of a query in a staging store, and return what to give to jobs of that store as `query`.

    For parameters of deployments and schedules, which Prefect limits to 512 KiB: what is returned is short. A query
    that is given to `collect` or `draft_collection` needs it not. Nothing removes what is saved. Raises InvalidQuery,
    InvalidLocation, StoreError.
    """
    return long_queries.save_query(opened(store), query)


def query_of(job: Job) -> Query:
    """Return what a collection was asked to take, with all patterns, also those that its staging store holds.

    Raises JobNotFound if the store cannot be opened, UsageError if it does not hold the patterns, CorruptPart if they
    are damaged, StoreError.
    """
    if job.record is not None:
        return long_queries.whole(job.folder, job.record.query)
    query = Query.of(job.parameters.get("query"))
    return query if query.patterns is None else long_queries.whole(job.folder, query)
