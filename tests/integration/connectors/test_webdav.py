"""Folders on WebDAV servers: what the contract of all sources does not hold."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from prefect_collect.blocks import WebDavSource
from prefect_collect.connectors.webdav.access import Access, Login
from prefect_collect.errors import SourceError
from prefect_collect.sources import Item, depth
from prefect_collect.sources.listing import items_of, relisted
from prefect_collect.statuses import JobStatus
from prefect_collect.stores import DirectoryStore
from tests.integration.connectors.webdav_answers import codes, say, source_at
from tests.integration.faults import FaultProxy
from tests.integration.http_files import Fault, HttpFiles
from tests.integration.sources.places import collected, patterned, read
from tests.integration.webdav import PASSWORD, USER, WebDavServer, webdav
from tests.support.multistatus import file, folder
from tests.support.run_attempts import attempt, check_account, held, new_job, unsuccessful

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebDavServer]:
    """A server without users."""
    with webdav(tmp_path_factory.mktemp("webdav")) as server:
        yield server


@pytest.fixture
def root(served: WebDavServer, tmp_path: Path) -> Path:
    """A new folder of the server."""
    (served.root / tmp_path.name).mkdir()
    return served.root / tmp_path.name


def test_times_of_creation(served: WebDavServer, root: Path) -> None:
    """What the server states as `creationdate` (wsgidav: when the inode was changed) is listed and found by a retry."""
    (root / "a").write_bytes(b"a")
    source = WebDavSource.model_validate({"url": served.url(f"/{root.name}")})
    [item] = items_of(source)
    assert item.created == datetime.fromtimestamp(int((root / "a").stat().st_ctime), UTC)
    assert [*source.relist(Item(item.id, item.path))] == [item]


def test_a_redirect_to_another_server(web: HttpFiles, served: WebDavServer) -> None:
    """A file that the server keeps elsewhere is read without the user's token, and from no private address."""
    say(web, "/far/", folder("/far/"), file("/far/a"))
    to = f"http://127.0.0.1:{served.port}/x"
    web.faults.append(Fault(left=9, status=302, headers={"Location": to}))
    source = source_at(web, "/far", token="hush")
    [item] = items_of(source)
    for error in (next(iter(source.read_many([item], 1)))[1], _error(source, item)):
        assert isinstance(error, SourceError)
        assert error.code == "address_refused"


def _error(source: WebDavSource, item: Item) -> SourceError:
    with pytest.raises(SourceError) as caught:
        read(source, item)
    return caught.value


def test_a_file_that_is_written_to(served: WebDavServer, root: Path) -> None:
    """A large file that is changed while it is read fails, though its bytes came without an error."""
    path = root / "large"
    path.write_bytes(patterned(12 << 20))
    os.utime(path, (1_700_000_000, 1_700_000_000))
    source = WebDavSource(url=served.url(f"/{root.name}"))
    [item] = items_of(source)
    with source.open(item) as content:
        chunks = iter(content.chunks)
        next(chunks)
        with path.open("r+b") as file:
            file.write(b"x")
        assert sum(map(len, chunks)) > 0
        assert content.finish is not None
        with pytest.raises(SourceError, match="written to while it was read") as caught:
            content.finish()
    assert caught.value.code == "changed_during_read"


def test_a_folder_within_itself(served: WebDavServer, root: Path, tmp_path: Path) -> None:
    """A link of the server that leads back is noticed by listings that are the same again, at a retry too."""
    (root / "a").mkdir()
    (root / "a" / "file").write_text("x")
    (root / "a" / "back").symlink_to(root / "a")
    items = [*items_of(WebDavSource(url=served.url(f"/{root.name}")))]
    assert list(codes(items).values()) == ["path_unsafe"]
    assert 1 < len(items) < 10
    source = WebDavSource(url=served.url(f"/{root.name}"))
    [loop] = codes(items)
    (again,) = relisted(source, Item(loop, loop))
    assert [again] == [one for one in items if one.id == loop]
    job = new_job(DirectoryStore(tmp_path / "store"), source)
    assert attempt(job, source).counts == attempt(job, source).counts
    (root / "a" / "back").unlink()
    (root / "a/back/back").mkdir(parents=True)
    (root / "a/back/back/file").write_text("x")
    inside = relisted(source, Item("a/back/back/", "a/back/back/"))
    assert [(one.id, one.failure) for one in inside] == [("a/back/back/file", None)]


def test_folders_that_are_alike(served: WebDavServer, root: Path) -> None:
    """Folders within each other that have the same names are no loop."""
    deep = root
    for _ in range(12):
        deep = deep / "same"
        deep.mkdir()
        (deep / "file").write_text("x")
    items = [*items_of(WebDavSource(url=served.url(f"/{root.name}")))]
    assert codes(items) == {}
    assert len(items) == 12


