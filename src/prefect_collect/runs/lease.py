"""The lease by which a running job holds its slot."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun

from prefect_collect.runs.labels import BEAT, label_of
from prefect_collect.runs.requests import sent
from prefect_collect.runs.server_clock import server_now

if TYPE_CHECKING:
    from prefect_collect.runs.source_queue import SourceQueue

_CONFLICT: Final = 409

LEASE_SECONDS: Final = 90.0
"""Seconds of a lease: longer than Prefect's server may block on SQLite (60 s, its `busy_timeout`) plus the 15 s between
two signs of life."""


def give_back(client: SyncPrefectClient, lease: str, queue: SourceQueue | None) -> bool:
    """Give a slot of that queue back; do nothing if the lease has expired.

    Return False if the queue's limit is 0: Prefect 3.8 divides by the limit, and answers 409 on SQLite and 503 on
    PostgreSQL. A busy server answers 503 too, and Prefect's client would repeat that request for a minute.
    """
    answer = sent(client, "POST", "/v2/concurrency_limits/decrement-with-lease", {"lease_id": lease})
    if answer is not None and (answer.is_success or answer.status_code == _CONFLICT):
        return answer.is_success
    if answer is None and queue is not None and queue.is_held_back(client):
        return False
    client.release_concurrency_slots_with_lease(UUID(lease))
    return True


def renew(client: SyncPrefectClient, lease: str) -> bool:
    """Renew a lease; return False if the server does not have it any more."""
    try:
        client.renew_concurrency_lease(UUID(lease), LEASE_SECONDS)
    except httpx.HTTPStatusError as error:
        if error.response.status_code in (404, 410):
            return False
        raise
    return True


def is_fresh(run: FlowRun) -> bool:
    """Return whether the job's process gave a sign of life within the last `LEASE_SECONDS`."""
    beat = label_of(run, BEAT)
    return bool(beat) and abs(server_now() - datetime.fromisoformat(beat)) < timedelta(seconds=LEASE_SECONDS)
