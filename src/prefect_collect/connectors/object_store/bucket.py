"""Listing and reading buckets of Google Cloud Storage and containers of Azure Blob Storage, by libcurl."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, replace
from urllib.parse import quote

from prefect_collect.codes import Failure
from prefect_collect.connectors.buckets.listing import Pages, pages_of
from prefect_collect.connectors.buckets.page import Entry, Page, Token, time_of, wrong_page
from prefect_collect.connectors.buckets.progress import Progress
from prefect_collect.connectors.buckets.reading import Objects, Reader
from prefect_collect.connectors.http.engine import Limits
from prefect_collect.connectors.http.pace import Pace
from prefect_collect.connectors.object_store.failures import refusal
from prefect_collect.connectors.object_store.headers import WANTED, content_of
from prefect_collect.connectors.object_store.signing import Signer
from prefect_collect.sources import Content, Item, Listed


@dataclass(frozen=True)
class Speech:
    """What the servers of one cloud are asked, and how.

    Attributes:
        lines: The header lines of every request.
        of_listings: Those of requests for listings.
        of_objects: Those of requests for objects.
        query: Returns the query for the page of a listing: of its prefix, and its token or None.
        read: Returns the page of a body: of the bucket's name, the prefix and the place; raises SourceError.
        following: Returns the token that a page seems to have, before it is read.
    """

    lines: tuple[str, ...]
    of_listings: tuple[str, ...]
    of_objects: tuple[str, ...]
    query: Callable[[str, Token | None], str]
    read: Callable[[bytes, str, str, str], Page]
    following: Callable[[bytes], Token | None]


class Bucket:
    """One bucket, which several threads may use. Every error is a SourceError.

    Args:
        url: Its URL.
        server: The address of the server, or of the account.
        speech: What is asked of it.
        signer: Signs the requests.
        limits: The limits of each.
    """

    def __init__(self, url: str, server: str, speech: Speech, signer: Signer, limits: Limits) -> None:
        self._url, self._speech, self._signer, self._limits = url, speech, signer, limits
        self._bucket = url.partition("://")[2]
        scheme, _, rest = server.partition("://")
        host, slash, path = rest.rstrip("/").partition("/")
        self._origin, self._folder = f"{scheme}://{host}", f"{slash}{path}/{self._bucket}"
        self._pace = Pace(f"{self._origin}{self._folder}")
        self._reader = Reader(Objects(self._prepare, WANTED, content_of, refusal, self.place, limits, self._pace))

    def items(self, prefix: str) -> Iterator[Listed]:
        """Yield every object whose key begins with `prefix`, and the listing's end."""
        place, speech = f"{self._url}/{prefix}", self._speech
        asked = Pages(
            place,
            lambda token: self._signed("GET", self._folder, speech.query(prefix, token), speech.of_listings),
            lambda body: speech.read(body, self._bucket, prefix, place),
            speech.following,
            lambda status, body: refusal(status, {}, body, place),
            self._limits,
            self._pace,
        )
        folder, progress = len(prefix[: prefix.rfind("/") + 1]), Progress(place)
        with closing(pages_of(asked)) as pages:
            for page in pages:
                progress.take(page)
                for entry in page.entries:
                    yield self._item(entry, folder)
        yield progress.end("names no next page")

    def _item(self, entry: Entry, folder: int) -> Item:
        try:
            key = entry.key.decode()
        except UnicodeDecodeError as error:
            raise wrong_page(f"a key in it is no UTF-8, {entry.key[:200]!a}", self._url) from error
        item = Item(
            key, key[folder:] or key, entry.size, time_of(entry.modified), entry.etag, created=time_of(entry.created)
        )
        if key.endswith("/") and entry.size == 0:
            what = f"A folder marker of 0 bytes: its key ends in a slash. [{self.place(item)}]"
            return replace(item, skipped=Failure("empty_folder", what))
        return item

    def head(self, item: Item) -> Content | None:
        """Return what the server states about an object now; None if it is gone."""
        return self._reader.head(item)

    def open(self, item: Item, within: tuple[int, int] | None = None) -> AbstractContextManager[Content]:
        """Open an object of any size; with `within` only the bytes from the first number to the second, exclusive."""
        return self._reader.open(item, within)

    def read_many(self, items: Iterable[Item], concurrency: int) -> Iterator[tuple[Item, Content | Exception]]:
        """Read small objects, many at once."""
        return self._reader.read_many(items, concurrency)

    def place(self, item: Item) -> str:
        """Return the object's URL, in which messages end."""
        return f"{self._url}/{item.id}"

    def _signed(self, method: str, path: str, query: str = "", lines: Iterable[str] = ()) -> tuple[str, list[str]]:
        query, signed = self._signer.signed(method, path, query, [*self._speech.lines, *lines])
        return f"{self._origin}{path}{query and '?'}{query}", signed

    def _prepare(self, item: Item, lines: Iterable[str] = (), method: str = "GET") -> tuple[str, list[str]]:
        path = f"{self._folder}/{quote(item.id, safe='/~')}"
        return self._signed(method, path, lines=[*self._speech.of_objects, *lines])
