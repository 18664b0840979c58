"""Which addresses of URLs are asked: redirects, private addresses, proxies."""

from __future__ import annotations

import json
import socket
from dataclasses import replace
from pathlib import Path

import pycurl
import pytest

from prefect_collect.blocks import HttpListSource
from prefect_collect.errors import SourceError
from prefect_collect.sources.listing import items_of
from prefect_collect.sources.query import Query
from prefect_collect.sources.sampling import take_sample, taken
from prefect_collect.statuses import JobStatus
from tests.integration.connectors.url_lists import BIG, anew, failure, only, source_of
from tests.integration.http_files import Fault, File, HttpFiles
from tests.integration.sources.places import collected, patterned
from tests.support.run_attempts import attempt, check_account, held, unsuccessful

pytestmark = pytest.mark.integration


def test_redirects(web: HttpFiles, other_web: HttpFiles, tmp_path: Path) -> None:
    """Redirects are followed, small and large; what is secret goes to its own server only, and not to another."""
    anew(other_web)
    web.put("a", b"small")
    other_web.files["/b?X-Secret=hush"] = File(b"at the other server", None, None)
    other_web.put("c", patterned(BIG))
    web.faults += [
        Fault(left=100, method="", path="^/to-a", status=301, headers={"Location": "/a"}),
        Fault(left=100, method="", path="^/to-b", status=302, headers={"Location": f"{other_web.url}/b?X-Secret=hush"}),
        Fault(left=100, method="", path="^/to-c", status=307, headers={"Location": other_web.url_of("c")}),
    ]
    web.token = "hush"
    # The host is the same, so the port alone tells the servers apart.
    headers = {"Authorization": "Bearer hush"}
    lines = [{"url": f"{web.url}/to-{name}", "headers": headers, "name": name} for name in "abc"]
    source = source_of(tmp_path, *lines)
    folder, status = collected(tmp_path, source)
    assert status is JobStatus.SUCCESSFULLY_COMPLETED
    assert {row["original_path"]: row["size"] for row in held(folder).values()} == {"a": 5, "b": 19, "c": BIG}
    assert web.asked("GET", "/a")[0]["authorization"] == "Bearer hush"
    assert other_web.requests
    assert all("authorization" not in headers for _, _, headers in other_web.requests)
    assert "hush" not in json.dumps([*held(folder).values()], default=str)


@pytest.mark.parametrize(
    ("location", "code", "said"),
    [
        ("/loop", "source_error", "more than 5 times"),
        ("ftp://example.org/x", "source_error", "does not begin with http"),
        ("file:///etc/passwd", "source_error", "does not begin with http"),
        ("http://ann:hush@example.org/x", "source_error", "user or password"),
        ("", "source_error", "more than 5 times"),
    ],
)
def test_redirects_against_the_rules(web: HttpFiles, tmp_path: Path, location: str, code: str, said: str) -> None:
    """A redirect without an end, or to what is no web server, is not followed."""
    web.faults.append(Fault(left=100, method="", status=302, headers={"Location": location}))
    source = source_of(tmp_path, {"url": f"{web.url}/loop"})
    item = only(source)
    for error in (failure(source, item), next(iter(source.read_many([item], 1)))[1]):
        assert isinstance(error, SourceError)
        assert error.code == code
        assert said in str(error)
        assert "hush" not in str(error)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "localhost.", "127.1", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]", "0.0.0.0"]
)
def test_private_addresses(web: HttpFiles, tmp_path: Path, host: str) -> None:
    """Addresses that are not of the internet are refused in every notation, and no request reaches them.

    The listing says so, as it judges what is written in the URL itself.
    """
    web.put("a", b"x")
    url = f"http://{host}:{web.port}/a"
    source = source_of(tmp_path, {"url": url}, allow_private=False)
    item = only(source)
    assert item.failure is not None
    assert item.failure.code == "address_refused"
    sample = take_sample(source, 10, 30)
    assert (taken(sample, Query()).items, taken(sample, Query()).failed) == (0, 1)
    for error in (failure(source, item), next(iter(source.read_many([item], 1)))[1]):
        assert isinstance(error, SourceError)
        assert error.code == "address_refused"
    assert web.requests == []


def test_a_private_address_that_is_allowed_later(web: HttpFiles, tmp_path: Path) -> None:
    """An address that was refused is collected by a retry with a source that allows it."""
    url = web.put("a", b"x")
    folder, status = collected(tmp_path, source_of(tmp_path, {"url": url}, allow_private=False))
    assert status is JobStatus.FAILED
    [row] = unsuccessful(folder).values()
    assert row["error_code"] == "address_refused"
    assert web.requests == []
    assert attempt(folder, source_of(tmp_path, {"url": url})).status is JobStatus.SUCCESSFULLY_COMPLETED
    check_account(folder)


def test_a_name_that_resolves_to_a_private_address(
    web: HttpFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What counts is the address that is connected to, whatever the name resolved to before."""
    web.put("a", b"x")
    source = source_of(tmp_path, {"url": f"http://files.example:{web.port}/a"}, allow_private=False, look_first=False)
    client = source._connection()._client
    before = client.home

    def prepare(handle: pycurl.Curl) -> None:
        assert before.prepare is not None
        before.prepare(handle)
        handle.setopt(pycurl.RESOLVE, [f"files.example:{web.port}:127.0.0.1"])

    client.home = client._other = replace(before, prepare=prepare)
    item = only(source)
    assert failure(source, item).code == "connection_lost"  # a name server that says another address now
    found = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 0))]
    monkeypatch.setattr("socket.getaddrinfo", lambda *_: found)
    error = failure(source, item)
    assert error.code == "address_refused"
    assert "files.example, which is 127.0.0.1" in str(error)
    assert web.requests == []


def test_a_redirect_to_a_private_address(tmp_path: Path, web: HttpFiles) -> None:
    """The rule holds for redirects, also from a server that the user named: that of the list."""
    web.faults.append(Fault(left=9, status=302, headers={"Location": f"http://127.0.0.2:{web.port}/secret"}))
    source = HttpListSource(name="x", url=f"urls+http://127.0.0.1:{web.port}/list")
    with pytest.raises(SourceError) as caught:
        [*items_of(source)]
    assert caught.value.code == "address_refused"
    assert web.asked("GET", "secret") == []


def test_a_proxy(tmp_path: Path, web: HttpFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment's proxy may have a private address; what it is asked for must not name one."""
    monkeypatch.setenv("http_proxy", web.url)
    web.files["http://files.invalid/a"] = File(b"x", None, None)
    source = source_of(
        tmp_path, {"url": "http://files.invalid/a"}, {"url": "http://10.0.0.1/b"}, allow_private=False, read_timeout=6
    )
    folder, status = collected(tmp_path, source)
    assert status is JobStatus.PARTIALLY_COMPLETED
    assert len(held(folder)) == 1
    assert {row["error_code"] for row in unsuccessful(folder).values()} == {"address_refused"}
    assert web.asked("", "10.0.0.1") == web.asked("GET", "10.0.0.1") == []
