"""Whole jobs over object stores whose listings are false, go in circles or have no end."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import boto3
import pytest

from prefect_collect import collect
from prefect_collect.blocks import ObjectStoreSource
from prefect_collect.codes import CANCELED
from prefect_collect.connectors.object_store import opening
from prefect_collect.connectors.s3 import _listing, progress
from prefect_collect.errors import StoreError
from prefect_collect.job_folder import store_keys
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.job_folder.result import TaskResult
from prefect_collect.statuses import JobStatus
from prefect_collect.stores import S3Store, _s3_pages
from prefect_collect.threads.retry_policy import RetryPolicy
from prefect_collect.threads.stop import Stop
from tests.integration.hostile import HostileStore, Reply
from tests.support.memory_store import MemoryStore
from tests.support.run_attempts import attempt, check_account, job_rows, new_job

pytestmark = pytest.mark.integration

OBJECTS = {f"k{n}": b"data %d" % n for n in range(5)}
Wrong = Callable[[HostileStore], Reply]


def error_document(code: str) -> bytes:
    """Return S3's document of an error."""
    return f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>As a test wants.</Message></Error>".encode()


def last_page(store: HostileStore, **other: str | None) -> bytes:
    """Return a last page with one object."""
    return store.page_of(["k4"], **other)


WRONG: dict[str, Wrong] = {
    "a login page": lambda store: Reply(b"<html><body>Sign in</body></html>"),
    "HTML that is no XML": lambda store: Reply(b"<!doctype html><p>Sign in<br>"),
    "nothing": lambda store: Reply(b""),
    "another document": lambda store: Reply(last_page(store).replace(b"ListBucketResult", b"ListVersionsResult")),
    "cut off": lambda store: Reply(last_page(store)[:-25]),
    "cut off after what it announced": lambda store: Reply(last_page(store)[:200], length=len(last_page(store))),
    "whole, but announced to be longer": lambda store: Reply(last_page(store), length=len(last_page(store)) + 9),
    "without IsTruncated": lambda store: Reply(last_page(store, IsTruncated=None)),
    "another KeyCount": lambda store: Reply(last_page(store, KeyCount="2")),
    "of another bucket": lambda store: Reply(last_page(store, Name="another")),
    "of another prefix": lambda store: Reply(last_page(store, Prefix="q")),
    "continues, but not where": lambda store: Reply(last_page(store, IsTruncated="true")),
    "status 204": lambda store: Reply(status=204),
    "an error with status 200": lambda store: Reply(error_document("AccessDenied")),
    "an error that passes with status 200": lambda store: Reply(error_document("SlowDown")),
    "a control character": lambda store: Reply(store.page_of(["k\x01"], EncodingType=None)),
    "without end": lambda store: Reply(last_page(store)[:200], forever=b" " * (1 << 20)),
}

AT_ONCE = ["a login page", "nothing", "without IsTruncated", "an error that passes with status 200"]
"""Answers that are also tried as the first page."""


@pytest.fixture(scope="module")
def one_store() -> Iterator[HostileStore]:
    """A store for all tests, as the clients of each store take 100 ms to make."""
    with HostileStore({}) as hostile:
        yield hostile


@pytest.fixture
def store(one_store: HostileStore) -> HostileStore:
    """A store of five objects, two on a page."""
    one_store.be_honest(dict(OBJECTS))
    return one_store


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask for a page twice at most, with almost no pause."""
    monkeypatch.setattr(_listing, "_RETRY", RetryPolicy(tries=2, wait_initial=0.001))


def collected(
    store: HostileStore, *, url: str = "s3://bucket/", stop: Stop | None = None
) -> tuple[JobFolder, TaskResult]:
    """Run one attempt of a collection of the bucket; return its result and its folder."""
    source = ObjectStoreSource(url=url, endpoint_url=store.url, anonymous=True)
    folder = new_job(MemoryStore(), source)
    result = attempt(folder, source, stop=stop)
    check_account(folder, OBJECTS)
    return folder, result


def message(result: TaskResult) -> str:
    """Return the message of the error report's row of the whole job."""
    (row,) = [row for row in result.unsuccessful.to_arrow().to_pylist() if row["item_id"] is None]
    text: str = row["message"]
    return text


