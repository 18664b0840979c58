"""Requests to Prefect's server that are sent again at once when its database is busy.

On SQLite the server reads and then writes in one transaction for some requests, and answers 503 if anything was written
in between. Prefect's client would send them again after 2 s at the earliest (3.8: `PrefectHttpxSyncClient`).
"""

from __future__ import annotations

from itertools import chain
from time import sleep
from typing import Any, Final

import httpx
from prefect.client.orchestration import SyncPrefectClient

_PAUSES: Final = (0.02, 0.05, 0.1, 0.2, 0.4)
_BUSY: Final = 503
_FINAL: Final = (404, 409, 422, 423)


def sent(client: SyncPrefectClient, method: str, path: str, body: dict[str, Any]) -> httpx.Response | None:
    """The server's answer; None if it is for Prefect's client to get one: it waits longer, and can do more."""
    http: httpx.Client = client._client
    try:
        for pause in chain(_PAUSES, [None]):
            answer = httpx.Client.send(http, http.build_request(method, path, json=body))
            if answer.is_success or answer.status_code in _FINAL:
                return answer
            if answer.status_code != _BUSY or pause is None:
                return None
            sleep(pause)
    except httpx.TransportError:
        pass
    return None
