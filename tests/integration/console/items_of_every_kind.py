"""A collection of files of every kind, two of which are not found, and the console over it."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from starlette.testclient import TestClient

from prefect_collect import FileSource, collect, jobs
from prefect_collect.console.access import Access, Grant
from prefect_collect.console.app import create_app
from prefect_collect.console.guard import Place
from prefect_collect.console.roles import Role
from prefect_collect.job_folder import custody_log
from tests.integration.prefect_server import PrefectServer

URL = "http://console.test"
TOKENS = {Role.OPERATE: "anna-token-of-20-char", Role.VIEW: "vera-token-of-20-char"}
PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
PDF = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n"
MAIL = (
    b"From: Ann <ann@example.org>\r\nTo: bob@example.org\r\nDate: Mon, 5 Jan 2026 10:00:00 +0000\r\n"
    b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n<b>the body</b>\r\n"
)
SCRIPT = "<script>alert(1)</script>"
WITH_ATTACHMENTS = (
    b"From: Ann <ann@example.org>\r\nTo: bob@example.org\r\nSubject: files\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nsee below\r\n"
    b'--b\r\nContent-Type: text/html; name="<b>x.html"\r\nContent-Transfer-Encoding: base64\r\n\r\n'
    + base64.encodebytes(SCRIPT.encode())
    + b"\r\n--b\r\nContent-Type: application/pdf; name=a.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    + base64.encodebytes(PDF)
    + b"\r\n--b--\r\n"
)
HOSTILE_NAME = "Ann <b>"
FILES = {
    "a/notes.txt": "Grüße\n".encode(),
    "b.bin": bytes(range(256)),
    "c.html": f"<html>{SCRIPT}</html>".encode(),
    "d.svg": f'<svg xmlns="http://www.w3.org/2000/svg">{SCRIPT}</svg>'.encode(),
    "e.png": PNG,
    "f.pdf": PDF,
    "g.eml": MAIL,
    f"h {SCRIPT[:8]} \u202ecod.\"quoted'ü.txt": b"a hostile name",
    "i.png": f"<html>{SCRIPT}</html>".encode(),
    "j.eml": WITH_ATTACHMENTS,
}


@dataclass
class Made:
    """A Partially completed collection, its folder, and the console."""

    job: str
    root: Path
    app: object

    def browser(self, role: Role = Role.OPERATE) -> TestClient:
        """Return a browser with a session."""
        browser = TestClient(self.app, base_url=URL, follow_redirects=False)  # type: ignore[arg-type]
        answer = browser.post("/login", data={"token": TOKENS[role]}, headers={"Origin": URL})
        assert answer.status_code == 303
        return browser

    def row(self, path: str) -> int:
        """Return the number of an item in the addresses of its pages."""
        return sorted(FILES).index(path)

    def log(self) -> list[custody_log.Entry]:
        """Return the entries of the job's custody log."""
        return custody_log.entries(jobs.get(self.job).folder)


@contextmanager
def collected(server: PrefectServer, base: Path) -> Iterator[Made]:
    """Yield such a collection, while this process uses the server."""
    root = base / "root"
    for name, content in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    for name in ("x-gone", "y-gone"):
        (root / name).symlink_to("nowhere")
    app = create_app(
        Access([Grant(role.value, role, token) for role, token in TOKENS.items()]), Place(frozenset({"console.test"}))
    )
    with server.used():
        source = FileSource(root=root, follow_symlinks=True)
        made = collect(source=source, store=base / "store", hashes=["md5"], custodian=HOSTILE_NAME, return_state=True)
        assert made.state_details.flow_run_id is not None
        yield Made(str(made.state_details.flow_run_id), root, app)
