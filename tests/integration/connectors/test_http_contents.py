"""Contents of URLs at servers that break off, limit, lie and change."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pycurl
import pytest

from prefect_collect.connectors.http.engine import Answer, Limits, Loop
from prefect_collect.connectors.http.fetcher import Fetcher
from prefect_collect.connectors.http.pace import Pace
from prefect_collect.errors import SourceError
from prefect_collect.sources import Content, Item
from prefect_collect.sources.listing import items_of
from prefect_collect.statuses import JobStatus
from prefect_collect.threads.pool import in_background
from tests.integration.connectors.url_lists import BIG, failure, only, source_of
from tests.integration.http_files import Fault, HttpFiles
from tests.integration.sources.places import collected, patterned, read
from tests.support.memory_store import MemoryStore
from tests.support.run_attempts import attempt, check_account, held, new_job, unsuccessful

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("weak", [False, True])
def test_a_content_that_breaks_off_is_resumed(web: HttpFiles, tmp_path: Path, weak: bool) -> None:
    """What broke off goes on by a range if the ETag is strong; without a mark it begins anew, as another try."""
    source = source_of(tmp_path, {"url": web.put("a", patterned(BIG), weak=weak)})
    web.faults += [Fault(keep=2_500_000), Fault(keep=1_100_000)]
    folder, status = collected(tmp_path, source)
    assert status is JobStatus.SUCCESSFULLY_COMPLETED
    check_account(folder, {web.url_of("a"): patterned(BIG)})
    ranges = [headers.get("range") for headers in web.asked("GET")]
    if weak:
        assert ranges == [None, None, None]
    else:
        assert ranges == [None, "bytes=2500000-", "bytes=3600000-"]
        assert all("if-range" in headers for headers in web.asked("GET")[1:])


def test_a_server_without_ranges(web: HttpFiles, tmp_path: Path) -> None:
    """A server that answers a range with the whole content is read again, without what had come."""
    web.has_ranges = False
    source = source_of(tmp_path, {"url": web.put("a", patterned(BIG))})
    item = only(source)
    web.faults.append(Fault(keep=3_000_000))
    assert read(source, item) == patterned(BIG)
    assert len(web.asked("GET")) == 2


@pytest.mark.parametrize("has_ranges", [True, False])
def test_a_content_that_is_another_when_it_is_resumed(web: HttpFiles, tmp_path: Path, has_ranges: bool) -> None:
    """No two versions are put together: a content that was replaced between two ranges fails."""
    web.has_ranges = has_ranges
    source = source_of(tmp_path, {"url": web.put("a", patterned(BIG))})
    item = only(source)
    web.faults.append(Fault(keep=3_000_000))
    web.faults.append(Fault(then=lambda: web.put("a", patterned(BIG)[::-1])))
    assert failure(source, item).code == "changed_during_read"


def test_a_content_that_is_changed_while_it_is_read(web: HttpFiles, tmp_path: Path) -> None:
    """A content over 1 MiB is looked at again after its last byte."""
    source = source_of(tmp_path, {"url": web.put("a", patterned(BIG))}, look_first=False)
    web.faults.append(Fault(method="HEAD", then=lambda: web.put("a", b"another")))
    error = failure(source, only(source))
    assert error.code == "changed_during_read"
    assert "etag" in str(error)


def test_what_the_list_states_is_compared(web: HttpFiles, tmp_path: Path) -> None:
    """A size or a SHA-256 of the list that the content has not fails that item alone."""
    import hashlib

    right = hashlib.sha256(b"right").hexdigest()
    source = source_of(
        tmp_path,
        {"url": web.put("right", b"right"), "sha256": right.upper(), "size": 5},
        {"url": web.put("hash", b"wrong"), "sha256": right},
        {"url": web.put("size", b"wrong"), "size": 6},
    )
    folder, status = collected(tmp_path, source)
    assert status is JobStatus.PARTIALLY_COMPLETED
    codes = {row["item_id"]: row["error_code"] for row in unsuccessful(folder).values()}
    assert codes == {web.url_of("hash"): "checksum_mismatch", web.url_of("size"): "list_mismatch"}
    assert [row["original_path"] for row in held(folder).values()] == ["127.0.0.1/right"]


@pytest.mark.parametrize("by", [10, -2])
def test_a_wrong_length(web: HttpFiles, tmp_path: Path, by: int) -> None:
    """A body that is shorter or longer than Content-Length is never taken for the content."""
    url = web.put("a", b"0123456789")
    web.files["/a"].length = 10 + by
    source = source_of(tmp_path, {"url": url, "size": 10})
    folder, status = collected(tmp_path, source)
    assert status is JobStatus.FAILED
    [row] = unsuccessful(folder).values()
    assert row["error_code"] in ("truncated", "list_mismatch", "connection_lost")


def test_a_pause_that_the_server_asks_for(web: HttpFiles, tmp_path: Path) -> None:
    """429 and Retry-After: no request begins before, fewer are sent at once, and no item loses a try by it."""
    lines = [{"url": web.put(f"{number}", b"x" * number)} for number in range(30)]
    source = source_of(tmp_path, *lines)
    items = [*items_of(source)]
    met: list[float] = []
    web.faults.append(
        Fault(left=3, status=429, headers={"Retry-After": "1"}, then=lambda: met.append(time.monotonic()))
    )
    begun = time.monotonic()
    assert all(isinstance(got, Content) for _, got in source.read_many(items, 16))
    assert time.monotonic() - begun > 1
    assert len(met) == 3
    assert len(web.asked("GET")) == 33


def test_a_pause_that_is_too_long(web: HttpFiles, tmp_path: Path) -> None:
    """An hour is not waited for: the item fails with what the server said."""
    source = source_of(tmp_path, {"url": web.put("a", b"x")}, look_first=False)
    item = only(source)
    web.faults.append(Fault(status=503, headers={"Retry-After": "3600"}, body=b"<h1>Back at&nbsp;noon</h1>"))
    web.faults.append(Fault(left=0))
    with pytest.raises(SourceError, match=r"3,600 seconds.*HTTP 503: Back at") as caught, source.open(item):
        pass
    assert caught.value.code == "throttled"


def test_few_requests_at_once(web: HttpFiles, tmp_path: Path) -> None:
    """Where a server allows two requests at once, two contents are read, and each is looked at after its last byte."""
    source = source_of(tmp_path, *({"url": web.put(name, patterned(BIG))} for name in "ab"), look_first=False)
    one, two = items_of(source)
    web.faults.append(Fault(status=429, headers={"Retry-After": "0"}))
    with source.open(one) as first, source.open(two) as second:
        for content in (first, second):
            assert b"".join(content.chunks) == patterned(BIG)
            assert content.finish is not None
            content.finish()
    assert len(web.asked("HEAD")) == 2


def test_a_cancel_during_a_pause(web: HttpFiles, tmp_path: Path) -> None:
    """A cancel does not wait for the end of the pause."""
    from prefect_collect.codes import CANCELED
    from prefect_collect.threads.stop import Stop

    source = source_of(tmp_path, {"url": web.put("a", b"x")}, look_first=False)
    web.faults.append(Fault(left=100, status=429, headers={"Retry-After": "300"}))
    stop = Stop()
    timer = threading.Timer(0.5, stop.set, [CANCELED])
    timer.start()
    begun = time.monotonic()
    folder = new_job(MemoryStore(), source)
    assert attempt(folder, source, stop=stop).status is JobStatus.CANCELED
    assert time.monotonic() - begun < 60
    check_account(folder)


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


def test_free_places_are_used_before_answers_are_waited_for(web: HttpFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whenever the network is waited for, as many requests are under way as may be, as long as there are more to send.

    A place that stayed free until the next answer would double the time of many small items of a server far away.
    """
    urls = [web.put(f"{number}", b"x") for number in range(100)]
    under_way, seen = set[object](), list[int]()
    add, remove, step = Loop.add, Loop.remove, Loop.step

    def added(self: Loop, handle: pycurl.Curl) -> None:
        under_way.add(handle)
        add(self, handle)

    def removed(self: Loop, handle: pycurl.Curl) -> None:
        under_way.discard(handle)
        remove(self, handle)

    def waited(self: Loop, seconds: float) -> Iterator[Any]:
        seen.append(len(under_way))
        yield from step(self, seconds)

    for name, watched in (("add", added), ("remove", removed), ("step", waited)):
        monkeypatch.setattr(Loop, name, watched)
    fetcher = Fetcher(Limits(5, 5, None))
    answers = fetcher.fetch(iter(urls), 8, prepare=lambda url: (url, []), size=lambda _: 1)
    for count, (_, answer) in enumerate(answers, 1):
        assert isinstance(answer, Answer)
        assert answer.body == [b"x"]
        if count == 80:
            assert {*seen} == {8}
    fetcher.close()
    assert count == len(urls)


def test_a_listing_that_waits_leaves_places_to_its_items(web: HttpFiles, tmp_path: Path) -> None:
    """Items are read after "too many requests", although a listing that waits for them has many requests under way."""
    urls = [web.put(f"{number}", b"x") for number in range(200)]
    source = source_of(tmp_path, *({"url": url} for url in urls))
    listing = source.items()
    items = [cast(Item, next(listing)) for _ in range(40)]
    web.faults.append(Fault(status=429, headers={"Retry-After": "0"}, left=20))
    reading = in_background(lambda: [*source.read_many(iter(items), 128)])
    got = reading.result(60)
    assert {item.id for item, content in got if isinstance(content, Content)} == {item.id for item in items}
    assert len([*listing]) == len(urls) - len(items) + 1
