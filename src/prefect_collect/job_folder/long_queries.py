"""Queries with too many patterns for a parameter: a file of the staging store holds the patterns.

    queries/<SHA-256>.<8 hex digits>.json     of a job that has not been started; removed when the job has its own
    queries/<SHA-256>.json                    saved by `save_query`, for any number of jobs
    <job id>/query/<SHA-256>.json             the patterns of a job

Prefect's server takes parameters of at most 512 KiB (3.8: `server.api.max_parameter_size`), and returns them with every
list of runs. `Query.patterns` is the key of the file; in job.json it is the SHA-256 alone. A file holds ``{"include":
[…], "exclude": […]}`` as JSON, and is used only if its bytes have the SHA-256 of its name.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from prefect_collect.errors import CorruptPart, KeyExists, KeyMissing, UsageError
from prefect_collect.job_folder import json_fields, store_keys
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.sources.query import PATTERNS, Query
from prefect_collect.stores import Store
from prefect_collect.untrusted.bounded_json import BadValue, parse_json

LONG: Final = 16 << 10
"""Characters of patterns above which a query does not travel as a parameter."""

MAX_BYTES: Final = 256 << 20
MAX_VALUES: Final = 4_000_000
"""The most bytes of a file of patterns, and the most patterns in it; each comma in a pattern counts as one more."""


def is_long(query: Query) -> bool:
    """Return whether the query's patterns go into a file."""
    return sum(len(pattern) + 4 for pattern in (*query.include, *query.exclude)) > LONG


def save_query(store: Store, query: Query | dict[str, Any]) -> dict[str, Any]:
    """Save a query's patterns in a staging store for good, and return the `query` to give to jobs of that store.

    For schedules, and other parameters of deployments, whose lists are too long to be parameters. The file belongs to
    no job, so it stays when jobs are deleted. Raise InvalidQuery, StoreError.
    """
    query = Query.of(query)
    data = _encoded(query)
    key = store_keys.saved_query_key(hashlib.sha256(data).hexdigest())
    with suppress(KeyExists):
        store.create(key, data)
    return replace(query, include=(), exclude=(), patterns=key).to_json()


def put_away(store: Store, query: Query) -> Query:
    """Return the query as it travels: long lists are moved to a new file. Raise UsageError, StoreError."""
    if query.patterns is not None or not is_long(query):
        return query
    data = _encoded(query)
    key = store_keys.saved_query_key(hashlib.sha256(data).hexdigest(), secrets.token_hex(4))
    store.create(key, data)
    return replace(query, include=(), exclude=(), patterns=key)


def keep(folder: JobFolder, query: Query) -> Query:
    """Give the job its own file of long lists, and return the query as job.json holds it.

    Raise UsageError if the file that the query names does not exist, CorruptPart if it is damaged, StoreError.
    """
    if query.patterns is None and not is_long(query):
        return query
    data = _encoded(query) if query.patterns is None else _read(folder, query.patterns)
    sha256 = hashlib.sha256(data).hexdigest()
    with suppress(KeyExists):
        folder.store.create(store_keys.query_key(folder.job_id, sha256), data)
    return replace(query, include=(), exclude=(), patterns=sha256)


def named(query: Query) -> dict[str, Any]:
    """Return the query as job.json holds it, with the SHA-256 of long lists, without a job."""
    if query.patterns is None and is_long(query):
        query = replace(query, include=(), exclude=(), patterns=hashlib.sha256(_encoded(query)).hexdigest())
    return replace(query, patterns=query.patterns and _digest(query.patterns)).to_json()


def in_parameters(folder: JobFolder, kept: Query) -> Query:
    """Return the query of job.json as the job's parameters name it, so that a copy of the parameters means the same."""
    if kept.patterns is None:
        return kept
    return replace(kept, patterns=store_keys.query_key(folder.job_id, _digest(kept.patterns)))


def whole(folder: JobFolder, query: Query | dict[str, Any]) -> Query:
    """Return the query with all its patterns. Raise UsageError if they do not exist, CorruptPart, StoreError."""
    query = Query.of(query)
    if query.patterns is None:
        return query
    try:
        lists = _parsed(_read(folder, query.patterns))
        return replace(query, include=lists["include"], exclude=lists["exclude"], patterns=None)
    except BadValue as error:
        raise CorruptPart(f"A file of patterns cannot be understood ({error}). [patterns={query.patterns}]") from error


def discard(store: Store, query: Query | dict[str, Any] | None) -> None:
    """Remove the patterns file of a job that was not started, if the query names one. Raise StoreError."""
    key = query.get("patterns") if isinstance(query, dict) else getattr(query, "patterns", None)
    if isinstance(key, str) and store_keys.is_unstarted_query(key):
        store.remove([key])


def _encoded(query: Query) -> bytes:
    data = json.dumps({"include": query.include, "exclude": query.exclude}, indent=0).encode()
    try:
        _parsed(data)
    except BadValue as error:
        raise UsageError(f"The patterns of the query cannot be kept as JSON: {error}; split the query.") from error
    return data


def _parsed(data: bytes) -> dict[str, Any]:
    return parse_json(data, json_fields.PATTERNS, MAX_BYTES, MAX_VALUES)


def _digest(name: str) -> str:
    found = PATTERNS.fullmatch(name)
    assert found is not None  # `Query` accepts no other text
    return found["sha256"]


def _read(folder: JobFolder, name: str) -> bytes:
    """Return the bytes of the file, from the job's own copy if there is one."""
    sha256, store = _digest(name), folder.store
    for key in _places(folder, name, sha256):
        try:
            if store.stat(key).size > MAX_BYTES:
                raise CorruptPart(f"A file of patterns is larger than any that a job writes. [{store.locate(key)}]")
            data = store.read(key)
        except KeyMissing:
            continue
        if hashlib.sha256(data).hexdigest() != sha256:
            raise CorruptPart(
                f"A file of patterns is not the one that was saved (its SHA-256 differs); restore it from a backup. "
                f"[{store.locate(key)}]"
            )
        return data
    raise UsageError(
        f"The patterns of the query are not in the staging store {store.url}; give them again, or name the store that "
        f"holds them. [patterns={name}]"
    )


def _places(folder: JobFolder, name: str, sha256: str) -> Iterator[str]:
    yield store_keys.query_key(folder.job_id, sha256)
    if "/" in name:
        yield name