def test_an_honest_store(store: HostileStore) -> None:
    """Its listing is the proof of completeness, and the inventory keeps that proof."""
    folder, result = collected(store)
    assert (result.status, result.counts.succeeded) == (JobStatus.SUCCESSFULLY_COMPLETED, 5)
    end = json.loads(folder.store.read(store_keys.inventory_end_key(folder.job_id, 1)))
    assert end["proof"] == "page 3 says IsTruncated=false, and the KeyCount of every page agrees"
    assert end["stated_items"] == 5


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(("what", "number"), [(what, 2) for what in WRONG] + [(what, 1) for what in AT_ONCE])
def test_a_page_that_is_none(store: HostileStore, what: str, number: int) -> None:
    """After an answer that is no page, the job is Failed, or Partially completed with the pages before it."""
    store.listing = lambda asked, query: WRONG[what](store) if asked >= number else None
    folder, result = collected(store)
    if number == 1:
        assert (result.status, result.counts.found) == (JobStatus.FAILED, 0)
    else:
        assert (result.status, result.counts.succeeded) == (JobStatus.PARTIALLY_COMPLETED, 2)
        assert job_rows(folder) == ["enumeration_failed"]
    assert "500" not in message(result)
    assert result.listing_complete is False
    store.listing = lambda asked, query: None
    source = ObjectStoreSource(url="s3://bucket/", endpoint_url=store.url, anonymous=True)
    again = attempt(folder, source)
    check_account(folder, OBJECTS)
    assert (again.status, again.counts.succeeded) == (JobStatus.SUCCESSFULLY_COMPLETED, 5)


@pytest.mark.parametrize(
    "what", ["a login page", "cut off", "an error that passes with status 200", "without IsTruncated"]
)
def test_a_page_that_is_none_for_once(store: HostileStore, what: str) -> None:
    """An answer that is no page, followed by a good page when it is asked for again, costs nothing."""
    store.listing = lambda asked, query: WRONG[what](store) if asked == 2 else None
    _, result = collected(store)
    assert (result.status, result.counts.succeeded) == (JobStatus.SUCCESSFULLY_COMPLETED, 5)


@pytest.mark.usefixtures("impatient", "prefect")
def test_what_prefect_shows(store: HostileStore, tmp_path: Path) -> None:
    """The job's state in Prefect is Partially completed; without the first page it is as of any job that Failed."""
    store.listing = lambda asked, query: Reply(b"<html>Sign in</html>") if asked >= 2 else None
    source = ObjectStoreSource(url="s3://bucket/", endpoint_url=store.url, anonymous=True)
    state = collect(source=source, store=str(tmp_path / "store"), return_state=True)
    assert state.name == "Partially completed"


LIES: dict[str, Wrong] = {
    **{what: WRONG[what] for what in ("a login page", "nothing", "cut off", "without IsTruncated", "another KeyCount")},
    **{what: WRONG[what] for what in ("continues, but not where", "status 204", "cut off after what it announced")},
    "a KeyCount that is no number": lambda store: Reply(last_page(store, KeyCount="many")),
    "an object without a size": lambda store: Reply(re.sub(b"<Size>.*</Size>", b"", last_page(store))),
    "another folder's objects": lambda store: Reply(store.page_of(["other/k4"])),
}


def staging_store(store: HostileStore, prefix: str = "") -> S3Store:
    """Return a staging store in the bucket."""
    keys = boto3.session.Session("key", "secret", region_name="us-east-1")
    return S3Store("bucket", prefix, endpoint_url=store.url, session=keys)


@pytest.mark.parametrize("what", LIES)
def test_a_staging_store_that_lies(store: HostileStore, what: str) -> None:
    """An answer that is no page is not taken for an empty store, where files would be written again or lost."""
    store.objects = {f"jobs/{key}": data for key, data in OBJECTS.items()}
    staging = staging_store(store, "jobs")
    assert [blob.key for blob in staging.list()] == [*OBJECTS]
    for first in (1, 2):
        store.pages_asked = 0

        def listing(asked: int, query: dict[str, str], first: int = first) -> Reply | None:
            return LIES[what](store) if asked >= first else None

        store.listing = listing
        with pytest.raises(StoreError, match=r"no whole page|broke|busy or failing|cannot be used with"):
            list(staging.list())


@pytest.mark.usefixtures("impatient")
def test_a_control_character_is_named(store: HostileStore) -> None:
    """The message says that a key was not URL-encoded, quotes the text around it, and names no status."""
    store.listing = lambda asked, query: Reply(store.page_of(["mail/a\x01b"], EncodingType=None))
    _, result = collected(store)
    assert "control character" in message(result)
    assert r"mail/a\x01b" in message(result)
    assert "encoding-type=url" in message(result)