def test_a_folder_that_lies_too_deep(served: WebDavServer, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It fails, at a retry too, and what is above is listed."""
    monkeypatch.setattr(depth, "MOST_FOLDERS", 3)
    (root / "a/b/c/d/e").mkdir(parents=True)
    (root / "a/b/c/file").write_text("x")
    source = WebDavSource(url=served.url(f"/{root.name}"))
    assert codes([*items_of(source)]) == {"a/b/c/d/": "too_deep"}
    again = source.relist(Item("a/b/c/d/", "a/b/c/d/"))
    assert codes([one for one in again if isinstance(one, Item)]) == {"a/b/c/d/": "too_deep"}


def test_a_folder_that_is_refused(served: WebDavServer, root: Path, tmp_path: Path) -> None:
    """A folder that cannot be listed is an item that failed; a retry takes what is in it."""
    for name in ("a", "b/c", "b/d"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(name)
    (root / "empty").mkdir()
    with FaultProxy(f"http://127.0.0.1:{served.port}") as proxy:
        proxy.fail_next(1, 403, method="PROPFIND", path="/b/")
        source = WebDavSource(url=f"{proxy.url.replace('http', 'webdav')}/{root.name}")
        job, status = collected(tmp_path, source)
        assert status is JobStatus.PARTIALLY_COMPLETED
        assert {row["error_code"] for row in unsuccessful(job).values()} == {"access_denied", "empty_folder"}
        assert attempt(job, source).status is JobStatus.SUCCESSFULLY_COMPLETED
    check_account(job)
    assert {row["original_path"] for row in held(job).values()} == {"a", "b/c", "b/d"}


def test_a_single_file(served: WebDavServer, root: Path, tmp_path: Path) -> None:
    """A URL may name one file; if it is gone, the job says so."""
    (root / "one file").write_text("x")
    source = WebDavSource(url=served.url(f"/{root.name}/one%20file"))
    job, status = collected(tmp_path, source)
    assert status is JobStatus.SUCCESSFULLY_COMPLETED
    assert [row["original_path"] for row in held(job).values()] == ["one file"]
    (root / "one file").unlink()
    (root / "one file").mkdir()
    (root / "one file" / "within").write_text("y")
    assert [item.path for item in items_of(source)] == ["within"]
    with pytest.raises(SourceError) as caught:
        [*items_of(WebDavSource(url=served.url(f"/{root.name}/none")))]
    assert caught.value.code == "not_found"


@pytest.mark.parametrize("auth", ["basic", "digest"])
def test_logins(tmp_path: Path, auth: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The password is sent as the server asks for it, from the block or the environment; a wrong one is tried once."""
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "a").write_text("x")
    with webdav(tmp_path / "root", auth=auth) as server:
        source = WebDavSource.model_validate({"url": server.url(), "password": PASSWORD})
        [item] = items_of(source)
        assert read(source, item) == b"x"
        monkeypatch.setenv("WEBDAV_PASSWORD", PASSWORD)
        assert len([*items_of(WebDavSource(url=server.url(), read_timeout=9))]) == 1
        wrong = WebDavSource.model_validate({"url": server.url(), "password": "hush"})
        with pytest.raises(SourceError, match="refuses the credentials") as caught:
            [*items_of(wrong)]
        assert caught.value.code == "bad_credentials"
        assert "hush" not in str(caught.value)
        monkeypatch.delenv("WEBDAV_PASSWORD")
        with pytest.raises(SourceError) as caught:
            [*items_of(WebDavSource(url=server.url(), read_timeout=8))]
        assert caught.value.code == "bad_credentials"


def test_secrets_without_tls(tmp_path: Path) -> None:
    """Over an open network a password is not sent as it is, nor a token."""
    (tmp_path / "root").mkdir()
    with webdav(tmp_path / "root", auth="basic") as server:
        where = {
            "origin": f"http://127.0.0.1:{server.port}",
            "host": "files.example",
            "path": "/",
            "place": "webdav://x",
        }
        for secret in ({"user": USER, "password": PASSWORD}, {"token": "hush"}):
            with pytest.raises(SourceError, match="webdavs://") as caught:
                Login(Access(**where, **secret)).find_out(f"{where['origin']}/")  # type: ignore[arg-type]
            assert caught.value.code == "bad_credentials"


def test_certificates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server's certificate is checked; an authority of one's own is named by the block or the environment."""
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "a").write_text("x")
    pem = tmp_path / "both.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", tmp_path / "key.pem", "-out", tmp_path / "cert.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    pem.write_bytes((tmp_path / "key.pem").read_bytes() + (tmp_path / "cert.pem").read_bytes())
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    with webdav(tmp_path / "root", auth="basic", certificate=pem) as server:
        with pytest.raises(SourceError, match="certificate") as caught:
            [*items_of(WebDavSource.model_validate({"url": server.url(), "password": PASSWORD}))]
        assert caught.value.code == "connection_lost"
        given = {"url": server.url(), "password": PASSWORD, "ca_file": tmp_path / "cert.pem"}
        source = WebDavSource.model_validate(given)
        [item] = items_of(source)
        assert read(source, item) == b"x"
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
        given = {"url": server.url(), "password": PASSWORD, "read_timeout": 9}
        assert len([*items_of(WebDavSource.model_validate(given))]) == 1
