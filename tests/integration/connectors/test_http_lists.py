"""Lists of URLs at servers that fail, redirect, limit, lie and change, and lists that are wrong."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pycurl
import pytest

from prefect_collect.blocks import HttpListSource
from prefect_collect.connectors.http.pace import Pace
from prefect_collect.connectors.url_list.list_file import ListFile
from prefect_collect.errors import SourceError
from prefect_collect.sources import Content, Item
from prefect_collect.sources.listing import items_of, proven
from prefect_collect.sources.query import Query
from prefect_collect.sources.sampling import take_sample, taken
from prefect_collect.statuses import JobStatus
from tests.integration.http_files import Fault, File, HttpFiles, http_files
from tests.integration.sources.contract import collected, patterned, read
from tests.support.memory_store import MemoryStore
from tests.support.run_attempts import attempt, check_account, held, new_job, unsuccessful

pytestmark = pytest.mark.integration

BIG = (5 << 20) + 123
"""Bytes of a content that is streamed, in several pieces."""


@pytest.fixture(scope="module")
def running() -> Iterator[HttpFiles]:
    """A server of files."""
    with http_files() as server:
        yield server


@pytest.fixture(scope="module")
def another() -> Iterator[HttpFiles]:
    """Another server, of another port."""
    with http_files() as server:
        yield server


@pytest.fixture
def server(running: HttpFiles) -> HttpFiles:
    """A server without files and faults."""
    return anew(running)


def anew(server: HttpFiles) -> HttpFiles:
    """Return the server, without files and faults."""
    server.files.clear()
    server.faults.clear()
    server.requests.clear()
    server.released.clear()
    server.token, server.has_ranges, server.refuses_head = None, True, False
    return server


def source_of(tmp_path: Path, *lines: dict[str, Any] | str, **fields: Any) -> HttpListSource:
    """Return the source of a list of these lines."""
    path = tmp_path / "list.jsonl"
    path.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines))
    given = {"name": "list", "allow_private": True, "read_timeout": 5, "connect_timeout": 5, **fields}
    return HttpListSource.model_validate({"url": f"urls://{path}", **given})


def failure(source: HttpListSource, item: Item) -> SourceError:
    """Return the error of reading an item."""
    with pytest.raises(SourceError) as caught:
        read(source, item)
    return caught.value


def only(source: HttpListSource) -> Item:
    """Return the single item of a source."""
    [item] = items_of(source)
    return item


@pytest.mark.parametrize("weak", [False, True])
def test_a_content_that_breaks_off_is_resumed(server: HttpFiles, tmp_path: Path, weak: bool) -> None:
    """What broke off goes on by a range if the ETag is strong; without a mark it begins anew, as another try."""
    source = source_of(tmp_path, {"url": server.put("a", patterned(BIG), weak=weak)})
    server.faults += [Fault(keep=2_500_000), Fault(keep=1_100_000)]
    folder, status = collected(tmp_path, source)
    assert status is JobStatus.SUCCESSFULLY_COMPLETED
    check_account(folder, {server.url_of("a"): patterned(BIG)})
    ranges = [headers.get("range") for headers in server.asked("GET")]
    if weak:
        assert ranges == [None, None, None]
    else:
        assert ranges == [None, "bytes=2500000-", "bytes=3600000-"]
        assert all("if-range" in headers for headers in server.asked("GET")[1:])


def test_a_server_without_ranges(server: HttpFiles, tmp_path: Path) -> None:
    """A server that answers a range with the whole content is read again, without what had come."""
    server.has_ranges = False
    source = source_of(tmp_path, {"url": server.put("a", patterned(BIG))})
    item = only(source)
    server.faults.append(Fault(keep=3_000_000))
    assert read(source, item) == patterned(BIG)
    assert len(server.asked("GET")) == 2


@pytest.mark.parametrize("has_ranges", [True, False])
def test_a_content_that_is_another_when_it_is_resumed(server: HttpFiles, tmp_path: Path, has_ranges: bool) -> None:
    """No two versions are put together: a content that was replaced between two ranges fails."""
    server.has_ranges = has_ranges
    source = source_of(tmp_path, {"url": server.put("a", patterned(BIG))})
    item = only(source)
    server.faults.append(Fault(keep=3_000_000))
    server.faults.append(Fault(then=lambda: server.put("a", patterned(BIG)[::-1])))
    assert failure(source, item).code == "changed_during_read"


def test_a_content_that_is_changed_while_it_is_read(server: HttpFiles, tmp_path: Path) -> None:
    """A content over 1 MiB is looked at again after its last byte."""
    source = source_of(tmp_path, {"url": server.put("a", patterned(BIG))}, look_first=False)
    server.faults.append(Fault(method="HEAD", then=lambda: server.put("a", b"another")))
    error = failure(source, only(source))
    assert error.code == "changed_during_read"
    assert "etag" in str(error)


def test_what_the_list_states_is_compared(server: HttpFiles, tmp_path: Path) -> None:
    """A size or a SHA-256 of the list that the content has not fails that item alone."""
    import hashlib

    right = hashlib.sha256(b"right").hexdigest()
    source = source_of(
        tmp_path,
        {"url": server.put("right", b"right"), "sha256": right.upper(), "size": 5},
        {"url": server.put("hash", b"wrong"), "sha256": right},
        {"url": server.put("size", b"wrong"), "size": 6},
    )
    folder, status = collected(tmp_path, source)
    assert status is JobStatus.PARTIALLY_COMPLETED
    codes = {row["item_id"]: row["error_code"] for row in unsuccessful(folder).values()}
    assert codes == {server.url_of("hash"): "checksum_mismatch", server.url_of("size"): "changed_during_read"}
    assert [row["original_path"] for row in held(folder).values()] == ["127.0.0.1/right"]


@pytest.mark.parametrize("by", [10, -2])
def test_a_wrong_length(server: HttpFiles, tmp_path: Path, by: int) -> None:
    """A body that is shorter or longer than Content-Length is never taken for the content."""
    url = server.put("a", b"0123456789")
    server.files["/a"].length = 10 + by
    source = source_of(tmp_path, {"url": url, "size": 10})
    folder, status = collected(tmp_path, source)
    assert status is JobStatus.FAILED
    [row] = unsuccessful(folder).values()
    assert row["error_code"] in ("truncated", "changed_during_read", "connection_lost")


def test_a_pause_that_the_server_asks_for(server: HttpFiles, tmp_path: Path) -> None:
    """429 and Retry-After: no request begins before, fewer are sent at once, and no item loses a try by it."""
    lines = [{"url": server.put(f"{number}", b"x" * number)} for number in range(30)]
    source = source_of(tmp_path, *lines)
    items = [*items_of(source)]
    met: list[float] = []
    server.faults.append(
        Fault(left=3, status=429, headers={"Retry-After": "1"}, then=lambda: met.append(time.monotonic()))
    )
    begun = time.monotonic()
    assert all(isinstance(got, Content) for _, got in source.read_many(items, 16))
    assert time.monotonic() - begun > 1
    assert len(met) == 3
    assert len(server.asked("GET")) == 33


def test_a_pause_that_is_too_long(server: HttpFiles, tmp_path: Path) -> None:
    """An hour is not waited for: the item fails with what the server said."""
    source = source_of(tmp_path, {"url": server.put("a", b"x")}, look_first=False)
    item = only(source)
    server.faults.append(Fault(status=503, headers={"Retry-After": "3600"}, body=b"<h1>Back at&nbsp;noon</h1>"))
    server.faults.append(Fault(left=0))
    with pytest.raises(SourceError, match=r"3,600 seconds.*HTTP 503: Back at") as caught, source.open(item):
        pass
    assert caught.value.code == "throttled"


def test_few_requests_at_once(server: HttpFiles, tmp_path: Path) -> None:
    """Where a server allows two requests at once, two contents are read, and each is looked at after its last byte."""
    source = source_of(tmp_path, *({"url": server.put(name, patterned(BIG))} for name in "ab"), look_first=False)
    one, two = items_of(source)
    server.faults.append(Fault(status=429, headers={"Retry-After": "0"}))
    with source.open(one) as first, source.open(two) as second:
        for content in (first, second):
            assert b"".join(content.chunks) == patterned(BIG)
            assert content.finish is not None
            content.finish()
    assert len(server.asked("HEAD")) == 2


def test_a_cancel_during_a_pause(server: HttpFiles, tmp_path: Path) -> None:
    """A cancel does not wait for the end of the pause."""
    from prefect_collect.codes import CANCELED
    from prefect_collect.threads.stop import Stop

    source = source_of(tmp_path, {"url": server.put("a", b"x")}, look_first=False)
    server.faults.append(Fault(left=100, status=429, headers={"Retry-After": "300"}))
    stop = Stop()
    timer = threading.Timer(0.5, stop.set, [CANCELED])
    timer.start()
    begun = time.monotonic()
    folder = new_job(MemoryStore(), source)
    assert attempt(folder, source, stop=stop).status is JobStatus.CANCELED
    assert time.monotonic() - begun < 60
    check_account(folder)


def test_redirects(server: HttpFiles, another: HttpFiles, tmp_path: Path) -> None:
    """Redirects are followed, small and large; what is secret goes to its own server only, and not to another."""
    anew(another)
    server.put("a", b"small")
    another.files["/b?X-Secret=hush"] = File(b"at the other server", None, None)
    another.put("c", patterned(BIG))
    server.faults += [
        Fault(left=100, method="", path="^/to-a", status=301, headers={"Location": "/a"}),
        Fault(left=100, method="", path="^/to-b", status=302, headers={"Location": f"{another.url}/b?X-Secret=hush"}),
        Fault(left=100, method="", path="^/to-c", status=307, headers={"Location": another.url_of("c")}),
    ]
    server.token = "hush"
    # The host is the same, so the port alone tells the servers apart.
    headers = {"Authorization": "Bearer hush"}
    lines = [{"url": f"{server.url}/to-{name}", "headers": headers, "name": name} for name in "abc"]
    source = source_of(tmp_path, *lines)
    folder, status = collected(tmp_path, source)
    assert status is JobStatus.SUCCESSFULLY_COMPLETED
    assert {row["original_path"]: row["size"] for row in held(folder).values()} == {"a": 5, "b": 19, "c": BIG}
    assert server.asked("GET", "/a")[0]["authorization"] == "Bearer hush"
    assert another.requests
    assert all("authorization" not in headers for _, _, headers in another.requests)
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
def test_redirects_against_the_rules(server: HttpFiles, tmp_path: Path, location: str, code: str, said: str) -> None:
    """A redirect without an end, or to what is no web server, is not followed."""
    server.faults.append(Fault(left=100, method="", status=302, headers={"Location": location}))
    source = source_of(tmp_path, {"url": f"{server.url}/loop"})
    item = only(source)
    for error in (failure(source, item), next(iter(source.read_many([item], 1)))[1]):
        assert isinstance(error, SourceError)
        assert error.code == code
        assert said in str(error)
        assert "hush" not in str(error)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "localhost.", "127.1", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]", "0.0.0.0"]
)
def test_private_addresses(server: HttpFiles, tmp_path: Path, host: str) -> None:
    """Addresses that are not of the internet are refused in every notation, and no request reaches them.

    The listing says so, as it judges what is written in the URL itself.
    """
    server.put("a", b"x")
    url = f"http://{host}:{server.port}/a"
    source = source_of(tmp_path, {"url": url}, allow_private=False)
    item = only(source)
    assert item.failure is not None
    assert item.failure.code == "address_refused"
    sample = take_sample(source, 10, 30)
    assert (taken(sample, Query()).items, taken(sample, Query()).failed) == (0, 1)
    for error in (failure(source, item), next(iter(source.read_many([item], 1)))[1]):
        assert isinstance(error, SourceError)
        assert error.code == "address_refused"
    assert server.requests == []


def test_a_private_address_that_is_allowed_later(server: HttpFiles, tmp_path: Path) -> None:
    """An address that was refused is collected by a retry with a source that allows it."""
    url = server.put("a", b"x")
    folder, status = collected(tmp_path, source_of(tmp_path, {"url": url}, allow_private=False))
    assert status is JobStatus.FAILED
    [row] = unsuccessful(folder).values()
    assert row["error_code"] == "address_refused"
    assert server.requests == []
    assert attempt(folder, source_of(tmp_path, {"url": url})).status is JobStatus.SUCCESSFULLY_COMPLETED
    check_account(folder)


def test_a_name_that_resolves_to_a_private_address(
    server: HttpFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What counts is the address that is connected to, whatever the name resolved to before."""
    server.put("a", b"x")
    source = source_of(
        tmp_path, {"url": f"http://files.example:{server.port}/a"}, allow_private=False, look_first=False
    )
    client = source._connection()._client
    before = client.home

    def prepare(handle: pycurl.Curl) -> None:
        assert before.prepare is not None
        before.prepare(handle)
        handle.setopt(pycurl.RESOLVE, [f"files.example:{server.port}:127.0.0.1"])

    client.home = client._other = replace(before, prepare=prepare)
    item = only(source)
    assert failure(source, item).code == "connection_lost"  # a name server that says another address now
    found = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 0))]
    monkeypatch.setattr("socket.getaddrinfo", lambda *_: found)
    error = failure(source, item)
    assert error.code == "address_refused"
    assert "files.example, which is 127.0.0.1" in str(error)
    assert server.requests == []


