"""Pass queries to a job: one that is too long for a parameter goes through the staging store."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any

from prefect.blocks.core import Block

from prefect_collect.errors import PrefectError, StatusError, StoreError
from prefect_collect.flows.stores import store_of
from prefect_collect.job_folder.long_queries import discard, is_long, put_away
from prefect_collect.sources.query import Query
from prefect_collect.stores import Store

_away: ContextVar[list[tuple[Store, Query]] | None] = ContextVar("queries put away", default=None)


def travelling(query: Query, store: Store | Block | str | os.PathLike[str] | None) -> dict[str, Any]:
    """Return the query as a parameter of a job of that store, a long one as a file. May raise StoreError."""
    if query.patterns is not None or not is_long(query):
        return query.to_json()
    opened = store if isinstance(store, Store) else store_of(store)
    away = put_away(opened, query)
    if (known := _away.get()) is not None:
        known.append((opened, away))
    return away.to_json()


@contextmanager
def unless_refused() -> Iterator[None]:
    """Remove the files of a query if the job cannot be created within: Prefect refuses it or does not answer."""
    known: list[tuple[Store, Query]] = []
    token = _away.set(known)
    try:
        yield
    except (PrefectError, StatusError):
        for store, query in known:
            with suppress(StoreError):
                discard(store, query)
        raise
    finally:
        _away.reset(token)
