"""The pages of a bucket's listing, by libcurl: the next one is asked for as soon as a page has arrived.

While it travels, the page is read and its objects are used.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

import pycurl

from prefect_collect.codes import CODES
from prefect_collect.connectors.buckets.page import MOST_BYTES, Page, Token, wrong_page
from prefect_collect.connectors.http.documents import Documents
from prefect_collect.connectors.http.engine import Answer, Limits, curl_error
from prefect_collect.connectors.http.pace import RETRY_AFTER, Pace
from prefect_collect.errors import SourceError
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


@dataclass(frozen=True)
class Pages:
    """How the pages of a listing are asked for, and read.

    Attributes:
        place: The location, in which messages end.
        prepare: Returns URL and header lines of a request for the page with a token; None for the first one.
        read: Returns the page of a body; raises SourceError.
        following: Returns the token that a body seems to have, before it is read; None if it seems to have none.
        refused: Returns the error of a status and a body.
        limits: The limits of each request, except for its whole time.
        pace: The pace of the server.
        hint: What the user may have to set, if the server cannot be reached; "" for nothing.
    """

    place: str
    prepare: Callable[[Token | None], tuple[str, list[str]]]
    read: Callable[[bytes], Page]
    following: Callable[[bytes], Token | None]
    refused: Callable[[int, bytes], SourceError]
    limits: Limits
    pace: Pace
    hint: str = ""


def pages_of(pages: Pages) -> Generator[Page, None, None]:
    """Yield the pages of a listing. Raise SourceError.

    Every answer must be proven to be a page; if not, or if it has a temporary error, it is requested again a few times:
    a proxy may have answered instead of the server.
    """
    asking = _Asking(pages)
    try:
        token: Token | None = None
        while True:
            page = asking.page(token)
            yield page
            if page.token is None:
                return
            token = page.token
    finally:
        asking.close()


def quoted(text: str) -> str:
    """Return a parameter's value as it stands in a query."""
    return quote(text.encode("utf-8", "surrogateescape"), safe="~")


class _Asking:
    """The requests of a listing, by a thread of their own: at most one is under way while a page is used."""

    def __init__(self, pages: Pages) -> None:
        self._pages, self._stop = pages, current_stop()
        self._thread = Pool(1, "list")
        self._documents = Documents(pages.limits, MOST_BYTES, _MOST_SECONDS)
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
        if (following := self._pages.following(body)) is not None:
            self._ahead = self._ask(following)
        try:
            page = self._pages.read(body)
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
        pages = self._pages
        while True:
            self._begin(unwanted)
            try:
                answer = self._documents.get(*pages.prepare(token), unwanted)
            finally:
                pages.pace.end()
            if not pages.pace.answered(*answer.head(_PAUSE)):
                return _received(answer, pages)

    def _begin(self, unwanted: threading.Event) -> None:
        """Wait until a request may begin. Raise SourceError if the page is not wanted any more, or after a cancel."""
        while not self._pages.pace.try_begin():
            if unwanted.wait(_LOOK) or self._stop.canceled:
                raise curl_error(*Documents.ABANDONED, self._pages.place)

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


def _received(answer: Answer, pages: Pages) -> bytes:
    """Return the body of an answer. Raise SourceError if it is an error, or cannot be a page."""
    status, headers = answer.head(_LENGTH)
    body = b"".join(answer.body)
    if answer.error is not None:
        number, text = answer.error
        if number == Documents.LATE:
            raise wrong_page(text, pages.place)
        if status == 200 and number == pycurl.E_FILESIZE_EXCEEDED:
            raise wrong_page(f"it has more than {MOST_BYTES:,} bytes", pages.place)
        if status == 200 and number == pycurl.E_PARTIAL_FILE:
            stated = headers.get(b"content-length", "?")
            raise wrong_page(f"{len(body):,} of {stated} bytes arrived", pages.place)
        if status in (0, 200):
            raise curl_error(number, f"{text}; {pages.hint}" if pages.hint else text, pages.place)
    if status >= 300:  # The status is enough, even if the error's document broke off or has no end.
        raise pages.refused(status, body)
    if status != 200:
        raise wrong_page(f"its status is {status}", pages.place)
    return body
