"""Requests to Prefect's server that are sent again at once when its database is busy.

On SQLite the server reads and then writes in one transaction for some requests, and answers 503 if anything was written
in between. Prefect's client would send them again after 2 s at the earliest (3.8: `PrefectHttpxSyncClient`).
"""

from __future__ import annotations

from typing import Any, Final

import httpx
import stamina
from prefect.client.orchestration import SyncPrefectClient

_TRIES: Final = 6
_BUSY: Final = 503
_FINAL: Final = (404, 409, 422, 423)


def sent(client: SyncPrefectClient, method: str, path: str, body: dict[str, Any]) -> httpx.Response | None:
    """Send a request, again after pauses of 0.02 to 0.5 s while the server is busy.

    Return its answer; None if it is for Prefect's client to get one: it waits longer, and can do more.
    """
    http: httpx.Client = client._client
    try:
        for attempt in stamina.retry_context(
            on=httpx.HTTPStatusError, attempts=_TRIES, timeout=None, wait_initial=0.02, wait_max=0.5, wait_jitter=0.02
        ):
            with attempt:
                answer = httpx.Client.send(http, http.build_request(method, path, json=body))
                if answer.status_code == _BUSY:
                    answer.raise_for_status()
    except (httpx.TransportError, httpx.HTTPStatusError):
        return None
    return answer if answer.is_success or answer.status_code in _FINAL else None
