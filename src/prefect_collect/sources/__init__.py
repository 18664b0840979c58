"""The names that a data source is written with, apart from its base class `prefect_collect.DataSource`."""

from __future__ import annotations

from prefect_collect.codes import Failure
from prefect_collect.errors import SourceError, TransientSourceError
from prefect_collect.sources._item import STAGING_STORE, Content, FinishCheck, Item, Listed, ListingEnd
from prefect_collect.sources._overlap import Overlap
from prefect_collect.sources._source import MOST_AT_ONCE, SMALL_ITEM, Source, expected_bytes
from prefect_collect.sources.listing import items_of
from prefect_collect.stores import Lies
from prefect_collect.threads.stop import current_stop

__all__ = [
    "MOST_AT_ONCE",
    "SMALL_ITEM",
    "STAGING_STORE",
    "Content",
    "Failure",
    "FinishCheck",
    "Item",
    "Lies",
    "Listed",
    "ListingEnd",
    "Overlap",
    "Source",
    "SourceError",
    "TransientSourceError",
    "current_stop",
    "expected_bytes",
    "items_of",
]
