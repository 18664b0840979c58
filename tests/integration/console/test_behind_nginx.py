"""The console behind a real nginx, both as docs/console.md says: its configuration and command are taken from there."""

from __future__ import annotations

import html
import re
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound

from prefect_collect import FileSource, collect, jobs
from prefect_collect.console.access import Grant
from prefect_collect.console.guard import CSRF_HEADER
from prefect_collect.console.roles import Role
from prefect_collect.console.server import ConsoleOptions, running_console
from prefect_collect.job_folder import custody_log
from prefect_collect.runs.console_address import VARIABLE
from tests import forked
from tests.integration.nginx import Nginx, running_nginx
from tests.integration.prefect_server import PrefectServer
from tests.integration.servers import end_process, free_port

pytestmark = pytest.mark.integration

PAGE = (Path(__file__).parents[3] / "docs" / "console.md").read_text(encoding="utf-8")
NAME = "collect.example.org"
ORIGIN, ROOT = f"https://{NAME}", "/console"
VERA = Grant("vera", Role.OPERATE, "vera-token-of-20-characters")
LARGE = 3_000_000
_PATIENCE = 120.0


def documented_block() -> str:
    """Return the page's configuration of nginx."""
    [block] = re.findall(r"^```nginx\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    return str(block)


def documented_command() -> list[str]:
    """Return the page's command for a console behind nginx."""
    [line] = re.findall(r"^prefect-collect (console .*--user-header.*)$", PAGE, re.MULTILINE)
    return shlex.split(line)


def configured(port: int, users: Path, *, logs_in: bool) -> str:
    """Return the page's configuration for a console at that port; without what logs users in, if they bring tokens."""
    lines = documented_block().replace("127.0.0.1:4280", f"127.0.0.1:{port}").replace("/etc/nginx/users", str(users))
    kept = [line for line in lines.splitlines() if logs_in or not re.search("auth_basic|X-User|Authorization", line)]
    return "\n".join(kept) + "\n"


@dataclass
class Made:
    """An export, nginx before the documented console, and nginx before one whose users log in with tokens."""

    export: jobs.Job
    port: int
    users: Nginx
    tokens: Nginx

    def log(self) -> list[tuple[str, str]]:
        """Return who did what to the export."""
        return [(entry.who, entry.action) for entry in custody_log.entries(self.export.folder)]


@pytest.fixture(scope="module")
def made(prefect_server: PrefectServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """A collection with one item that failed, its export, two consoles and one nginx."""
    base = tmp_path_factory.mktemp("nginx")
    (base / "root").mkdir()
    (base / "root" / "large").write_bytes(bytes(range(250)) * (LARGE // 250))
    (base / "root" / "broken").symlink_to("nothing")
    users = base / "users"
    users.write_text("anna:{PLAIN}password of anna\n")
    listening, other = free_port(), free_port()
    blocks = [configured(listening, users, logs_in=True), configured(other, users, logs_in=False)]
    plain = ConsoleOptions(port=other, grants=(VERA,), public_url=f"{ORIGIN}{ROOT}")
    with prefect_server.used(), running_nginx(base, NAME, blocks) as (first, second), running_console(plain, print):
        source = FileSource(root=base / "root", name="proxied", follow_symlinks=True)
        state = collect(source=source, store=base / "store", return_state=True)
        export = jobs.start_export(str(state.state_details.flow_run_id), base / "out", here=True)
        process = forked.Popen(
            [str(Path(sys.executable).parent / "prefect-collect"), *documented_command(), "--port", str(listening)],
            env=prefect_server.environment(),
        )
        try:
            until_it_answers(f"http://127.0.0.1:{listening}/health")
            yield Made(export, listening, first, second)
        finally:
            end_process(process)
            with get_client(sync_client=True) as client, suppress(ObjectNotFound):
                client.delete_variable_by_name(VARIABLE)


def until_it_answers(url: str) -> None:
    """Wait until a console runs."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        with suppress(httpx.HTTPError):
            httpx.get(url).raise_for_status()
            return
        assert time.monotonic() < deadline, url
        time.sleep(0.2)  # the condition is polled: a console announces itself in no other way


@pytest.fixture
def anna(made: Made) -> Iterator[httpx.Client]:
    """A browser whose user nginx has logged in."""
    with made.users.client(auth=("anna", "password of anna")) as browser:
        yield browser


def test_nothing_leads_out_of_the_path(made: Made, anna: httpx.Client) -> None:
    """Pages, their files and htmx's fragments are answered below the path, and so is every address in them."""
    job = f"{ROOT}/jobs/{made.export.id}"
    assert anna.get(ROOT).headers["location"].rstrip("/").endswith(ROOT)
    pages = [anna.get(path) for path in (f"{ROOT}/", job, f"{job}/errors", f"{ROOT}/new", f"{ROOT}/sources")]
    assert [page.status_code for page in pages] == [200] * len(pages)
    parts = [
        anna.get(path, headers={"HX-Request": "true"}) for path in (f"{ROOT}/?status=Failed", job, f"{job}/delete")
    ]
    for part in parts:
        assert (part.status_code, "<html" in part.text) == (200, False)
    found = {
        address
        for page in pages + parts
        for address in re.findall(r'(?:href|src|action|hx-get|hx-post|hx-delete)="([^"]+)"', page.text)
    }
    assert len(found) > 10
    assert {one for one in found if not one.startswith((f"{ROOT}/", "#", "data:", "?"))} == set()
    files = {one for one in found if "/static/" in one}
    assert len(files) == 3
    assert {anna.get(one).status_code for one in files} == {200}
    assert {anna.get(one.removeprefix(ROOT)).status_code for one in files} == {404}


def test_the_user_is_the_one_whom_nginx_logged_in(made: Made, anna: httpx.Client) -> None:
    """nginx asks for the password and names the user, whatever header a client sends; the custody log has that name."""
    with made.users.client() as stranger:
        for headers in ({}, {"X-User": "anna"}):
            assert stranger.get(f"{ROOT}/", headers=headers).status_code == 401
    assert "anna (operate)" in anna.get(f"{ROOT}/").text
    for forged in ({"X-User": "mallory"}, {"x-user": "mallory"}, {"X_User": "mallory"}):
        shown = anna.get(f"{ROOT}/", headers=forged).text
        assert ("anna (operate)" in shown, "mallory" in shown) == (True, False)
    doubled = anna.get(f"{ROOT}/", headers=[("X-User", "mallory"), ("X-User", "trudy")])
    assert ("anna (operate)" in doubled.text, "trudy" in doubled.text) == (True, False)


def test_the_header_is_ignored_from_elsewhere(made: Made) -> None:
    """Who reaches the console's port from another address than the proxy's is not who the header says."""
    asked, named = f"http://127.0.0.1:{made.port}/", {"X-User": "mallory"}
    with httpx.Client(transport=httpx.HTTPTransport(local_address="127.0.0.2")) as client:
        answer = client.get(asked, headers=named)
        assert (answer.status_code, "mallory" in answer.text) == (303, False)
        assert client.get(f"{asked}api/jobs", headers=named).status_code == 401
        assert client.delete(f"{asked}jobs/x", headers={**named, "Authorization": "Bearer x"}).status_code == 401


def test_a_download_is_interrupted_and_goes_on(made: Made, anna: httpx.Client) -> None:
    """A package comes in parts through nginx, byte for byte; all of it is one entry of the custody log."""
    address = f"{ROOT}/jobs/{made.export.id}/package"
    content = Path(jobs.delivered_package(made.export.id).location).read_bytes()
    assert len(content) > LARGE
    head = anna.head(address)
    assert (head.headers["content-length"], head.headers["accept-ranges"]) == (str(len(content)), "bytes")
    tag = head.headers["etag"]
    with anna.stream("GET", address) as answer:
        got = next(answer.iter_bytes(500_000))
    while len(got) < len(content):
        wanted = {"Range": f"bytes={len(got)}-{len(got) + 1_499_999}", "If-Range": tag}
        part = anna.get(address, headers=wanted)
        assert part.status_code == 206
        assert part.headers["content-range"] == f"bytes {len(got)}-{len(got) + len(part.content) - 1}/{len(content)}"
        got += part.content
    assert got == content
    assert anna.get(address, headers={"Range": f"bytes={len(got)}-"}).status_code == 416
    assert made.log().count(("anna", "downloaded")) == 1


def test_only_pages_under_the_public_name_change_something(made: Made, anna: httpx.Client) -> None:
    """A request with the Origin of the public address reaches the job, from a page as from a program; any other is
    refused before.
    """
    job = f"{ROOT}/api/jobs/{made.export.id}"
    assert anna.get(job).json()["job"]["name"] == made.export.name
    answer = anna.post(f"{job}/retry", headers={"Origin": ORIGIN})
    assert (answer.status_code, "Retry" in answer.text) == (409, True)
    page = f"{ROOT}/jobs/{made.export.id}/retry"
    assert anna.post(page, headers={"Origin": ORIGIN, "HX-Request": "true", CSRF_HEADER: ""}).status_code == 409
    before = made.log()
    for origin in ("https://evil.example", f"{ORIGIN}:8443", f"{ORIGIN}.evil.example", "http://127.0.0.1", "null"):
        for address in (f"{job}/retry", page):
            assert anna.post(address, headers={"Origin": origin}).status_code == 403, (address, origin)
    assert anna.post(f"{job}/retry").status_code == 403
    assert anna.get(f"{ROOT}/", headers={"Host": "evil.example"}).status_code == 400
    assert made.log() == before


def test_a_login_leads_to_what_was_wanted(made: Made) -> None:
    """Without users of nginx, the console asks for a token, and then sends what the link from Prefect's UI leads to.
    Its cookie is for HTTPS and the console's path only; forms carry their page's token.
    """
    wanted = f"{ROOT}/jobs/{made.export.id}/errors.csv?attempt=1"
    with made.tokens.client() as browser:
        sent = browser.get(wanted)
        assert (sent.status_code, sent.headers["location"].startswith(f"{ROOT}/login?next=")) == (303, True)
        field = re.search(r'name="next" value="([^"]+)"', browser.get(sent.headers["location"]).text)
        assert field is not None
        form = {"token": VERA.token, "next": html.unescape(field[1])}
        assert browser.post(f"{ROOT}/login", data=form, headers={"Origin": "https://evil.example"}).status_code == 403
        answer = browser.post(f"{ROOT}/login", data=form, headers={"Origin": ORIGIN})
        assert (answer.status_code, answer.headers["location"]) == (303, wanted)
        cookie = answer.headers["set-cookie"]
        assert {"Path=/console", "Secure", "HttpOnly", "SameSite=lax"} <= set(cookie.split("; "))
        report = browser.get(answer.headers["location"])
        assert (report.status_code, report.headers["content-type"]) == (200, "text/csv; charset=utf-8")
        csrf = re.search(r'X-CSRF-Token": "([^"]+)"', browser.get(f"{ROOT}/").text)
        assert csrf is not None
        page, own = f"{ROOT}/jobs/{made.export.id}/retry", {"Origin": ORIGIN, "HX-Request": "true"}
        assert browser.post(page, headers=own).status_code == 403
        assert browser.post(page, headers={**own, CSRF_HEADER: csrf[1]}).status_code == 409
    assert ("vera", "downloaded-report") in made.log()
