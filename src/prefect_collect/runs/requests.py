"""Requests to Prefect's server that are repeated at once when its database is busy.

For some requests the server on SQLite reads and then writes in one transaction, and answers 503 if there was another
write in between. Prefect's client would wait at least 2 s before it repeats them (3.8: `PrefectHttpxSyncClient`).
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
    """Send a request, and repeat it after 0.02 to 0.5 s while the server is busy.

    Return the answer; None if the caller should send the request by Prefect's client, which waits longer.
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
