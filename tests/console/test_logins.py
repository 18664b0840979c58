"""Logging in to the console and out: links with tokens, where a login leads, and what is limited."""

from __future__ import annotations

import html
import re
from urllib.parse import quote, unquote

import pytest

from prefect_collect.console.guard import COOKIE, Guard
from tests.console.guarded import OPERATE, OWN, URL, VIEW, client, logged_in


def test_a_link_with_a_token_opens_a_session_and_leaves_no_token_in_the_address(app: Guard) -> None:
    """The link that is printed leads to the page without the token; its cookie is HttpOnly and SameSite=Lax, with
    which a link in Prefect's UI opens the console for a user who has logged in.
    """
    answer = client(app).get(f"/login?token={OPERATE.token}")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=lax" in cookie.lower()
    assert OPERATE.token not in cookie


@pytest.mark.parametrize("root", ["", "/console"])
def test_a_login_leads_to_the_page_that_was_wanted(app: Guard, below: Guard, root: str) -> None:
    """A link to a page with a query survives the login, also below a proxy's path, and so does the page whose htmx
    finds the session ended. Who is logged in is not asked again.
    """
    console = below if root else app
    for wanted in ("/jobs/x/errors.csv?attempt=2", "/?status=Failed&text=a%26b", "/jobs/x"):
        browser = client(console, root_path=root)
        sent = browser.get(f"{root}{wanted}").headers["location"]
        stale = browser.get(f"{root}/x", headers={"HX-Request": "true", "HX-Current-URL": f"{URL}{root}{wanted}#a"})
        assert sent == stale.headers["HX-Redirect"] == f"{root}/login?next={quote(unquoted_path(wanted), safe='/')}"
        page = browser.get(sent)
        field = re.search(r'name="next" value="([^"]*)"', page.text)
        assert field is not None
        answer = browser.post(f"{root}/login", data={"token": VIEW.token, "next": html.unescape(field[1])}, headers=OWN)
        assert answer.headers["location"] == f"{root}{wanted}"
        assert browser.get(sent).headers["location"] == f"{root}{wanted}"


def unquoted_path(address: str) -> str:
    """Return an address as the server decodes its path, and leaves its query."""
    path, mark, query = address.partition("?")
    return f"{unquote(path)}{mark}{query}"


def test_the_page_of_another_site_is_not_where_a_login_leads(below: Guard) -> None:
    """What htmx says of the page is believed only of the console's own pages."""
    browser = client(below, root_path="/console")
    for page in ("http://evil.test/console/x", f"{URL}/other/x", f"{URL}/console.evil/x", "", "nonsense", "//[x"):
        answer = browser.get("/console/x", headers={"HX-Request": "true", "HX-Current-URL": page})
        assert (answer.status_code, answer.headers["HX-Redirect"]) == (401, "/console/login"), page


def test_a_proxy_may_leave_its_path_in_the_address(below: Guard) -> None:
    """Pages and files are answered whether the proxy removes its path from the address or not."""
    # The server puts the path before what it is asked for, as uvicorn does.
    for path in ("/console/static/console.css", "/console/console/static/console.css"):
        assert client(below, root_path="/console").get(path).status_code == 200, path
    assert client(below, root_path="/console").get("/console/console/console/static/console.css").status_code == 303


def test_a_login_leads_to_no_other_site(app: Guard) -> None:
    """The page to go to after the login is one of the console's."""
    foreign = ["//evil.test", "https://evil.test/", "/\\evil.test", "\t//evil.test", "/\t/evil.test"]
    for then in (*foreign, "javascript:alert(1)", "/a\r\nb", "jobs", ""):
        answer = client(app).post("/login", data={"token": VIEW.token, "next": then}, headers=OWN)
        assert (answer.status_code, answer.headers["location"]) == (303, "/"), then
        answer = client(app).get("/login", params={"token": VIEW.token, "next": then})
        assert (answer.status_code, answer.headers["location"]) == (303, "/"), then


def test_refused_logins_are_limited(app: Guard) -> None:
    """After ten wrong tokens, further ones are answered 429, and so is a right one."""
    address = ("10.0.2.1", 5000)
    browser = client(app, client=address)
    codes = [browser.post("/login", data={"token": "wrong"}, headers=OWN).status_code for _ in range(12)]
    assert codes == [403] * 9 + [429] * 3
    assert browser.post("/login", data={"token": VIEW.token}, headers=OWN).status_code == 429
    program = client(app, client=address).get("/api/openapi.json", headers={"Authorization": f"Bearer {VIEW.token}"})
    assert (program.status_code, program.headers["retry-after"]) == (429, "60")


def test_logging_out_ends_the_session(app: Guard) -> None:
    """A cookie of a session that was ended is worth nothing."""
    browser = logged_in(app, VIEW)
    cookie = browser.cookies[COOKIE]
    assert browser.post("/logout", headers=OWN).headers["HX-Redirect"] == "/login"
    again = client(app, cookies={COOKIE: cookie})
    assert again.get("/no-such-page").status_code == 303
