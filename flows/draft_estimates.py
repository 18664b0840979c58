"""What a draft is expected to take, as the sentence on its page."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from prefect_collect.blocks.data_source import DataSource, identity_of, recorded_source
from prefect_collect.collecting.estimating import kept_estimate
from prefect_collect.escaping import one_line
from prefect_collect.job_folder.estimates import find_estimate
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.job_folder.long_queries import whole
from prefect_collect.pages.expected import expected_text, not_expected_text
from prefect_collect.runs.labels import EXPECTED, LOCATION, SOURCE
from prefect_collect.sources.query import Query
from prefect_collect.stores import Store

_NO_JOB: Final = str(UUID(int=0))
_SECONDS: Final = 10.0
"""The most seconds that the source of a draft is listed: whoever saves one waits for it."""


def draft_labels(source: DataSource, expected: str) -> dict[str, str]:
    """Return the labels of a draft's run that say what it is to collect, and what `draft_estimate` has returned."""
    return {SOURCE: source.name, LOCATION: source.location(), EXPECTED: expected}


def draft_estimate(
    source: DataSource,
    query: Query | dict[str, Any] | None,
    store: Store,
    since: object = None,
    *,
    job_id: str = _NO_JOB,
    known: bool = False,
) -> str:
    """Return what a collection is expected to take, or why that is not known. Never raise.

    The source is listed to its end, for at most 10 seconds.

    Args:
        source: The data source.
        query: The items to collect.
        store: The staging store, which keeps the estimate for the job.
        since: What the collection compares with, if it is incremental: then it is not estimated.
        job_id: The draft, which may have a file of patterns, if it is there already.
        known: Whether an estimate that was made before will do.
    """
    if since is not None:
        return not_expected_text("it collects only what is new or changed since the last jobs")
    try:
        asked, identity = whole(JobFolder(store, job_id), query or Query()), identity_of(source)
        made = find_estimate(store, identity, asked) if known else None
        if made is None:
            made = kept_estimate(source, asked, recorded_source(source), identity, store, lambda _: None, _SECONDS)
    except Exception as error:  # whatever it is, the draft is saved: its job reports what is wrong
        return not_expected_text(one_line(str(error) or type(error).__name__))
    return expected_text(made)
