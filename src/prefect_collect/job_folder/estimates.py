"""Estimates of collections: what a source listed before a job, kept in the staging store.

    estimates/<SHA-256 of the source and the query>/<time>.json

A collection of the same source and query that is made within `MOST_AGE` takes the last one into its job.json, so that
its pages show what was expected beside what came.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from prefect_collect.errors import CollectError, StoreError
from prefect_collect.job_folder import json_fields, long_queries, store_keys
from prefect_collect.job_folder.folder import ESTIMATE, JobRecord, json_bytes, now
from prefect_collect.sources.query import Query
from prefect_collect.stores import Store
from prefect_collect.untrusted.bounded_json import read_json

MOST_AGE: Final = timedelta(days=30)
"""How long an estimate counts: what a source had long ago is no expectation."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a collection is expected to take.

    Attributes:
        made_at: When the source was listed, in UTC.
        items: The items that would be read.
        bytes: The bytes that the source states for them.
        unsized: How many of them have no stated size.
        failed: The items that the listing already says cannot be read, which are not among `items`.
        shortest: The fewest seconds that earlier jobs of the source let expect; None without earlier jobs.
        longest: The most seconds.
        jobs: The ids of those jobs, the latest first.
    """

    made_at: datetime
    items: int
    bytes: int
    unsized: int = 0
    failed: int = 0
    shortest: float | None = None
    longest: float | None = None
    jobs: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the form in which it is kept; `from_json` reads it."""
        return {**asdict(self), "made_at": self.made_at.astimezone(UTC).isoformat(), "jobs": [*self.jobs]}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Estimate:
        """Return an estimate from its JSON form, checked by `json_fields.ESTIMATE`."""
        return cls(
            **{**values, "made_at": datetime.fromisoformat(values["made_at"]), "jobs": tuple(values.get("jobs", ()))}
        )


def save_estimate(store: Store, source: Mapping[str, Any], query: Query, estimate: Estimate) -> None:
    """Keep an estimate in place of earlier ones of the source and the query. Raise StoreError.

    Args:
        store: The staging store of the collection.
        source: What distinguishes the source from others: its type, location and other fields, without secrets.
        query: The collection's query.
        estimate: The estimate.
    """
    folder = store_keys.estimates_key(_identity(source, query))
    earlier = [blob.key for blob in store.list(folder)]
    store.create(f"{folder}{estimate.made_at.astimezone(UTC):%Y%m%dT%H%M%S.%fZ}.json", json_bytes(estimate.to_json()))
    with suppress(StoreError):  # a user who may not delete leaves the earlier ones
        store.remove(earlier)


def find_estimate(store: Store, source: Mapping[str, Any], query: Query) -> Estimate | None:
    """Return the last estimate of a source and a query; None if there is none that is recent and can be read."""
    try:
        keys = [blob.key for blob in store.list(store_keys.estimates_key(_identity(source, query)))]
        found = Estimate.from_json(read_json(store, keys[-1], json_fields.ESTIMATE)) if keys else None
    except CollectError:
        return None
    return found if found is not None and now() - found.made_at <= MOST_AGE else None


def estimate_of(record: JobRecord) -> Estimate | None:
    """Return what was expected of a collection before it was made; None if nothing was."""
    found = record.options.get(ESTIMATE)
    return None if found is None else Estimate.from_json(found)


def _identity(source: Mapping[str, Any], query: Query) -> str:
    """Return a hash of what a collection takes, whose query has its patterns or names the job's file of them."""
    asked = [source, long_queries.named(query)]
    return hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()
