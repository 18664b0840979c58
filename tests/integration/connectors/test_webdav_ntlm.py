"""Folders on WebDAV servers that prove connections by NTLM, as SharePoint on premises does."""

from __future__ import annotations

import hashlib
import ssl
import subprocess
import sys
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from prefect_collect.blocks import WebDavSource
from prefect_collect.errors import SourceError
from prefect_collect.sources.listing import items_of
from prefect_collect.statuses import JobStatus
from tests.integration.http_files import HttpFiles
from tests.integration.ntlm import PASSWORD, Ntlm
from tests.integration.sources.places import collected, patterned, read
from tests.integration.webdav import webdav
from tests.support.run_attempts import held

pytestmark = pytest.mark.integration

_NUMBERS = count()
FILES = 40


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of small files, each with bytes of its own, and a large one."""
    (tmp_path / "root" / "in").mkdir(parents=True)
    for n in range(FILES):
        (tmp_path / "root" / "in" / f"f{n}").write_bytes(f"{n} ".encode() * 100)
    (tmp_path / "root" / "large").write_bytes(patterned(3 << 20))
    return tmp_path / "root"


def source_of(url: str, password: str = PASSWORD, user: str = "CORP%5Cann", **more: Any) -> WebDavSource:
    """Return a source with a connection that no other test has made."""
    fresh = 20 + next(_NUMBERS) / 1_000
    url = url.replace("://", f"://{user}@")
    return WebDavSource.model_validate({"url": url, "password": password, "read_timeout": fresh, **more})


def require_whole(source: WebDavSource, folder: Path) -> None:
    """Require that each file comes with its own bytes: the small ones read at once with others, the large one alone."""
    items = [*items_of(source)]
    assert len(items) == FILES + 1
    [large] = [item for item in items if item.id == "large"]
    for item, content in source.read_many([item for item in items if item is not large], 8):
        assert not isinstance(content, Exception), content
        assert b"".join(map(bytes, content.chunks)) == (folder / item.id).read_bytes()
    assert read(source, large) == (folder / "large").read_bytes()


def refusal(source: WebDavSource) -> SourceError:
    """Return the error of a listing."""
    with pytest.raises(SourceError) as caught:
        [*items_of(source)]
    return caught.value


@pytest.mark.parametrize("scheme", ["NTLM", "Negotiate"])
def test_connections_are_proved_and_kept(folder: Path, tmp_path: Path, scheme: str) -> None:
    """Each connection is proved by one exchange, and carries several of the requests, of which eight are sent at once.

    No other scheme is used.
    """
    also = ('Basic realm="x"',) if scheme == "NTLM" else ()
    ntlm = Ntlm(tmp_path / "users", scheme, also)
    with webdav(folder, guard=ntlm.guard) as server:
        require_whole(source_of(server.url()), folder)
    assert {*ntlm.proved.values()} == {r"CORP\ann"}
    assert (ntlm.refused, ntlm.torn) == (0, 0)
    assert sum(ntlm.carried.values()) > 2 * len(ntlm.carried)
    assert len(ntlm.headers) == 2 * len(ntlm.carried)
    assert {header.split()[0] for header in ntlm.headers} == {scheme}


@pytest.mark.parametrize("joined", ['{0}, Basic realm="a, b"', 'Basic realm="a, b", {0}'])
def test_challenges_in_one_header(folder: Path, tmp_path: Path, joined: str) -> None:
    """Servers and proxies may write all the challenges into one header."""
    ntlm = Ntlm(tmp_path / "users", joined=joined)
    with webdav(folder, guard=ntlm.guard) as server:
        require_whole(source_of(server.url(), authentication="ntlm"), folder)
    assert {header.split()[0] for header in ntlm.headers} == {"NTLM"}


def test_a_collection(folder: Path, tmp_path: Path) -> None:
    """A job collects what is there."""
    ntlm = Ntlm(tmp_path / "users")
    with webdav(folder, guard=ntlm.guard) as server:
        job, status = collected(tmp_path, source_of(server.url()))
    assert status is JobStatus.SUCCESSFULLY_COMPLETED
    assert len(held(job)) == FILES + 1


def test_connections_that_the_server_forgets(folder: Path, tmp_path: Path) -> None:
    """They are proved again: after a restart, and with a server that wants each request proved."""
    ntlm = Ntlm(tmp_path / "users")
    with webdav(folder, guard=ntlm.guard) as server:
        source = source_of(server.url())
        require_whole(source, folder)
        ntlm.proved.clear()
        require_whole(source, folder)
        ntlm.each = True
        require_whole(source, folder)
    assert (ntlm.refused, ntlm.torn) == (0, 0)


def test_a_refused_user(folder: Path, tmp_path: Path) -> None:
    """A wrong password is tried once, as servers lock users out; the message says how to write the user."""
    ntlm = Ntlm(tmp_path / "users")
    with webdav(folder, guard=ntlm.guard) as server:
        error = refusal(source_of(server.url(), "hush"))
        assert (error.code, error.http_status) == ("bad_credentials", 401)
        assert r"DOMAIN\user" in str(error)
        assert "hush" not in str(error)
        assert ntlm.refused == 1
        _, status = collected(tmp_path, source_of(server.url(), "hush"))
    assert status is JobStatus.FAILED
    assert ntlm.refused == 2


def test_a_server_that_keeps_no_connections(folder: Path, tmp_path: Path) -> None:
    """NTLM cannot be spoken to it, and the attempts end; the message names this cause too."""
    ntlm = Ntlm(tmp_path / "users")
    with webdav(folder, guard=ntlm.guard, kept=0) as server:
        error = refusal(source_of(server.url()))
    assert error.code == "bad_credentials"
    assert "closes each connection" in str(error)
    assert 0 < ntlm.torn < 5
    assert ntlm.refused == 0


def test_exchanges_are_bound_to_the_tls_connection(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server with Extended Protection accepts what was sent over a connection to itself, and nothing else.

    So it does when a connection is proved again, as the server has forgotten it, or wants each request proved.
    """
    key, cert, both = (tmp_path / name for name in ("key.pem", "cert.pem", "both.pem"))
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days",
         "2", "-subj", "/CN=x", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert],
        check=True, capture_output=True,
    )  # fmt: skip
    both.write_bytes(key.read_bytes() + cert.read_bytes())
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(cert.read_text())).digest()
    ntlm = Ntlm(tmp_path / "users", binding=b"tls-server-end-point:" + digest)
    with webdav(folder, guard=ntlm.guard, certificate=both) as server:
        source = source_of(server.url(), ca_file=cert)
        require_whole(source, folder)
        ntlm.proved.clear()
        require_whole(source, folder)
        ntlm.each = True
        require_whole(source, folder)
        assert ntlm.refused == 0
        ntlm.binding = b"tls-server-end-point:" + bytes(32)
        assert refusal(source_of(server.url(), ca_file=cert)).code == "bad_credentials"
    assert ntlm.refused == 1


