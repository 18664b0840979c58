"""Listings of WebDAV servers that are odd, wrong, cut or hostile."""

from __future__ import annotations

from pathlib import Path

import pytest

from prefect_collect.errors import SourceError
from prefect_collect.sources import Content, depth
from prefect_collect.sources.listing import items_of
from prefect_collect.statuses import JobStatus
from tests.integration.connectors.webdav_answers import codes, say, source_at
from tests.integration.http_files import Fault, HttpFiles
from tests.integration.sources.places import collected
from tests.support.multistatus import failed, file, folder, multistatus
from tests.support.run_attempts import attempt, check_account, held, unsuccessful

pytestmark = pytest.mark.integration


def test_addresses_of_a_listing(web: HttpFiles, request: pytest.FixtureRequest) -> None:
    """Addresses may be whole or paths; those of other servers and places are not used, and each is reported."""
    port, top = web.port, f"/{request.node.name}"
    say(
        web, f"{top}/", folder(f"{top}/"), file(f"http://127.0.0.1:{port}{top}/whole"), file(f"{top}/a%20b"),
        file(f"http://127.0.0.1{top}/behind-a-proxy"), file("relative"), file(f"{top}/ünencoded"),
        file("http://elsewhere.example/x"), file("//elsewhere.example/x"), file("/outside"), file(f"{top}/../up"),
        file(f"{top}/%2E%2E"), file(f"{top}/b/c"), file(f"{top}/a%2Fb"), file(f"{top}/nul%00"), file(f"{top}/q?x=1"),
        file(f"{top}//x"), file(f"{top}/a%20b"), file("javascript:alert(1)"),
    )  # fmt: skip
    items = [*items_of(source_at(web, top))]
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
def test_answers_that_prove_nothing(web: HttpFiles, answer: bytes, code: str, said: str) -> None:
    """A listing that is cut, of something else, or no listing fails the job; it is never an empty folder."""
    import re

    say(web, "/top/", folder("/top/"), left=1)
    web.faults.append(Fault(left=100, method="PROPFIND", status=207, body=answer))
    with pytest.raises(SourceError) as caught:
        [*items_of(source_at(web, "/top"))]
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
def test_answers_that_are_no_listing(web: HttpFiles, status: int, code: str, said: str) -> None:
    """Other statuses than 207 have their meaning in the message."""
    headers = {"Location": "http://elsewhere.example/x?hush"} if status == 302 else {}
    body = b"<html><script>x</script><b>No no.</b></html>"
    web.faults.append(Fault(left=100, method="", status=status, headers=headers, body=body))
    with pytest.raises(SourceError) as caught:
        [*items_of(source_at(web, f"/status{status}"))]
    assert caught.value.code == code
    assert said in str(caught.value)
    assert "hush" not in str(caught.value)


def test_failures_within_a_listing(web: HttpFiles, tmp_path: Path) -> None:
    """What the server names and does not describe is an item that failed; a folder that is cut is named, and retried.

    Each of the first four answers about that folder is cut.
    """
    top = "/inner"
    say(
        web, f"{top}/", folder(f"{top}/"), file(f"{top}/a"), failed(f"{top}/locked", "423 Locked"),
        failed(f"{top}/mine/", "403 Forbidden"), folder(f"{top}/cut/"), folder(f"{top}/gone/"),
        f"<d:response><d:href>{top}/odd</d:href></d:response>",
    )  # fmt: skip
    say(web, f"{top}/cut/", folder(f"{top}/cut/"), file(f"{top}/cut/b"), left=4, keep=400)
    web.faults[-1].body = web.faults[-1].body[:400]
    say(web, f"{top}/cut/", folder(f"{top}/cut/"), file(f"{top}/cut/b"))
    say(web, f"{top}/locked", file(f"{top}/locked"))
    say(web, f"{top}/mine/?", folder(f"{top}/mine/"))
    for name in ("a", "cut/b", "locked"):
        web.put(f"inner/{name}", b"x")
        web.files[f"/inner/{name}"].etag = '"1"'
        web.files[f"/inner/{name}"].modified = None
    source = source_at(web, top)
    job, status = collected(tmp_path, source)
    assert status is JobStatus.PARTIALLY_COMPLETED
    assert {path: row["error_code"] for path, row in unsuccessful(job).items()} == {
        "locked": "source_error", "mine/": "access_denied", "cut/": "enumeration_failed", "gone/": "not_found",
        "odd": "source_error",
    }  # fmt: skip
    attempt(job, source)
    check_account(job)
    assert {row["original_path"] for row in held(job).values()} == {"a", "cut/b", "locked"}


def test_a_server_that_is_busy(web: HttpFiles) -> None:
    """A listing keeps the pauses that the server states, and goes on."""
    busy = {"status": 429, "headers": {"Retry-After": "1"}}
    say(web, "/busy/", folder("/busy/"), left=1)
    web.faults.append(Fault(method="PROPFIND", left=2, path="^/busy/$", **busy))  # type: ignore[arg-type]
    say(web, "/busy/", folder("/busy/"), file("/busy/a"), left=1)
    assert [item.path for item in items_of(source_at(web, "/busy"))] == ["a"]


def test_weak_marks(web: HttpFiles) -> None:
    """A weak ETag is listed as such and is no condition; a strong one that is the same version agrees with it."""
    say(web, "/weak/", folder("/weak/"), file("/weak/a", etag='W/"1"'), file("/weak/b", etag="2"))
    web.put("weak/a", b"x")
    web.put("weak/b", b"x")
    web.files["/weak/a"].etag, web.files["/weak/b"].etag = '"1"', 'W/"2"'
    source = source_at(web, "/weak")
    items = {item.path: item for item in items_of(source)}
    assert [items[name].etag for name in "ab"] == ["W/1", "2"]
    with source.open(items["a"]) as content:
        assert content.etag == "W/1"
    assert "if-match" not in web.asked("GET")[0]


def test_a_server_that_refuses_its_own_marks(web: HttpFiles) -> None:
    """If the condition of an ETag fails and the ETag is still the same, the file is read without the condition."""
    say(web, "/odd/", folder("/odd/"), file("/odd/a", etag='"listed"'), file("/odd/b", etag='"listed"'))
    for name in "ab":
        say(web, f"/odd/{name}", file(f"/odd/{name}", etag='"listed"'))
        web.put(f"odd/{name}", b"x")
        web.files[f"/odd/{name}"].modified = None
        web.files[f"/odd/{name}"].etag = "inner"
    source = source_at(web, "/odd")
    items = [*items_of(source)]
    web.faults.append(Fault(left=1, status=412))
    got = [content for _, content in source.read_many(items, 2)]
    assert [type(one) for one in got] == [Content, Content]


def test_links_that_lead_back_and_look_different(web: HttpFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that shows itself twice within itself, with another time and another file at each look, has an end."""
    monkeypatch.setattr(depth, "MOST_ALIKE", 5)
    waiting = ["/twice/"]
    for number, path in enumerate(waiting):
        say(web, path, folder(path), folder(f"{path}a/"), folder(f"{path}b/"), file(f"{path}{number}"))
        waiting += [f"{path}{name}/" for name in "ab"] if path.count("/") < 10 else []
    items = [*items_of(source_at(web, "/twice/"))]
    failed = codes(items)
    assert set(failed.values()) == {"too_deep"}
    # 2 to the 4th folders before any is alike, the five that are followed, and two in each that is not
    assert len([one for one in items if one.failure is None]) <= 15 + 2 * (16 + 5)
    assert len(waiting) > 500
