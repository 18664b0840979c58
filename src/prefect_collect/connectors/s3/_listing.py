"""Listing a bucket through boto3, but five times as fast as boto3 alone, and with proof that the listing is complete.

botocore's XML parser is most of the cost of a listing, and accepts any document as an empty page. Here a handler of its
``before-send`` event receives the page, up to a bound, and passes it to our own reader (`_page`); botocore gets an
empty page. Signing, endpoints and retries of error answers remain boto3's.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import blake2b
from time import monotonic
from typing import Any, Final

from botocore.awsrequest import AWSResponse
from botocore.exceptions import ConnectionClosedError
from botocore.exceptions import ReadTimeoutError as NoAnswer
from urllib3.exceptions import HTTPError, ReadTimeoutError

from prefect_collect.codes import CODES, Failure
from prefect_collect.connectors.files.tree import encode_id, shown
from prefect_collect.connectors.s3._boto import boto_error
from prefect_collect.connectors.s3._page import MOST_BYTES, Entry, Page, Token, read_page, wrong_page
from prefect_collect.connectors.s3._versions import version_id
from prefect_collect.errors import SourceError
from prefect_collect.sources import Item, Listed, ListingEnd
from prefect_collect.threads.pool import Pool
from prefect_collect.threads.retry_policy import RetryPolicy
from prefect_collect.threads.stop import current_stop

_EVENTS: Final = ("before-send.s3.ListObjectsV2", "before-send.s3.ListObjectVersions")
_RETRY: Final = RetryPolicy()
_NOTHING: Final = (b"<ListBucketResult/>", b"<ListVersionsResult/>")
_TRIED_AGAIN: Final = {"enumeration_failed"} | {code.name for code in CODES.values() if code.tried_again}
_MOST_OF_AN_ERROR: Final = 1 << 20
_STEP: Final = 64 << 10
_MOST_SECONDS: Final = 600.0
"""Seconds within which a page must arrive: one that arrives byte by byte never reaches the limit for silence."""

MOST_EMPTY_PAGES: Final = 10_000
"""Consecutive empty pages, each with a new token, after which a listing counts as making no progress.

S3 itself sends some where it skips deleted objects.
"""


@dataclass
class _Question:
    """The request of one page; `page` is the answer, or `wrong` the error of an answer that is no page."""

    client: Any
    bucket: str
    prefix: str
    place: str
    versions: bool
    page: Page | None = None
    wrong: SourceError | None = None


_asked: ContextVar[_Question | None] = ContextVar("prefect_collect_s3_page", default=None)


def list_items(client: Any, bucket: str, prefix: str, *, versions: bool = False) -> Iterator[Listed]:
    """Yield the objects whose keys begin with `prefix`, and the listing's end; the next page is fetched ahead.

    With `versions`, every version of each object is an item, and so is every delete marker, which is skipped.

    Every answer must be proven to be a page (see `read_page`); if not, it is requested again a few times, as a proxy
    may have answered instead of the server. Raise SourceError.
    """
    for event in _EVENTS:
        client.meta.events.register(event, _receive, unique_id=f"prefect-collect {event}")
    folder = len(prefix[: prefix.rfind("/") + 1].encode())
    place = f"s3://{bucket}/{prefix}"
    progress = _Progress(place)
    fetch = Pool(1, "list")
    try:
        coming: Future[Page] | None = fetch.submit(_page, _Question(client, bucket, prefix, place, versions), None)
        while coming is not None:
            page = coming.result()
            progress.take(page)
            coming = None
            if page.token is not None:
                coming = fetch.submit(_page, _Question(client, bucket, prefix, place, versions), page.token)
            for entry in page.entries:
                yield _item(entry, folder, bucket)
        yield progress.end()
    finally:
        fetch.close(wait=False)


@dataclass
class _Progress:
    """The progress of a listing, to find one that repeats itself or never ends."""

    place: str
    pages: int = 0
    empty: int = 0
    stated: int | None = 0
    tokens: set[bytes] = field(default_factory=set)
    seen: set[bytes] = field(default_factory=set)

    def take(self, page: Page) -> None:
        """Count a page. Raise SourceError if its token, or its keys, were already on an earlier page."""
        self.pages += 1
        self.stated = None if page.stated is None or self.stated is None else self.stated + page.stated
        if page.entries:
            self.empty = 0
            named = (entry.key + b"\0" + entry.version.encode() for entry in page.entries)
            keys = blake2b(b"\0".join(named), digest_size=12).digest()
            if keys in self.seen:
                raise wrong_page(f"page {self.pages} has the same keys as an earlier one", self.place)
            self.seen.add(keys)
        else:
            self.empty += 1
        if page.token is None:
            return
        token = blake2b(ascii(page.token).encode(), digest_size=12).digest()
        if token in self.tokens:
            raise wrong_page(f"page {self.pages} leads back to an earlier one", self.place)
        self.tokens.add(token)
        if self.empty > MOST_EMPTY_PAGES:
            raise wrong_page(f"{self.empty:,} pages in a row are empty and say that there is more", self.place)

    def end(self) -> ListingEnd:
        """Return the proof that the listing is complete."""
        counts = "" if self.stated is None else ", and the KeyCount of every page agrees"
        return ListingEnd(f"page {self.pages} says IsTruncated=false{counts}", self.stated)


def _page(question: _Question, token: Token | None) -> Page:
    """Request a page; request it again if the answer is no page, or an error document with a temporary error.

    The pauses are not stamina's, because `Stop` must be able to end them.
    """
    tried = 0
    stop = current_stop()
    while True:
        tried += 1
        question.page = question.wrong = None
        try:
            _ask(question, token)
        except Exception as error:
            again = question.wrong is not None and question.wrong.code in _TRIED_AGAIN
            if not again or tried >= _RETRY.tries or stop.wait(_RETRY.pause(tried)):
                raise boto_error(error, question.place) from error
        else:
            if question.page is None:
                raise wrong_page("botocore did not hand it over", question.place)
            return question.page


def _ask(question: _Question, token: Token | None) -> None:
    asked = {"Bucket": question.bucket, "Prefix": question.prefix, "EncodingType": "url"}
    if isinstance(token, tuple):
        asked |= {"KeyMarker": token[0], **({"VersionIdMarker": token[1]} if token[1] else {})}
    elif token is not None:
        asked["ContinuationToken"] = token
    client = question.client
    reset = _asked.set(question)
    try:
        (client.list_object_versions if question.versions else client.list_objects_v2)(**asked)
    finally:
        _asked.reset(reset)


def _receive(request: Any, **_: Any) -> AWSResponse | None:
    """Send botocore's request and read the answer in its place. Raise SourceError if it is no page."""
    question = _asked.get()
    if question is None:
        return None
    request.stream_output = True  # botocore then leaves the body unread
    answer = question.client._endpoint.http_session.send(request)
    is_good = answer.status_code < 300
    try:
        body = _body(answer, request.url, MOST_BYTES if is_good else _MOST_OF_AN_ERROR, question.place)
        if not is_good:
            return _answer(answer, body or b"")
        if answer.status_code != 200:
            raise wrong_page(f"its status is {answer.status_code}", question.place)
        if body is None:
            raise wrong_page(f"it has more than {MOST_BYTES:,} bytes", question.place)
        announced = answer.headers.get("Content-Length", "")
        if announced.isdigit() and int(announced) != len(body):
            raise wrong_page(f"{len(body):,} of {int(announced):,} bytes arrived", question.place)
        question.page = read_page(body, question.bucket, question.prefix, question.place, versions=question.versions)
    except SourceError as error:
        question.wrong = error
        raise
    return _answer(answer, _NOTHING[question.versions])