@pytest.mark.parametrize("number", [1, 3])
def test_what_only_looks_like_a_token(store: HostileStore, number: int) -> None:
    """A token in a comment, which the next page is asked for ahead with, leads nowhere: that answer is not used."""
    fake = b"<!-- <NextContinuationToken>0</NextContinuationToken> -->"

    def page(asked: int, query: dict[str, str]) -> Reply | None:
        start = query.get("continuation-token", "0")
        if start == "0" and asked > 1:
            return Reply(b"<html/>")
        if int(start) != 2 * (number - 1):
            return None
        keys = [*OBJECTS][int(start) :]
        return Reply(store.page_of(keys, token=None).replace(b"</ListBucketResult>", fake + b"</ListBucketResult>"))

    store.listing = page
    _, result = collected(store)
    assert (result.status, result.counts.succeeded) == (JobStatus.SUCCESSFULLY_COMPLETED, 5)


def test_the_next_page_is_asked_for_ahead(store: HostileStore) -> None:
    """While the objects of a page are used, the next page is on its way, and no other."""
    asked: dict[int, threading.Event] = {number: threading.Event() for number in (1, 2, 3, 4)}
    store.listing = lambda number, query: asked[number].set()
    items = ObjectStoreSource(url="s3://bucket/", endpoint_url=store.url, anonymous=True).items()
    next(items)
    assert asked[2].wait(60)
    assert not asked[3].is_set()
    assert len(list(items)) == 5


def test_odd_times_of_objects(store: HostileStore) -> None:
    """An impossible LastModified is left out; all objects are collected."""
    times = ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "10000-01-01T00:00:00Z", "", "9" * 100_000]
    pages = {
        key: store.page_of([key], token=None if key == "k4" else f"after {key}").replace(
            b"2023-11-14T22:13:20.000Z", time.encode()
        )
        for key, time in zip(OBJECTS, times, strict=True)
    }
    store.listing = lambda asked, query: Reply(pages[f"k{asked - 1}"])
    _, result = collected(store)
    assert (result.status, result.counts.succeeded) == (JobStatus.SUCCESSFULLY_COMPLETED, 5)


LOOPS: dict[str, Callable[[HostileStore, int], Reply]] = {
    "the same token again": lambda store, asked: Reply(store.page_of([f"k{asked % 5}"], token="same")),
    "two tokens in turn": lambda store, asked: Reply(store.page_of([f"k{asked % 5}"], token=f"t{asked % 2}")),
    "the same page, new tokens": lambda store, asked: Reply(store.page_of(["k0", "k1"], token=f"t{asked}")),
    "pages in turn, new tokens": lambda store, asked: Reply(store.page_of([f"k{asked % 3}"], token=f"t{asked}")),
    "empty pages, new tokens": lambda store, asked: Reply(store.page_of([], token=f"t{asked}")),
}


