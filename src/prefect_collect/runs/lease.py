"""The lease by which a running job holds its slot."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun

from prefect_collect.runs.labels import BEAT, label_of
from prefect_collect.runs.server_clock import server_now

LEASE_SECONDS: Final = 90.0
"""Seconds of a lease: longer than Prefect's server may block on SQLite (60 s, its `busy_timeout`) plus the 15 s between
two signs of life."""


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
