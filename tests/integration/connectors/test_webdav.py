"""WebDAV servers: their logins and certificates, what they change, and what they say that must not be believed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from prefect_collect.blocks import WebDavSource
from prefect_collect.connectors.webdav.access import Access, Login
from prefect_collect.errors import SourceError
from prefect_collect.sources import Content, Item, depth
from prefect_collect.sources.listing import items_of
from prefect_collect.statuses import JobStatus
from tests.integration.faults import FaultProxy
from tests.integration.http_files import Fault, HttpFiles, http_files
from tests.integration.sources.places import collected, patterned, read
from tests.integration.webdav import PASSWORD, USER, WebDavServer, webdav
from tests.support.multistatus import failed, file, folder, multistatus
from tests.support.run_attempts import attempt, check_account, held, unsuccessful

pytestmark = pytest.mark.integration

_NUMBERS = count()


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


@pytest.fixture(scope="module")
def scripted_server() -> Iterator[HttpFiles]:
    """A server whose answers to PROPFIND the tests write."""
    with http_files() as server:
        yield server


@pytest.fixture
def scripted(scripted_server: HttpFiles) -> HttpFiles:
    """That server, with nothing to say yet."""
    scripted_server.faults.clear()
    scripted_server.files.clear()
    scripted_server.requests.clear()
    return scripted_server


def source_at(server: HttpFiles, path: str = "/top/", **fields: Any) -> WebDavSource:
    """Return the source of a scripted server, with a connection that no other test has made."""
    fresh = 5 + next(_NUMBERS) / 1_000
    return WebDavSource(name="dav", url=f"webdav://127.0.0.1:{server.port}{path}", read_timeout=fresh, **fields)


def say(server: HttpFiles, path: str, *responses: str, left: int = 100, **fault: Any) -> None:
    """Answer PROPFIND of a path with a document of these responses."""
    body = multistatus(*responses)
    server.faults.append(Fault(left=left, method="PROPFIND", path=f"^{path}$", status=207, body=body, **fault))


def codes(items: list[Item]) -> dict[str, str]:
    """Return the codes of the items that failed, by their paths."""
    return {item.path: item.failure.code for item in items if item.failure is not None}


def test_addresses_of_a_listing(scripted: HttpFiles, request: pytest.FixtureRequest) -> None:
    """Addresses may be whole or paths; those of other servers and places are not used, and each is reported."""
    port, top = scripted.port, f"/{request.node.name}"
    say(
        scripted, f"{top}/", folder(f"{top}/"), file(f"http://127.0.0.1:{port}{top}/whole"), file(f"{top}/a%20b"),
        file(f"http://127.0.0.1{top}/behind-a-proxy"), file("relative"), file(f"{top}/ünencoded"),
        file("http://elsewhere.example/x"), file("//elsewhere.example/x"), file("/outside"), file(f"{top}/../up"),
        file(f"{top}/%2E%2E"), file(f"{top}/b/c"), file(f"{top}/a%2Fb"), file(f"{top}/nul%00"), file(f"{top}/q?x=1"),
        file(f"{top}//x"), file(f"{top}/a%20b"), file("javascript:alert(1)"),
    )  # fmt: skip
    items = [*items_of(source_at(scripted, top))]
    good = {"whole", "a b", "behind-a-proxy", "relative", "ünencoded"}
    assert {item.path for item in items if item.failure is None} == good
    bad = codes(items)
    assert set(bad.values()) == {"path_unsafe"}
    assert len(bad) == 11
    assert all("/" not in path for path in bad)


@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        (multistatus(folder("/top/"), file("/top/a"))[:-9], "enumeration_failed", "wrong or cut"),
        (multistatus(file("/top/a")), "enumeration_failed", "does not describe"),
        (b"", "enumeration_failed", "empty"),
        (b"<html><body>Log in</body></html>", "enumeration_failed", "<html> and not <multistatus>"),
        (b'<!DOCTYPE d [<!ENTITY a "b">]><d/>', "enumeration_failed", "document type"),
        (b'<?xml version="1.0" encoding="x-no-such"?><d/>', "enumeration_failed", "encoding|no whole"),
        (multistatus(failed("/top/", "403 Forbidden")), "access_denied", "403: It is so"),
        (multistatus(folder("/top/"), failed("/top/", "507 Insufficient Storage")), "source_error", "cut the listing"),
    ],
)  # fmt: skip
def test_answers_that_prove_nothing(scripted: HttpFiles, answer: bytes, code: str, said: str) -> None:
    """A listing that is cut, of something else, or no listing fails the job; it is never an empty folder."""
    import re

    say(scripted, "/top/", folder("/top/"), left=1)
    scripted.faults.append(Fault(left=100, method="PROPFIND", status=207, body=answer))
    with pytest.raises(SourceError) as caught:
        [*items_of(source_at(scripted, "/top"))]
    assert re.fullmatch(code, caught.value.code)
    assert re.search(said, str(caught.value))


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (200, "enumeration_failed", "page to log in"), (405, "source_error", "does not speak WebDAV"),
        (302, "source_error", "redirects the listing to http://elsewhere.example/x; set"),
        (403, "access_denied", "403: No no."), (404, "not_found", "404"), (500, "source_error", "500"),
    ],
)  # fmt: skip
def test_answers_that_are_no_listing(scripted: HttpFiles, status: int, code: str, said: str) -> None:
    """Other statuses than 207 have their meaning in the message."""
    headers = {"Location": "http://elsewhere.example/x?hush"} if status == 302 else {}
    body = b"<html><script>x</script><b>No no.</b></html>"
    scripted.faults.append(Fault(left=100, method="", status=status, headers=headers, body=body))
    with pytest.raises(SourceError) as caught:
        [*items_of(source_at(scripted, f"/status{status}"))]
    assert caught.value.code == code
    assert said in str(caught.value)
    assert "hush" not in str(caught.value)


def test_failures_within_a_listing(scripted: HttpFiles, tmp_path: Path) -> None:
    """What the server names and does not describe is an item that failed; a folder that is cut is named, and retried.

    Each of the first four answers about that folder is cut.
    """
    top = "/inner"
    say(
        scripted, f"{top}/", folder(f"{top}/"), file(f"{top}/a"), failed(f"{top}/locked", "423 Locked"),
        failed(f"{top}/mine/", "403 Forbidden"), folder(f"{top}/cut/"), folder(f"{top}/gone/"),
        f"<d:response><d:href>{top}/odd</d:href></d:response>",
    )  # fmt: skip
    say(scripted, f"{top}/cut/", folder(f"{top}/cut/"), file(f"{top}/cut/b"), left=4, keep=400)
    scripted.faults[-1].body = scripted.faults[-1].body[:400]
    say(scripted, f"{top}/cut/", folder(f"{top}/cut/"), file(f"{top}/cut/b"))
    say(scripted, f"{top}/locked", file(f"{top}/locked"))
    say(scripted, f"{top}/mine/?", folder(f"{top}/mine/"))
    for name in ("a", "cut/b", "locked"):
        scripted.put(f"inner/{name}", b"x")
        scripted.files[f"/inner/{name}"].etag = '"1"'
        scripted.files[f"/inner/{name}"].modified = None
    source = source_at(scripted, top)
    job, status = collected(tmp_path, source)
    assert status is JobStatus.PARTIALLY_COMPLETED
    assert {path: row["error_code"] for path, row in unsuccessful(job).items()} == {
        "locked": "source_error", "mine/": "access_denied", "cut/": "enumeration_failed", "gone/": "not_found",
        "odd": "source_error",
    }  # fmt: skip
    attempt(job, source)
    check_account(job)
    assert {row["original_path"] for row in held(job).values()} == {"a", "cut/b", "locked"}


def test_a_server_that_is_busy(scripted: HttpFiles) -> None:
    """A listing keeps the pauses that the server states, and goes on."""
    busy = {"status": 429, "headers": {"Retry-After": "1"}}
    say(scripted, "/busy/", folder("/busy/"), left=1)
    scripted.faults.append(Fault(method="PROPFIND", left=2, path="^/busy/$", **busy))  # type: ignore[arg-type]
    say(scripted, "/busy/", folder("/busy/"), file("/busy/a"), left=1)
    assert [item.path for item in items_of(source_at(scripted, "/busy"))] == ["a"]


def test_weak_marks(scripted: HttpFiles) -> None:
    """A weak ETag is listed as such and is no condition; a strong one that is the same version agrees with it."""
    say(scripted, "/weak/", folder("/weak/"), file("/weak/a", etag='W/"1"'), file("/weak/b", etag="2"))
    scripted.put("weak/a", b"x")
    scripted.put("weak/b", b"x")
    scripted.files["/weak/a"].etag, scripted.files["/weak/b"].etag = '"1"', 'W/"2"'
    source = source_at(scripted, "/weak")
    items = {item.path: item for item in items_of(source)}
    assert [items[name].etag for name in "ab"] == ["W/1", "2"]
    with source.open(items["a"]) as content:
        assert content.etag == "W/1"
    assert "if-match" not in scripted.asked("GET")[0]


def test_a_server_that_refuses_its_own_marks(scripted: HttpFiles) -> None:
    """If the condition of an ETag fails and the ETag is still the same, the file is read without the condition."""
    say(scripted, "/odd/", folder("/odd/"), file("/odd/a", etag='"listed"'), file("/odd/b", etag='"listed"'))
    for name in "ab":
        say(scripted, f"/odd/{name}", file(f"/odd/{name}", etag='"listed"'))
        scripted.put(f"odd/{name}", b"x")
        scripted.files[f"/odd/{name}"].modified = None
        scripted.files[f"/odd/{name}"].etag = "inner"
    source = source_at(scripted, "/odd")
    items = [*items_of(source)]
    scripted.faults.append(Fault(left=1, status=412))
    got = [content for _, content in source.read_many(items, 2)]
    assert [type(one) for one in got] == [Content, Content]


def test_a_redirect_to_another_server(scripted: HttpFiles, served: WebDavServer) -> None:
    """A file that the server keeps elsewhere is read without the user's token, and from no private address."""
    say(scripted, "/far/", folder("/far/"), file("/far/a"))
    to = f"http://127.0.0.1:{served.port}/x"
    scripted.faults.append(Fault(left=9, status=302, headers={"Location": to}))
    source = source_at(scripted, "/far", token="hush")
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


