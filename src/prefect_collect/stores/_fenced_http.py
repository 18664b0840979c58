"""HTTP sessions of requests, as the libraries of Google and Azure take them, that heed the fence of abandoned work."""

from __future__ import annotations

from typing import Any

import requests
from requests.adapters import HTTPAdapter

from prefect_collect.threads.abandoned import current_fence

_CONNECTIONS = 32
_READS = ("GET", "HEAD")


class _FencedAdapter(HTTPAdapter):
    """Checks the fence before each request that changes something, as a library may repeat one of abandoned work."""

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        if request.method not in _READS:
            current_fence().require_open()
        return super().send(request, *args, **options)


def fenced(session: requests.Session) -> requests.Session:
    """Return the session, so changed that it heeds the `current_fence` and serves many threads at once."""
    for scheme in ("https://", "http://"):
        session.mount(scheme, _FencedAdapter(pool_connections=_CONNECTIONS, pool_maxsize=_CONNECTIONS))
    return session