@pytest.mark.parametrize("how", LOOPS)
def test_a_staging_store_that_turns_in_circles(store: HostileStore, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its listing is ended too: a job that lists its own files comes to an end."""
    monkeypatch.setattr(_s3_pages, "MOST_EMPTY_PAGES", 20)
    store.listing = lambda asked, query: LOOPS[how](store, asked)
    with pytest.raises(StoreError, match="no whole page"):
        list(staging_store(store).list())
    assert store.pages_asked < 40


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("how", LOOPS)
def test_a_listing_that_turns_in_circles(store: HostileStore, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is recognized and ended, whether tokens or pages repeat, or empty pages follow each other."""
    monkeypatch.setattr(progress, "MOST_EMPTY_PAGES", 20)
    store.listing = lambda asked, query: LOOPS[how](store, asked)
    source = ObjectStoreSource(url="s3://bucket/", endpoint_url=store.url, anonymous=True)
    folder = new_job(MemoryStore(), source)
    result = attempt(folder, source)
    assert result.status in (JobStatus.FAILED, JobStatus.PARTIALLY_COMPLETED)
    assert job_rows(folder) == ["enumeration_failed"]
    assert store.pages_asked < 40


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("status", [200, 503])
def test_a_page_that_drips_for_ever(store: HostileStore, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page, or an error in its place, that is never silent and never ends is given up without a cancel."""
    monkeypatch.setattr(_listing, "_MOST_SECONDS", 0.2)
    store.listing = lambda asked, query: Reply(b" ", status, forever=b" ", pause=0.01) if asked > 1 else None
    _, result = collected(store)
    assert (result.status, result.counts.succeeded) == (JobStatus.PARTIALLY_COMPLETED, 2)
    assert "not whole after 0.2 s" in message(result)


@pytest.mark.parametrize("where", ["listing", "item", "error of an item"])
def test_a_cancel_while_a_body_without_end_drips(store: HostileStore, where: str) -> None:
    """A job whose server sends a body byte by byte without end still ends when it is canceled."""
    dripping = threading.Event()

    def drip(status: int) -> Reply:
        dripping.set()
        return Reply(b" ", status, forever=b" ", pause=0.05)

    if where == "listing":
        store.listing = lambda asked, query: drip(200)
    else:
        store.objects["k2"] = b"x" * (2 << 20)
        store.getting = lambda key, honest: drip(500 if "error" in where else 200) if key == "k2" else honest
    stop = Stop()
    results: list[TaskResult] = []
    source = ObjectStoreSource(url="s3://bucket/", endpoint_url=store.url, anonymous=True)
    folder = new_job(MemoryStore(), source)
    job = threading.Thread(target=lambda: results.append(attempt(folder, source, stop=stop)), daemon=True)
    job.start()
    assert dripping.wait(60)
    stop.set(CANCELED)
    job.join(10)
    assert [result.status for result in results] == [JobStatus.CANCELED]


@pytest.mark.parametrize("size", [100, 2 << 20])
@pytest.mark.parametrize("status", [200, 500])
def test_an_item_without_end(store: HostileStore, size: int, status: int) -> None:
    """An item's body is cut at its announced size, an error's body after a while; the other items are collected."""
    store.objects = {"k0": b"good", "k1": b"x" * size, "k2": b"good"}
    store.getting = lambda key, honest: Reply(honest.body, status, forever=b"x" * 65536) if key == "k1" else honest
    source = ObjectStoreSource(url="s3://bucket/", endpoint_url=store.url, anonymous=True)
    folder = new_job(MemoryStore(), source)
    result = attempt(folder, source)
    check_account(folder)
    assert (result.status, result.counts.succeeded) == (JobStatus.PARTIALLY_COMPLETED, 2)
    (row,) = result.unsuccessful.to_arrow().to_pylist()
    assert row["item_id"] == "k1"
    assert row["error_code"] in ({"truncated", "changed_during_read"} if status == 200 else {"source_error"})
    assert row["http_status"] in ((None, 200) if status == 200 else (500,))


GOOGLE = {
    "a login page": b"<html><body>Sign in</body></html>",
    "another document": b"<Other/>",
    "nothing": b"",
    "cut off": b"<ListBucketResult><Contents><Key>k2</Key>",
}


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("what", GOOGLE)
def test_google_storage(store: HostileStore, what: str, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """After an answer that is no page, the job is Failed, or Partially completed with the pages before it."""
    monkeypatch.setattr(opening, "_RETRY", {"max_retries": 1, "retry_timeout": timedelta(seconds=30)})
    store.listing = lambda asked, query: Reply(GOOGLE[what]) if asked >= number else None
    _, result = collected(store, url="gs://bucket/")
    assert result.status is (JobStatus.FAILED if number == 1 else JobStatus.PARTIALLY_COMPLETED)
    assert result.counts.succeeded == 2 * (number - 1)
    assert result.listing_complete is False


def test_google_storage_asks_again(store: HostileStore) -> None:
    """A page that was another document once is asked for again; what comes last says that there is no more."""
    store.listing = lambda asked, query: Reply(b"<html/>") if asked == 2 else None
    folder, result = collected(store, url="gs://bucket/")
    assert (result.status, result.counts.succeeded) == (JobStatus.SUCCESSFULLY_COMPLETED, 5)
    end = json.loads(folder.store.read(store_keys.inventory_end_key(folder.job_id, 1)))
    assert end["proof"] == "page 3 names no next page, and the KeyCount of every page agrees"


def test_an_empty_bucket_of_google_storage(store: HostileStore) -> None:
    """It is Successfully completed: the page says that it has no object, and is the last one."""
    store.objects = {}
    _, result = collected(store, url="gs://bucket/")
    assert (result.status, result.counts.found) == (JobStatus.SUCCESSFULLY_COMPLETED, 0)
