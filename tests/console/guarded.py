"""A console of which two users have tokens, and their browsers."""

from __future__ import annotations

import re
from typing import Any

from starlette.testclient import TestClient

from prefect_collect.console.access import Access, Grant
from prefect_collect.console.app import create_app
from prefect_collect.console.guard import Guard, Place
from prefect_collect.console.roles import Role

OPERATE = Grant("anna", Role.OPERATE, "anna-token-of-20-char")
VIEW = Grant("vera", Role.VIEW, "vera-token-of-20-char")
PLACE = Place(frozenset({"console.test"}))
URL = "http://console.test"
OWN = {"Origin": URL}


def made(place: Place = PLACE) -> Guard:
    """Return a console with two tokens."""
    return create_app(Access([OPERATE, VIEW]), place)


def client(app: Guard, base_url: str = URL, **options: Any) -> TestClient:
    """Return a browser that follows no redirect."""
    return TestClient(app, base_url=base_url, follow_redirects=False, raise_server_exceptions=False, **options)


def logged_in(app: Guard, grant: Grant) -> TestClient:
    """Return a browser with a session of that token."""
    browser = client(app)
    assert browser.post("/login", data={"token": grant.token}, headers=OWN).status_code == 303
    return browser


def csrf_of(browser: TestClient) -> str:
    """Return the CSRF token of a browser's page."""
    page = browser.get("/no-such-page").text
    found = re.search(r'X-CSRF-Token": "([^"]+)"', page)
    assert found is not None, page
    return found[1]
