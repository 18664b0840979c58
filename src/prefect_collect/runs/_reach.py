"""Whether Prefect's server can be reached."""

from __future__ import annotations

from typing import Final

import httpx
import stamina
from prefect.client.orchestration import get_client

_OUT_OF_REACH: Final = 900.0
"""Seconds to wait for Prefect's server when a job has ended and cannot say so."""


def wait_for_server() -> None:
    """Until Prefect's server answers: what a job has come to should not be lost because it restarts just then."""
    for attempt in stamina.retry_context(
        on=httpx.TransportError, attempts=None, timeout=_OUT_OF_REACH, wait_initial=0.5, wait_max=5.0
    ):
        with attempt, get_client(sync_client=True) as client:
            client.hello()
