"""Listing a bucket with libcurl, and with proof that the listing is complete.

botocore's listing takes twice the CPU even if its XML parser, which is most of its cost, is left out, and that parser
accepts any document as an empty page. Here the next page is asked for as soon as a page has arrived: while it travels,
the page is read (`page`) and its objects are used.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from html import unescape
from typing import Final
from urllib.parse import quote

import pycurl

from prefect_collect.codes import CODES, Failure
from prefect_collect.connectors.errors import body_error
from prefect_collect.connectors.files.tree import encode_id, shown
from prefect_collect.connectors.http.documents import Documents
from prefect_collect.connectors.http.engine import Answer, Limits, curl_error
from prefect_collect.connectors.http.pace import RETRY_AFTER, Pace
from prefect_collect.connectors.s3._versions import version_id
from prefect_collect.connectors.s3.page import MOST_BYTES, Entry, Page, Token, read_page, time_of, wrong_page
from prefect_collect.connectors.s3.progress import Progress
from prefect_collect.errors import SourceError
from prefect_collect.sources import Item, Listed
from prefect_collect.threads.pool import Pool
from prefect_collect.threads.retry_policy import RetryPolicy
from prefect_collect.threads.stop import current_stop

_RETRY: Final = RetryPolicy()
_TRIED_AGAIN: Final = {"enumeration_failed"} | {code.name for code in CODES.values() if code.tried_again}
_MOST_SECONDS: Final = 600.0
"""Seconds within which a page must arrive."""

_LOOK: Final = 0.2
_PAUSE: Final = frozenset({RETRY_AFTER})
_LENGTH: Final = frozenset({b"content-length"})
_TOKEN: Final = re.compile(rb"<NextContinuationToken>([^<]{1,4096})</NextContinuationToken>")


@dataclass(frozen=True)
class Listing:
    """What is listed, and how it is asked for.

    Attributes:
        bucket: The bucket.
        prefix: The start of the keys.
        versions: Every version of each object is an item, and so is every delete marker, which is skipped.
        prepare: Returns URL and header lines of a request to the bucket with this query.
        limits: The limits of each request, but for its whole time.
        pace: The pace of the server.
        hint: Returns, for an error's code and its status, what the user may have to set.
    """

    bucket: str
    prefix: str
    versions: bool
    prepare: Callable[[str], tuple[str, list[str]]]
    limits: Limits
    pace: Pace
    hint: Callable[[str, int], str]

    @property
    def place(self) -> str:
        """The location, in which messages end."""
        return f"s3://{self.bucket}/{self.prefix}"


def list_items(listing: Listing) -> Iterator[Listed]:
    """Yield the objects whose keys begin with the prefix, and the listing's end.

    Every answer must be proven to be a page (see `read_page`); if not, or if it has a temporary error, it is requested
    again a few times: a proxy may have answered instead of the server. Raise SourceError.
    """
    folder = len(listing.prefix[: listing.prefix.rfind("/") + 1].encode())
    progress = Progress(listing.place)
    asking = _Asking(listing)
    try:
        token: Token | None = None
        while True:
            page = asking.page(token)
            progress.take(page)
            for entry in page.entries:
                yield _item(entry, folder, listing.bucket)
            if page.token is None:
                break
            token = page.token
        yield progress.end()
    finally:
        asking.close()


class _Asking:
    """The requests of a listing, by a thread of their own: at most one is under way while a page is used."""

    def __init__(self, listing: Listing) -> None:
        self._listing, self._stop = listing, current_stop()
        self._thread = Pool(1, "list")
        self._documents = Documents(listing.limits, MOST_BYTES, _MOST_SECONDS)
        self._ahead: _Request | None = None

    def page(self, token: Token | None) -> Page:
        """Return a page, and ask for the next one.

        The pauses before a page is requested again are not stamina's, because `Stop` must be able to end them.
        """
        tried = 0
        while True:
            tried += 1
            try:
                return self._page(token)
            except SourceError as error:
                if error.code not in _TRIED_AGAIN or tried >= _RETRY.tries or self._stop.wait(_RETRY.pause(tried)):
                    raise

    def _page(self, token: Token | None) -> Page:
        request, self._ahead = self._ahead, None
        if request is None or request.token != token:
            self._give_up(request)
            request = self._ask(token)
        body = request.body.result()
        listing = self._listing
        if not listing.versions and (following := _token_in(body)) is not None:
            self._ahead = self._ask(following)
        try:
            page = read_page(body, listing.bucket, listing.prefix, listing.place, versions=listing.versions)
        except SourceError:
            request, self._ahead = self._ahead, None
            self._give_up(request)
            raise
        if page.token is not None and (self._ahead is None or self._ahead.token != page.token):
            self._give_up(self._ahead)
            self._ahead = self._ask(page.token)
        return page

    def _ask(self, token: Token | None) -> _Request:
        unwanted = threading.Event()
        return _Request(token, self._thread.submit(self._body, token, unwanted), unwanted)

    def _body(self, token: Token | None, unwanted: threading.Event) -> bytes:
        """Return a page as it was received; it is asked for again after each pause that the server states."""
        listing = self._listing
        while True:
            self._begin(unwanted)
            try:
                url, lines = listing.prepare(_query(listing, token))
                answer = self._documents.get(url, lines, unwanted)
            finally:
                listing.pace.end()
            if not listing.pace.answered(*answer.head(_PAUSE)):
                return _received(answer, listing)

    def _begin(self, unwanted: threading.Event) -> None:
        """Wait until a request may begin. Raise SourceError if the page is not wanted any more, or after a cancel."""
        while not self._listing.pace.try_begin():
            if unwanted.wait(_LOOK) or self._stop.canceled:
                raise curl_error(*Documents.ABANDONED, self._listing.place)

    def _give_up(self, request: _Request | None) -> None:
        if request is not None:
            request.unwanted.set()
            request.body.cancel()

    def close(self) -> None:
        """End what is under way; do not wait for it."""
        self._give_up(self._ahead)
        self._thread.submit(self._documents.close)
        self._thread.close(wait=False)


@dataclass(frozen=True)
class _Request:
    """A request that is under way: the token of its page, and the body that it will have."""

    token: Token | None
    body: Future[bytes]
    unwanted: threading.Event


def _query(listing: Listing, token: Token | None) -> str:
    """Return the query of a page's request: its parameters in the order of their names, as they are signed."""
    prefix = f"prefix={_quoted(listing.prefix)}"
    if not listing.versions:
        start = "" if token is None else f"continuation-token={_quoted(str(token))}&"
        return f"{start}encoding-type=url&list-type=2&{prefix}"
    key, version = token if isinstance(token, tuple) else ("", "")
    after = f"key-marker={_quoted(key)}&" if key else ""
    last = f"version-id-marker={_quoted(version)}&" if version else ""
    return f"encoding-type=url&{after}{prefix}&{last}versions="