def _body(answer: AWSResponse, url: str, most: int, place: str) -> bytes | None:
    """Return the body of an answer; None if it has more than `most` bytes (its connection is then closed).

    Raise SourceError (`enumeration_failed`) if it takes longer than `_MOST_SECONDS`.
    """
    parts: list[bytes] = []
    size = 0
    until = monotonic() + _MOST_SECONDS
    stop = current_stop()
    try:
        for part in answer.raw.stream(_STEP):
            parts.append(part)
            size += len(part)
            if size > most or stop.canceled:
                answer.raw.close()
                return None
            if monotonic() > until:
                answer.raw.close()
                raise wrong_page(f"it was not whole after {_MOST_SECONDS:g} s", place)
    except ReadTimeoutError as error:
        raise NoAnswer(endpoint_url=url, error=error) from error
    except HTTPError as error:
        raise ConnectionClosedError(endpoint_url=url, error=error) from error
    return b"".join(parts)


def _answer(answer: Any, body: bytes) -> AWSResponse:
    """Return the answer with another body, which was already received."""
    return AWSResponse(answer.url, answer.status_code, answer.headers, _Received(body))


class _Received:
    """A body that was already received, in the form in which botocore reads one."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self) -> Iterator[bytes]:
        """Yield the whole body."""
        yield self._body


def _item(listed: Entry, folder: int, bucket: str) -> Item:
    item_id = encode_id(listed.key)
    path = shown(listed.key[folder:]) or item_id
    modified = _time(listed.modified)
    skipped = None
    place = f"[s3://{bucket}/{shown(listed.key)}]"
    if listed.is_deleted:
        skipped = Failure("delete_marker", f"A delete marker, version {listed.version}. {place}")
    elif listed.size == 0 and listed.key.endswith(b"/"):
        # Consoles and sync tools create these to show a folder; they contain nothing to collect.
        skipped = Failure("empty_folder", f"A folder marker of 0 bytes. {place}")
    if not listed.version:
        return Item(item_id, path, listed.size, modified, listed.etag, skipped=skipped)
    return Item(
        version_id(item_id, listed.version), path if listed.is_latest else _of_version(path, listed.version, modified),
        listed.size, modified, listed.etag, listed.version, skipped=skipped,
    )  # fmt: skip


def _of_version(path: str, version: str, modified: datetime | None) -> str:
    """Return the path of an earlier version: its time and the end of its id stand before the suffix."""
    folder, slash, name = path.rpartition("/")
    stem, dot, suffix = name.rpartition(".")
    if not stem:
        stem, dot, suffix = name, "", ""
    at = "" if modified is None else f"{modified:%Y-%m-%d %H%M%S} "
    return f"{folder}{slash}{stem} ({at}{version[-8:]}){dot}{suffix}"


def _time(text: str | None) -> datetime | None:
    if not text:
        return None
    try:
        time = datetime.fromisoformat(text)
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