def test_a_redirect_to_a_private_address(tmp_path: Path, server: HttpFiles) -> None:
    """The rule holds for redirects, also from a server that the user named: that of the list."""
    server.faults.append(Fault(left=9, status=302, headers={"Location": f"http://127.0.0.2:{server.port}/secret"}))
    source = HttpListSource(name="x", url=f"urls+http://127.0.0.1:{server.port}/list")
    with pytest.raises(SourceError) as caught:
        [*items_of(source)]
    assert caught.value.code == "address_refused"
    assert server.asked("GET", "secret") == []


def test_a_proxy(tmp_path: Path, server: HttpFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment's proxy may have a private address; what it is asked for must not name one."""
    monkeypatch.setenv("http_proxy", server.url)
    server.files["http://files.invalid/a"] = File(b"x", None, None)
    source = source_of(
        tmp_path, {"url": "http://files.invalid/a"}, {"url": "http://10.0.0.1/b"}, allow_private=False, read_timeout=6
    )
    folder, status = collected(tmp_path, source)
    assert status is JobStatus.PARTIALLY_COMPLETED
    assert len(held(folder)) == 1
    assert {row["error_code"] for row in unsuccessful(folder).values()} == {"address_refused"}
    assert server.asked("", "10.0.0.1") == server.asked("GET", "10.0.0.1") == []


def test_the_list_of_a_server(server: HttpFiles, tmp_path: Path) -> None:
    """A list may come from a server, which may ask for headers; one that is cut is no list."""
    server.token = "hush"
    lines = "".join(json.dumps({"url": server.put(f"{number}", b"x")}) + "\n" for number in range(200))
    server.put("list.jsonl", lines.encode())
    headers = {"127.0.0.1": {"Authorization": "Bearer hush"}}
    source = HttpListSource.model_validate(
        {"name": "x", "url": f"urls+{server.url}/list.jsonl", "headers": headers, "allow_private": True}
    )
    folder, status = collected(tmp_path, source)
    assert status is JobStatus.SUCCESSFULLY_COMPLETED
    assert len(held(folder)) == 200
    server.files["/list.jsonl"].etag = server.files["/list.jsonl"].modified = None
    server.faults.append(Fault(path="list", keep=len(lines) // 2))
    with pytest.raises(SourceError) as caught:
        [*items_of(source)]
    assert caught.value.code == "truncated"


def test_secrets_of_the_lists_address(server: HttpFiles, tmp_path: Path) -> None:
    """The query with which a list is asked for is sent, and neither in the job's files nor in an error."""
    line = json.dumps({"url": server.put("a", b"x")}).encode()
    server.files["/list.jsonl?token=hush&own=hush"] = File(line, None, None)
    source = HttpListSource(url=f"urls+{server.url}/list.jsonl?token=hush&own=hush", allow_private=True)
    folder, status = collected(tmp_path, source)
    assert status is JobStatus.SUCCESSFULLY_COMPLETED
    assert len(held(folder)) == 1
    files = [path for path in (tmp_path / "store").rglob("*") if path.is_file()]
    assert files
    assert not any(b"hush" in path.read_bytes() for path in files)
    del server.files["/list.jsonl?token=hush&own=hush"]
    with pytest.raises(SourceError) as caught:
        [*items_of(source)]
    assert caught.value.code == "not_found"
    assert "hush" not in str(caught.value)


def test_wrong_lines(server: HttpFiles, tmp_path: Path) -> None:
    """Each wrong line is an item that failed, with its number; the others are collected; a retry reads them anew."""
    url = server.put("a", b"x")
    lines: list[Any] = [
        {"url": url}, "", "{", {"url": "ftp://x/y"}, {"url": url}, {"urls": url}, {"url": server.put("b", b"y")},
        '{"url": "http://x/', 
    ]  # fmt: skip
    source = source_of(tmp_path, *lines)
    folder, status = collected(tmp_path, source)
    assert status is JobStatus.PARTIALLY_COMPLETED
    failed = {row["path"]: row for row in unsuccessful(folder).values()}
    assert failed.keys() == {f"line {number}" for number in (3, 4, 5, 6, 8)}
    assert {row["error_code"] for row in failed.values()} == {"invalid_item"}
    assert "Line 5 of the list has the same url as line 1" in failed["line 5"]["message"]
    source_of(tmp_path, {"url": url}, {"url": server.put("c", b"z")})
    assert attempt(folder, source).status is JobStatus.SUCCESSFULLY_COMPLETED
    check_account(folder)
    assert {row["original_path"] for row in held(folder).values()} == {f"127.0.0.1/{name}" for name in "abc"}


def test_urls_that_differ_in_what_is_not_shown(server: HttpFiles, tmp_path: Path) -> None:
    """URLs that differ only in what is left out of ids are items of their own, and the same ones in each retry.

    The line's name tells them apart, also after a token was renewed; a digest of the URL does if they have none, or
    the same one. Only a URL that is listed twice is a copy.
    """
    contents = {f"get?key={name}": f"content of {name}".encode() for name in ("a.pdf", "b.pdf")}
    contents |= {f"doc?token=hush{n}": b"doc %d" % n for n in range(2)}
    contents |= {f"twin?code={n}": b"twin %d" % n for n in range(2)}
    for rest, data in contents.items():
        server.files[f"/{rest}"] = File(data, None, None)
    names = {"doc?token=hush0": "first", "doc?token=hush1": "second", "twin?code=0": "twin", "twin?code=1": "twin"}
    lines = [{"url": f"{server.url}/{rest}", **({"name": names[rest]} if rest in names else {})} for rest in contents]
    source = source_of(tmp_path, *lines, lines[0])
    folder, status = collected(tmp_path, source)
    assert status is JobStatus.PARTIALLY_COMPLETED
    [failed] = unsuccessful(folder).values()
    assert "Line 7 of the list has the same url as line 1" in failed["message"]
    ids = {item_id: row["size"] for item_id, row in held(folder).items()}
    assert sorted(ids.values()) == sorted(len(data) for data in contents.values())
    assert {f"{server.url}/doc?token=…#first", f"{server.url}/doc?token=…#second"} < ids.keys()
    assert "hush" not in str(ids) + str([*held(folder).values()])
    assert {read(source, item) for item in items_of(source) if item.failure is None} == {*contents.values()}
    renewed = [{**line, "url": line["url"].replace("hush", "new")} for line in lines if "twin" not in line["url"]]
    for number in range(2):
        server.files[f"/doc?token=new{number}"] = server.files[f"/doc?token=hush{number}"]
    source = source_of(tmp_path, *reversed(renewed))
    kept = {item_id for item_id in ids if "twin" not in item_id}
    assert {item.id for item in items_of(source)} == kept
    assert {
        found.id for item_id in kept for found in source.relist(Item(item_id, item_id)) if isinstance(found, Item)
    } == kept
    alone = source_of(tmp_path, lines[0])._connection()._lists.opened(fresh=True)
    assert [entry.url for entry in map(alone.find, ids) if entry is not None] == [lines[0]["url"]]
    assert len([*items_of(source_of(tmp_path, *lines[:2]))]) == 2


def test_many_urls_that_differ_in_what_is_not_shown(tmp_path: Path) -> None:
    """Any lines are items with different ids, each of which is found again with its own URL."""
    rows = [(f"https://h/{n % 3}?key={n % 40}", f"name {n % 7}" if n % 2 else None) for n in range(200)]
    path = tmp_path / "list.jsonl"
    path.write_text("".join(json.dumps({"url": url} | ({"name": name} if name else {})) + "\n" for url, name in rows))
    with path.open("rb", buffering=0) as file:
        found = ListFile(file, "place")
        entries = [line.entry for line in found.lines() if line.entry is not None]
        ids = {entry.id: entry.url for entry in entries}
        assert len(ids) == len(entries)
        assert {url for url, _ in rows} == {*ids.values()}
        for item_id, url in ids.items():
            entry = found.find(item_id)
            assert entry is not None
            assert (entry.id, entry.url) == (item_id, url)


def test_a_list_that_is_written_to(server: HttpFiles, tmp_path: Path) -> None:
    """A list that changes while it is read proves nothing."""
    source = source_of(tmp_path, *({"url": f"{server.url}/{number}"} for number in range(50)), look_first=False)
    listing = proven(source)
    next(listing)
    with (tmp_path / "list.jsonl").open("a") as file:
        file.write("{}\n")
    with pytest.raises(SourceError) as caught:
        list(listing)
    assert caught.value.code == "enumeration_failed"


def test_a_list_that_is_not_there(tmp_path: Path) -> None:
    """Without its list a job fails with `not_found`; a folder is no list."""
    source = HttpListSource(name="x", url=f"urls://{tmp_path}/none.jsonl")
    with pytest.raises(SourceError, match=r"no such list on this machine; check the path\. \[urls://") as caught:
        [*items_of(source)]
    assert caught.value.code == "not_found"
    (tmp_path / "folder").mkdir()
    with pytest.raises(SourceError, match="no regular file"):
        [*items_of(HttpListSource(name="x", url=f"urls://{tmp_path}/folder"))]


def test_a_server_without_head(server: HttpFiles, tmp_path: Path) -> None:
    """A server that refuses HEAD costs sizes and times, and nothing else; nor does a line that is gone."""
    server.refuses_head = True
    source = source_of(tmp_path, {"url": server.put("a", b"x")}, {"url": server.put("b", patterned(BIG))})
    items = sorted(items_of(source), key=lambda item: item.id)
    assert [item.size for item in items] == [None, None]
    assert [next(iter(source.relist(item))) for item in items] == items
    folder, status = collected(tmp_path, source)
    assert status is JobStatus.SUCCESSFULLY_COMPLETED
    assert len(held(folder)) == 2
    source_of(tmp_path, {"url": server.url_of("a")})
    assert [*source.relist(items[1])] == []
    assert failure(source, items[1]).code == "not_found"


def test_servers_that_are_down(tmp_path: Path) -> None:
    """Servers that do not answer are no reason to look at every URL before the list is read."""
    from tests.integration.servers import free_port

    port = free_port()
    lines = [{"url": f"http://127.0.0.1:{port}/{number}"} for number in range(200)]
    assert len([*items_of(source_of(tmp_path, *lines))]) == 200


def test_secrets_of_urls(server: HttpFiles, tmp_path: Path) -> None:
    """What a URL is opened by is sent, and neither in the item's id nor in a message or the job's files."""
    server.files["/a?sig=hush&v=1"] = server.files["/b?token=hush"] = File(b"x", '"1"', None)
    lines = [{"url": f"{server.url}/{rest}"} for rest in ("a?sig=hush&v=1", "b?token=hush", "d?api_key=hush")]
    source = source_of(tmp_path, *lines)
    folder, status = collected(tmp_path, source)
    assert status is JobStatus.PARTIALLY_COMPLETED
    assert len(held(folder)) == 2
    store = tmp_path / "store"
    assert not any(b"hush" in path.read_bytes() for path in store.rglob("*") if path.is_file())
    assert "hush" not in str([*unsuccessful(folder).values()])


def test_the_pace() -> None:
    """After "too many" half as many requests are under way as before, then one more after each round."""
    pace = Pace()
    for _ in range(8):
        assert pace.try_begin()
    assert pace.too_many(0.0)
    for _ in range(8):
        pace.end()
    begun = 0
    while pace.try_begin():
        begun += 1
    assert begun == 4
    for _ in range(4):
        pace.passed()
    assert pace.try_begin()
    assert not pace.try_begin()
    assert not pace.too_many(3_600.0)