def test_a_folder_within_itself(served: WebDavServer, root: Path) -> None:
    """A link of the server that leads back is noticed by listings that are the same again and again."""
    (root / "a").mkdir()
    (root / "a" / "file").write_text("x")
    (root / "a" / "back").symlink_to(root / "a")
    items = [*items_of(WebDavSource(url=served.url(f"/{root.name}")))]
    assert list(codes(items).values()) == ["path_unsafe"]
    assert 1 < len(items) < 10


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


def test_links_that_lead_back_and_look_different(scripted: HttpFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that shows itself twice within itself, with another time and another file at each look, has an end."""
    monkeypatch.setattr(depth, "MOST_ALIKE", 5)
    waiting = ["/twice/"]
    for number, path in enumerate(waiting):
        say(scripted, path, folder(path), folder(f"{path}a/"), folder(f"{path}b/"), file(f"{path}{number}"))
        waiting += [f"{path}{name}/" for name in "ab"] if path.count("/") < 10 else []
    items = [*items_of(source_at(scripted, "/twice/"))]
    failed = codes(items)
    assert set(failed.values()) == {"too_deep"}
    # 2 to the 4th folders before any is alike, the five that are followed, and two in each that is not
    assert len([one for one in items if one.failure is None]) <= 15 + 2 * (16 + 5)
    assert len(waiting) > 500


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
