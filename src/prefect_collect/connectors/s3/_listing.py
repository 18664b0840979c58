"""Listing a bucket with boto3, five times as fast as boto3, and with proof.

botocore's XML parser is most of the cost of a listing, and takes any document for an empty page. Here its
``before-send`` event receives the page up to a bound and hands it to a reader of our own (`_s3_page`); botocore is
left with an empty one. Signing, endpoints and the retries of answers that say they are errors remain boto3's.
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
from prefect_collect.connectors.s3._page import MOST_BYTES, Entry, Page, read_page, wrong_page
from prefect_collect.errors import SourceError
from prefect_collect.sources import Item, Listed, ListingEnd
from prefect_collect.threads.pool import Pool
from prefect_collect.threads.retry_policy import RetryPolicy
from prefect_collect.threads.stop import current_stop

_EVENT: Final = "before-send.s3.ListObjectsV2"
_RETRY: Final = RetryPolicy()
_NOTHING: Final = b"<ListBucketResult/>"
_TRIED_AGAIN: Final = {"enumeration_failed"} | {code.name for code in CODES.values() if code.tried_again}
_MOST_OF_AN_ERROR: Final = 1 << 20
_STEP: Final = 64 << 10
_MOST_SECONDS: Final = 600.0
"""Seconds within which a page has to arrive: one that comes drop by drop would never be silent for long enough."""

MOST_EMPTY_PAGES: Final = 10_000
"""Empty pages in a row, each with a new token, after which a listing is taken to make no progress.

S3 itself gives some where it passes over objects that were deleted.
"""


@dataclass
class _Question:
    """One page that is asked for; `page` is what came, or `wrong` what was wrong with it."""

    client: Any
    bucket: str
    prefix: str
    place: str
    page: Page | None = None
    wrong: SourceError | None = None


_asked: ContextVar[_Question | None] = ContextVar("prefect_collect_s3_page", default=None)


def list_items(client: Any, bucket: str, prefix: str) -> Iterator[Listed]:
    """The objects whose keys begin with `prefix`, a page ahead of the reader, and the listing's end.

    Every page must be proven to be one (see `read_page`); what is not is asked for again a few times, as something on
    the way may have answered instead of the server. Raises SourceError.
    """
    client.meta.events.register(_EVENT, _receive, unique_id="prefect-collect")
    folder = len(prefix[: prefix.rfind("/") + 1].encode())
    place = f"s3://{bucket}/{prefix}"
    way = _Way(place)
    fetch = Pool(1, "list")
    try:
        coming: Future[Page] | None = fetch.submit(_page, _Question(client, bucket, prefix, place), None)
        while coming is not None:
            page = coming.result()
            way.take(page)
            coming = None
            if page.token is not None:
                coming = fetch.submit(_page, _Question(client, bucket, prefix, place), page.token)
            for entry in page.entries:
                yield _item(entry, folder, bucket)
        yield way.end()
    finally:
        fetch.close(wait=False)


@dataclass
class _Way:
    """How far a listing has come; notices if it goes round in circles, or nowhere."""

    place: str
    pages: int = 0
    empty: int = 0
    stated: int | None = 0
    tokens: set[bytes] = field(default_factory=set)
    seen: set[bytes] = field(default_factory=set)

    def take(self, page: Page) -> None:
        """Count a page. Raises SourceError if its token, or all of its keys, have been there before."""
        self.pages += 1
        self.stated = None if page.stated is None or self.stated is None else self.stated + page.stated
        if page.entries:
            self.empty = 0
            keys = blake2b(b"\0".join(entry.key for entry in page.entries), digest_size=12).digest()
            if keys in self.seen:
                raise wrong_page(f"page {self.pages} has the same keys as an earlier one", self.place)
            self.seen.add(keys)
        else:
            self.empty += 1
        if page.token is None:
            return
        token = blake2b(page.token.encode(), digest_size=12).digest()
        if token in self.tokens:
            raise wrong_page(f"page {self.pages} leads back to an earlier one (NextContinuationToken)", self.place)
        self.tokens.add(token)
        if self.empty > MOST_EMPTY_PAGES:
            raise wrong_page(f"{self.empty:,} pages in a row are empty and say that there is more", self.place)

    def end(self) -> ListingEnd:
        """The proof that the listing came to its end."""
        counts = "" if self.stated is None else ", and the KeyCount of every page agrees"
        return ListingEnd(f"page {self.pages} says IsTruncated=false{counts}", self.stated)


def _page(question: _Question, token: str | None) -> Page:
    """Ask for a page, again if what came is none, or an error document that says that it passes.

    The pauses are not stamina's, as `Stop` must end them.
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


def _ask(question: _Question, token: str | None) -> None:
    more = {} if token is None else {"ContinuationToken": token}
    reset = _asked.set(question)
    try:
        question.client.list_objects_v2(Bucket=question.bucket, Prefix=question.prefix, EncodingType="url", **more)
    finally:
        _asked.reset(reset)


def _receive(request: Any, **_: Any) -> AWSResponse | None:
    """Send botocore's request, and read the answer in its place. Raises SourceError if it is no page."""
    question = _asked.get()
    if question is None:
        return None
    request.stream_output = True  # so that nothing is read yet
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
        question.page = read_page(body, question.bucket, question.prefix, question.place)
    except SourceError as error:
        question.wrong = error
        raise
    return _answer(answer, _NOTHING)


def _body(answer: AWSResponse, url: str, most: int, place: str) -> bytes | None:
    """The body of an answer; None if it has more than `most` bytes. Its connection is then not used again.

    Raises SourceError (`enumeration_failed`) if it takes longer than `_MOST_SECONDS`.
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
    """The answer, with this body that was received already."""
    return AWSResponse(answer.url, answer.status_code, answer.headers, _Received(body))


class _Received:
    """A body that was received, as botocore reads one."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self) -> Iterator[bytes]:
        """All of it."""
        yield self._body


def _item(listed: Entry, folder: int, bucket: str) -> Item:
    key, size, etag, modified = listed
    item_id = encode_id(key)
    path = shown(key[folder:]) or item_id
    skipped = None
    if size == 0 and key.endswith(b"/"):
        # Consoles and sync tools make these to show a folder; there is nothing in them to collect.
        skipped = Failure("empty_folder", f"A folder marker of 0 bytes. [s3://{bucket}/{shown(key)}]")
    return Item(item_id, path, size, _time(modified), etag, skipped=skipped)


def _time(text: str | None) -> datetime | None:
    if not text:
        return None
    try:
        time = datetime.fromisoformat(text)
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
