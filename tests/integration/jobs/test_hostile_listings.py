"""Listings of object stores that lie: no page is taken for what it is not."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from prefect_collect import collect
from prefect_collect.errors import StoreError
from prefect_collect.job_folder import store_keys
from prefect_collect.statuses import JobStatus
from tests.integration.hostile import HostileStore, Reply
from tests.integration.jobs.hostile_buckets import OBJECTS, collected, message, source_of, staging_store
from tests.support.run_attempts import attempt, check_account, job_rows

pytestmark = pytest.mark.integration
Wrong = Callable[[HostileStore], Reply]


def error_document(code: str) -> bytes:
    """Return S3's document of an error."""
    return f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>As a test wants.</Message></Error>".encode()


def last_page(bucket: HostileStore, **other: str | None) -> bytes:
    """Return a last page with one object."""
    return bucket.page_of(["k4"], **other)


WRONG: dict[str, Wrong] = {
    "a login page": lambda bucket: Reply(b"<html><body>Sign in</body></html>"),
    "HTML that is no XML": lambda bucket: Reply(b"<!doctype html><p>Sign in<br>"),
    "nothing": lambda bucket: Reply(b""),
    "another document": lambda bucket: Reply(last_page(bucket).replace(b"ListBucketResult", b"ListVersionsResult")),
    "cut off": lambda bucket: Reply(last_page(bucket)[:-25]),
    "cut off after what it announced": lambda bucket: Reply(last_page(bucket)[:200], length=len(last_page(bucket))),
    "whole, but announced to be longer": lambda bucket: Reply(last_page(bucket), length=len(last_page(bucket)) + 9),
    "without IsTruncated": lambda bucket: Reply(last_page(bucket, IsTruncated=None)),
    "another KeyCount": lambda bucket: Reply(last_page(bucket, KeyCount="2")),
    "of another bucket": lambda bucket: Reply(last_page(bucket, Name="another")),
    "of another prefix": lambda bucket: Reply(last_page(bucket, Prefix="q")),
    "continues, but not where": lambda bucket: Reply(last_page(bucket, IsTruncated="true")),
    "status 204": lambda bucket: Reply(status=204),
    "an error with status 200": lambda bucket: Reply(error_document("AccessDenied")),
    "an error that passes with status 200": lambda bucket: Reply(error_document("SlowDown")),
    "a control character": lambda bucket: Reply(bucket.page_of(["k\x01"], EncodingType=None)),
    "without end": lambda bucket: Reply(last_page(bucket)[:200], forever=b" " * (1 << 20)),
}
AT_ONCE = ["a login page", "nothing", "without IsTruncated", "an error that passes with status 200"]
"""Answers that are also tried as the first page."""


def test_an_honest_store(bucket: HostileStore) -> None:
    """Its listing is the proof of completeness, and the inventory keeps that proof."""
    folder, result = collected(bucket)
    assert (result.status, result.counts.succeeded) == (JobStatus.SUCCESSFULLY_COMPLETED, 5)
    end = json.loads(folder.store.read(store_keys.inventory_end_key(folder.job_id, 1)))
    assert end["proof"] == "page 3 says IsTruncated=false, and the KeyCount of every page agrees"
    assert end["stated_items"] == 5


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(("what", "number"), [(what, 2) for what in WRONG] + [(what, 1) for what in AT_ONCE])
def test_a_page_that_is_none(bucket: HostileStore, what: str, number: int) -> None:
    """After an answer that is no page, the job is Failed, or Partially completed with the pages before it."""
    bucket.listing = lambda asked, query: WRONG[what](bucket) if asked >= number else None
    folder, result = collected(bucket)
    if number == 1:
        assert (result.status, result.counts.found) == (JobStatus.FAILED, 0)
    else:
        assert (result.status, result.counts.succeeded) == (JobStatus.PARTIALLY_COMPLETED, 2)
        assert job_rows(folder) == ["enumeration_failed"]
    assert not re.search(r"\b500\b", message(result))
    assert result.listing_complete is False
    bucket.listing = lambda asked, query: None
    source = source_of(bucket)
    again = attempt(folder, source)
    check_account(folder, OBJECTS)
    assert (again.status, again.counts.succeeded) == (JobStatus.SUCCESSFULLY_COMPLETED, 5)


@pytest.mark.parametrize(
    "what", ["a login page", "cut off", "an error that passes with status 200", "without IsTruncated"]
)
def test_a_page_that_is_none_for_once(bucket: HostileStore, what: str) -> None:
    """An answer that is no page, followed by a good page when it is asked for again, costs nothing."""
    bucket.listing = lambda asked, query: WRONG[what](bucket) if asked == 2 else None
    _, result = collected(bucket)
    assert (result.status, result.counts.succeeded) == (JobStatus.SUCCESSFULLY_COMPLETED, 5)


@pytest.mark.usefixtures("impatient", "prefect")
def test_what_prefect_shows(bucket: HostileStore, tmp_path: Path) -> None:
    """The job's state in Prefect is Partially completed; without the first page it is as of any job that Failed."""
    bucket.listing = lambda asked, query: Reply(b"<html>Sign in</html>") if asked >= 2 else None
    source = source_of(bucket)
    state = collect(source=source, store=str(tmp_path / "store"), return_state=True)
    assert state.name == "Partially completed"


