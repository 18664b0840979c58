"""Who may see and do what in the console: sessions, roles, origins and headers."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute

from prefect_collect.console.guard import COOKIE, CSRF_HEADER, SECURITY_HEADERS, Guard, Place, Proxy
from prefect_collect.console.roles import Role
from tests.console.guarded import OPERATE, OWN, URL, VIEW, client, csrf_of, logged_in, made


def routes(app: Guard) -> Iterator[tuple[str, str]]:
    """Yield method and path of every route, with ids that no job has."""
    inner = app._app
    assert isinstance(inner, FastAPI)
    for path, methods in _paths(inner):
        for method in methods:
            yield method, re.sub(r"\{[^}]+\}", "01900000-0000-7000-8000-000000000000", path)


def _paths(app: FastAPI) -> Iterator[tuple[str, set[str]]]:
    seen = []
    for route in app.routes:
        inner = getattr(route, "original_router", None)
        for one in [route] if inner is None else inner.routes:
            path = getattr(one, "path", None)
            if path:
                seen.append((path, set(getattr(one, "methods", None) or {"GET"})))
    assert any(isinstance(route, APIRoute) for route in app.routes) or len(seen) > 8
    assert {"/login", "/jobs/{job_id}", "/"} <= {path for path, _ in seen}
    yield from seen


PUBLIC = {"/login", "/health"}


def test_every_route_wants_a_session(app: Guard) -> None:
    """Without a token, a page leads to the login, and everything else is refused; no route answers by itself."""
    browser = client(app)
    for method, path in routes(app):
        if path in PUBLIC or path.startswith("/static/"):
            continue
        answer = browser.request(method, path, headers=OWN)
        assert answer.status_code in (303, 401), (method, path, answer.status_code)
        if answer.status_code == 303:
            assert answer.headers["location"].startswith("/login?next=")


@pytest.mark.parametrize("bearer", ["", "wrong", "é" * 30, VIEW.token + "x"])
def test_every_route_refuses_a_wrong_token(app: Guard, bearer: str) -> None:
    """A wrong bearer token, or a forged cookie, is no session; after ten of them, programs are told to wait."""
    cookie = bearer.encode("ascii", "ignore").decode() or "x"
    browser = client(app, cookies={COOKIE: cookie}, client=(f"10.0.1.{len(bearer)}", 5000))
    for method, path in routes(app):
        if path in PUBLIC or path.startswith("/static/"):
            continue
        headers = {"Authorization": f"Bearer {bearer}".encode(), "Origin": URL}
        assert browser.request(method, path, headers=headers).status_code in (303, 401, 429), (method, path)


def test_every_route_that_changes_something_wants_the_role(app: Guard) -> None:
    """A user with the role 'view' can change nothing."""
    browser = logged_in(app, VIEW)
    headers = {**OWN, CSRF_HEADER: csrf_of(browser)}
    changing = [(m, p) for m, p in routes(app) if m not in ("GET", "HEAD") and p not in ("/login", "/logout")]
    assert len(changing) >= 2
    for method, path in changing:
        answer = browser.request(method, path, headers=headers)
        assert (answer.status_code, "view" in answer.text) == (403, True), (method, path)


def test_every_route_that_changes_something_wants_an_own_page(app: Guard) -> None:
    """A request from another site, without the page's CSRF token, or that hides where it comes from, is not served."""
    browser = logged_in(app, OPERATE)
    csrf = csrf_of(browser)
    for method, path in routes(app):
        if method in ("GET", "HEAD"):
            continue
        for headers in (
            {"Origin": "http://evil.test", CSRF_HEADER: csrf},
            {"Origin": "null", CSRF_HEADER: csrf},
            {"Origin": "http://[console.test", CSRF_HEADER: csrf},
            {"Origin": f"{URL}.evil.test", CSRF_HEADER: csrf},
            {"Sec-Fetch-Site": "cross-site", CSRF_HEADER: csrf},
            {"Sec-Fetch-Site": "same-site", CSRF_HEADER: csrf},
            {CSRF_HEADER: csrf},
        ):
            assert browser.request(method, path, headers=headers).status_code == 403, (method, path, headers)
        if path not in ("/login", "/logout"):
            for wrong in ({}, {CSRF_HEADER: ""}, {CSRF_HEADER: csrf + "x"}):
                assert browser.request(method, path, headers={**OWN, **wrong}).status_code == 403, (method, path)


@pytest.mark.parametrize("host", ["evil.test", "console.test.evil.test", "127.0.0.1", "", "console.test@evil.test"])
def test_another_name_is_refused(app: Guard, host: str) -> None:
    """A page of another site whose name leads here (DNS rebinding) gets nothing, not even the login."""
    for path in ("/login", "/", "/health"):
        assert client(app).get(path, headers={"Host": host}).status_code == 400


def test_the_name_is_compared_without_port_and_case(app: Guard) -> None:
    """The name with a port, or in upper case, is the console's."""
    for host in ("console.test:4280", "CONSOLE.test"):
        assert client(app).get("/health", headers={"Host": host}).status_code == 200


def test_long_requests_are_refused_unread(app: Guard) -> None:
    """Without a session, a request has at most 64 KiB; with one, 4 MiB; one that hides its length is refused. The body
    is not read.
    """

    form = {**OWN, "Content-Type": "application/x-www-form-urlencoded"}
    for length in ({"Content-Length": str((64 << 10) + 1)}, {"Transfer-Encoding": "chunked"}, {"Content-Length": "²"}):
        given = {name: value.encode() for name, value in {**form, **length}.items()}
        assert _answered(app, "/login", given) == 413, length
    browser = logged_in(app, OPERATE)
    headers = {**form, CSRF_HEADER: csrf_of(browser)}
    assert browser.post("/no-such-page", content=b"a" * (1 << 20), headers=headers).status_code in (404, 405)
    assert browser.post("/no-such-page", content=b"a" * ((4 << 20) + 1), headers=headers).status_code == 413