def test_a_redirect_carries_no_exchange(folder: Path, tmp_path: Path, web: HttpFiles) -> None:
    """To another server, no message of an exchange is sent."""
    ntlm = Ntlm(tmp_path / "users")

    def elsewhere(app: Any) -> Any:
        def redirected(environ: dict[str, Any], start_response: Any) -> Any:
            if environ["REQUEST_METHOD"] == "GET":
                start_response("302 Found", [("Location", f"http://127.0.0.1:{web.port}/x"), ("Content-Length", "0")])
                return [b""]
            return app(environ, start_response)

        return ntlm.guard(redirected)

    with webdav(folder, guard=elsewhere) as server:
        source = source_of(server.url())
        items = [*items_of(source)][:3]
        answers = [answer for _, answer in source.read_many(items, 3)]
    assert [answer.code for answer in answers if isinstance(answer, SourceError)] == ["address_refused"] * 3
    assert web.requests == []


def test_what_is_not_installed(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without pyspnego nothing weaker is sent: the message says what to install, or to set if Basic is offered."""
    ntlm = Ntlm(tmp_path / "users", also=('Basic realm="x"',))
    with webdav(folder, guard=ntlm.guard) as server:
        monkeypatch.setitem(sys.modules, "spnego", None)
        error = refusal(source_of(server.url()))
    assert error.code == "program_missing"
    assert "pip install 'prefect-collect[ntlm]'" in str(error)
    assert "authentication to basic" in str(error)
    assert ntlm.headers == []