LIES: dict[str, Wrong] = {
    **{what: WRONG[what] for what in ("a login page", "nothing", "cut off", "without IsTruncated", "another KeyCount")},
    **{what: WRONG[what] for what in ("continues, but not where", "status 204", "cut off after what it announced")},
    "a KeyCount that is no number": lambda bucket: Reply(last_page(bucket, KeyCount="many")),
    "an object without a size": lambda bucket: Reply(re.sub(b"<Size>.*</Size>", b"", last_page(bucket))),
    "another folder's objects": lambda bucket: Reply(bucket.page_of(["other/k4"])),
}


@pytest.mark.parametrize("what", LIES)
def test_a_staging_store_that_lies(bucket: HostileStore, what: str) -> None:
    """An answer that is no page is not taken for an empty store, where files would be written again or lost."""
    bucket.objects = {f"jobs/{key}": data for key, data in OBJECTS.items()}
    staging = staging_store(bucket, "jobs")
    assert [blob.key for blob in staging.list()] == [*OBJECTS]
    for first in (1, 2):
        bucket.pages_asked = 0

        def listing(asked: int, query: dict[str, str], first: int = first) -> Reply | None:
            return LIES[what](bucket) if asked >= first else None

        bucket.listing = listing
        with pytest.raises(StoreError, match=r"no whole page|broke|busy or failing|cannot be used with"):
            list(staging.list())


@pytest.mark.usefixtures("impatient")
def test_a_control_character_is_named(bucket: HostileStore) -> None:
    """The message says that a key was not URL-encoded, quotes the text around it, and names no status."""
    bucket.listing = lambda asked, query: Reply(bucket.page_of(["mail/a\x01b"], EncodingType=None))
    _, result = collected(bucket)
    assert "control character" in message(result)
    assert r"mail/a\x01b" in message(result)
    assert "encoding-type=url" in message(result)


@pytest.mark.parametrize("number", [1, 3])
def test_what_only_looks_like_a_token(bucket: HostileStore, number: int) -> None:
    """A token in a comment, which the next page is asked for ahead with, leads nowhere: that answer is not used."""
    fake = b"<!-- <NextContinuationToken>0</NextContinuationToken> -->"

    def page(asked: int, query: dict[str, str]) -> Reply | None:
        start = query.get("continuation-token", "0")
        if start == "0" and asked > 1:
            return Reply(b"<html/>")
        if int(start) != 2 * (number - 1):
            return None
        keys = [*OBJECTS][int(start) :]
        return Reply(bucket.page_of(keys, token=None).replace(b"</ListBucketResult>", fake + b"</ListBucketResult>"))

    bucket.listing = page
    _, result = collected(bucket)
    assert (result.status, result.counts.succeeded) == (JobStatus.SUCCESSFULLY_COMPLETED, 5)


def test_the_next_page_is_asked_for_ahead(bucket: HostileStore) -> None:
    """While the objects of a page are used, the next page is on its way, and no other."""
    asked: dict[int, threading.Event] = {number: threading.Event() for number in (1, 2, 3, 4)}
    bucket.listing = lambda number, query: asked[number].set()
    items = source_of(bucket).items()
    next(items)
    assert asked[2].wait(60)
    assert not asked[3].is_set()
    assert len(list(items)) == 5


def test_odd_times_of_objects(bucket: HostileStore) -> None:
    """An impossible LastModified is left out; all objects are collected."""
    times = ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "10000-01-01T00:00:00Z", "", "9" * 100_000]
    pages = {
        key: bucket.page_of([key], token=None if key == "k4" else f"after {key}").replace(
            b"2023-11-14T22:13:20.000Z", time.encode()
        )
        for key, time in zip(OBJECTS, times, strict=True)
    }
    bucket.listing = lambda asked, query: Reply(pages[f"k{asked - 1}"])
    _, result = collected(bucket)
    assert (result.status, result.counts.succeeded) == (JobStatus.SUCCESSFULLY_COMPLETED, 5)


GOOGLE = {
    "a login page": b"<html><body>Sign in</body></html>",
    "another document": b"<Other/>",
    "nothing": b"",
    "cut off": b"<ListBucketResult><Contents><Key>k2</Key>",
}


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("what", GOOGLE)
def test_google_storage(bucket: HostileStore, what: str, number: int) -> None:
    """After an answer that is no page, the job is Failed, or Partially completed with the pages before it."""
    bucket.listing = lambda asked, query: Reply(GOOGLE[what]) if asked >= number else None
    _, result = collected(bucket, url="gs://bucket/")
    assert result.status is (JobStatus.FAILED if number == 1 else JobStatus.PARTIALLY_COMPLETED)
    assert result.counts.succeeded == 2 * (number - 1)
    assert result.listing_complete is False


def test_google_storage_asks_again(bucket: HostileStore) -> None:
    """A page that was another document once is asked for again; what comes last says that there is no more."""
    bucket.listing = lambda asked, query: Reply(b"<html/>") if asked == 2 else None
    folder, result = collected(bucket, url="gs://bucket/")
    assert (result.status, result.counts.succeeded) == (JobStatus.SUCCESSFULLY_COMPLETED, 5)
    end = json.loads(folder.store.read(store_keys.inventory_end_key(folder.job_id, 1)))
    assert end["proof"] == "page 3 names no next page, and the KeyCount of every page agrees"


def test_an_empty_bucket_of_google_storage(bucket: HostileStore) -> None:
    """It is Successfully completed: the page says that it has no object, and is the last one."""
    bucket.objects = {}
    _, result = collected(bucket, url="gs://bucket/")
    assert (result.status, result.counts.found) == (JobStatus.SUCCESSFULLY_COMPLETED, 0)