def _answered(app: Guard, path: str, headers: dict[str, bytes]) -> int:
    """Return the status of the answer to a POST whose body fails the test if it is read."""
    status = 0

    async def receive() -> Any:
        pytest.fail("the body was read")

    async def send(message: Any) -> None:
        nonlocal status
        status = message.get("status", status)

    named = [(b"host", b"console.test"), *((name.lower().encode(), value) for name, value in headers.items())]
    scope = {
        "type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "",
        "headers": named, "client": ("10.0.0.1", 5000), "scheme": "http", "http_version": "1.1",
    }  # fmt: skip
    asyncio.run(app(scope, receive, send))
    return status


def test_refusals_of_the_api_are_json_below_a_path_too(below: Guard) -> None:
    """A program behind a proxy gets its refusals as JSON, as without one."""
    program = client(below, root_path="/console")
    answer = program.get("/console/api/no-such", headers={"Authorization": f"Bearer {VIEW.token}"})
    assert (answer.status_code, answer.json()) == (404, {"detail": "Not Found"})
    answer = program.get("/console/api/jobs?page=0", headers={"Authorization": f"Bearer {VIEW.token}"})
    assert (answer.status_code, list(answer.json())) == (422, ["detail"])


def test_every_answer_has_the_headers_that_keep_it_safe(app: Guard) -> None:
    """Pages, refusals, files and errors carry the security headers; no page allows scripts but the console's own."""
    browser = logged_in(app, VIEW)
    for path, host in (("/no-such-page", ""), ("/login", ""), ("/static/console.js", ""), ("/", "evil.test")):
        answer = browser.get(path, headers={"Host": host} if host else {})
        for name in SECURITY_HEADERS:
            assert name in answer.headers, (path, name)
    policy = SECURITY_HEADERS["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy


def test_no_page_has_inline_scripts_or_styles() -> None:
    """No template has a script, a handler or a style of its own, which the policy would forbid."""
    from importlib.resources import files

    for template in files("prefect_collect.console").joinpath("templates").iterdir():
        text = template.read_text(encoding="utf-8")
        assert not re.search(r"<style|\son\w+=|\sstyle=|javascript:|hx-on|hx-vals='js", text), template.name
        assert not re.search(r"<script(?![^>]*\ssrc=)", text), template.name
        assert "|safe" not in text.replace(" ", ""), template.name


def test_only_the_proxy_names_users() -> None:
    """The user header is believed from the proxy's address only, and gives the proxy's role; of two headers, one of
    which the client may have sent, none is believed.
    """
    place = Place(frozenset({"console.test"}), proxy=Proxy("X-User", frozenset({"10.0.0.1"}), Role.VIEW))
    app = made(place)
    trusted = client(app, client=("10.0.0.1", 5000))
    other = client(app, client=("10.0.0.2", 5000))
    named = {"X-User": "bob"}
    assert trusted.get("/no-such-page", headers=named).status_code == 404
    assert "bob" in trusted.get("/no-such-page", headers=named).text
    assert trusted.get("/no-such-page").status_code == 303
    assert trusted.get("/no-such-page", headers=[("X-User", "eve"), ("X-User", "bob")]).status_code == 303
    assert other.get("/no-such-page", headers=named).status_code == 303
    assert trusted.delete("/jobs/x", headers={**named, **OWN}).status_code == 403


def test_names_of_users_are_escaped() -> None:
    """A user's name that is HTML is shown as text."""
    place = Place(frozenset({"console.test"}), proxy=Proxy("X-User", frozenset({"10.0.0.1"}), Role.VIEW))
    page = client(made(place), client=("10.0.0.1", 5000)).get("/x", headers={"X-User": "<img src=x>"}).text
    assert "<img" not in page
    assert "&lt;img" in page


def test_the_file_of_htmx_is_the_official_one(app: Guard) -> None:
    """The carrier's file is htmx 2.0.3's dist/htmx.min.js, byte by byte, as npm has it."""
    import hashlib

    answer = client(app).get("/static/htmx.js")
    assert hashlib.sha256(answer.content).hexdigest() == HTMX_SHA256


HTMX_SHA256 = "491955cd1810747d7d7b9ccb936400afb760e06d25d53e4572b64b6563b2784e"


@pytest.mark.parametrize(
    ("site", "dest", "status"),
    [
        ("cross-site", "iframe", 403),
        ("cross-site", "image", 403),
        ("same-site", "empty", 403),
        ("cross-site", "document", 404),
        ("same-origin", "iframe", 404),
        ("none", "document", 404),
    ],
)
def test_another_site_embeds_nothing(app: Guard, site: str, dest: str, status: int) -> None:
    """A page of another site can link to the console, but gets no answer for its frames, images and scripts, even if
    the browser sends the user's session with the request.
    """
    browser = logged_in(app, VIEW)
    asked = {"Sec-Fetch-Site": site, "Sec-Fetch-Dest": dest}
    assert browser.get("/static/none.js", headers=asked).status_code == status
    assert browser.get("/static/none.js", headers={**asked, "Authorization": f"Bearer {VIEW.token}"}).status_code == 404
