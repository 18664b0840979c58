"""A browser without a screen: a console in this process, asked by Starlette's client as the pages ask it."""

from __future__ import annotations

import re
from collections.abc import Mapping

import httpx
from starlette.testclient import TestClient

from prefect_collect.console.access import Access, Grant
from prefect_collect.console.app import create_app
from prefect_collect.console.guard import CSRF_HEADER, Place
from prefect_collect.console.roles import Role

URL = "http://console.test"
ANNA = Grant("anna", Role.OPERATE, "anna-token-of-20-characters")
VERA = Grant("vera", Role.VIEW, "vera-token-of-20-characters")


class ConsoleClient:
    """A logged-in user of a console."""

    def __init__(self, app: object, grant: Grant = ANNA) -> None:
        self._client = TestClient(app, base_url=URL, follow_redirects=False)  # type: ignore[arg-type]
        answer = self._client.post("/login", data={"token": grant.token}, headers={"Origin": URL})
        assert answer.status_code == 303
        found = re.search(r'X-CSRF-Token": "([^"]+)"', self._client.get("/no-page").text)
        assert found is not None
        self._csrf = found[1]

    def get(self, path: str, **headers: str) -> httpx.Response:
        """Open an address, or fetch a part of a file."""
        got: httpx.Response = self._client.get(path, headers=headers)
        return got

    def head(self, path: str) -> httpx.Response:
        """Ask for the headers of a file."""
        got: httpx.Response = self._client.head(path)
        return got

    def broken_off(self, path: str, size: int, **headers: str) -> bytes:
        """Return the first bytes of a file, and break the connection off."""
        with self._client.stream("GET", path, headers=headers) as answer:
            return bytes(next(answer.iter_bytes(size))[:size])

    def post(self, path: str, fields: Mapping[str, str] | None = None) -> httpx.Response:
        """Send a form as htmx does."""
        headers = {"Origin": URL, CSRF_HEADER: self._csrf, "HX-Request": "true"}
        got: httpx.Response = self._client.post(path, data=dict(fields or {}), headers=headers)
        return got

    def delete(self, path: str) -> httpx.Response:
        """Confirm a deletion as htmx does."""
        headers = {"Origin": URL, CSRF_HEADER: self._csrf, "HX-Request": "true"}
        got: httpx.Response = self._client.delete(path, headers=headers)
        return got


def new_console() -> object:
    """Return a console that both users can log in to."""
    return create_app(Access([ANNA, VERA]), Place(frozenset({"console.test"})))