def _quoted(text: str) -> str:
    return quote(text.encode("utf-8", "surrogateescape"), safe="~")


def _token_in(body: bytes) -> str | None:
    """Return the token that a page seems to have, before the page is read and proven."""
    found = _TOKEN.findall(body)
    return unescape(found[0].decode(errors="replace")) if len(found) == 1 else None


def _received(answer: Answer, listing: Listing) -> bytes:
    """Return the body of an answer. Raise SourceError if it is an error, or cannot be a page."""
    status, headers = answer.head(_LENGTH)
    body = b"".join(answer.body)
    if answer.error is not None:
        number, text = answer.error
        if number == Documents.LATE:
            raise wrong_page(text, listing.place)
        if status == 200 and number == pycurl.E_FILESIZE_EXCEEDED:
            raise wrong_page(f"it has more than {MOST_BYTES:,} bytes", listing.place)
        if status == 200 and number == pycurl.E_PARTIAL_FILE:
            stated = headers.get(b"content-length", "?")
            raise wrong_page(f"{len(body):,} of {stated} bytes arrived", listing.place)
        if status in (0, 200):
            hint = listing.hint("", 0)
            raise curl_error(number, f"{text}; {hint}" if hint else text, listing.place)
    if status >= 300:  # The status is enough, even if the error's document broke off or has no end.
        raise body_error(status, body, listing.place, listing.hint)
    if status != 200:
        raise wrong_page(f"its status is {status}", listing.place)
    return body


def _item(listed: Entry, folder: int, bucket: str) -> Item:
    item_id = encode_id(listed.key)
    path = shown(listed.key[folder:]) or item_id
    modified = time_of(listed.modified)
    skipped = None
    if listed.is_deleted:
        place = f"[s3://{bucket}/{shown(listed.key)}]"
        skipped = Failure("delete_marker", f"A delete marker, version {listed.version}. {place}")
    elif listed.size == 0 and listed.key.endswith(b"/"):
        # Consoles and sync tools create these to show a folder; they contain nothing to collect.
        skipped = Failure("empty_folder", f"A folder marker of 0 bytes. [s3://{bucket}/{shown(listed.key)}]")
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
