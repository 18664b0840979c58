"""Listing and reading buckets of Google Cloud Storage and containers of Azure Blob Storage, by obstore."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from prefect_collect.codes import Failure
from prefect_collect.connectors.errors import answer_error, source_error
from prefect_collect.connectors.http.headers import finer_time, plain_etag
from prefect_collect.connectors.object_store._pages import askable, is_path
from prefect_collect.connectors.s3.page import Entry, Page, time_of, wrong_page
from prefect_collect.connectors.s3.progress import Progress
from prefect_collect.errors import SourceError
from prefect_collect.sources import MOST_AT_ONCE, Content, Item, Listed, expected_bytes
from prefect_collect.stores.azure_access import WRONG_CREDENTIALS
from prefect_collect.threads.pool import as_completed

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import ObjectStore

PIECE: Final = 1 << 20
"""The least bytes of a chunk of an object, except the last chunk."""

_BY_CLASS: Final = {
    "NotFoundError": "not_found",
    "FileNotFoundError": "not_found",
    "PermissionDeniedError": "access_denied",
    "UnauthenticatedError": "bad_credentials",
    "PreconditionError": "changed_during_read",
}
_STATUS: Final = re.compile(r"status code: (\d{3})")
_NAME: Final = re.compile(r"<Code>([^<]{1,100})</Code>|\"reason\": *\"([^\"]{1,100})\"")


class Bucket:
    """One bucket, which several threads may use. Every error is a SourceError.

    Args:
        store: obstore's store, for objects.
        place: The bucket's URL.
        pages: Returns the pages of the listing of a folder.
        asking: obstore's store with a limit of time, for what is said about an object.
    """

    def __init__(
        self,
        store: ObjectStore,
        place: str,
        pages: Callable[[str], Iterator[Page]],
        asking: ObjectStore | None = None,
    ) -> None:
        self._store = store
        self._place = place
        self._asking = store if asking is None else asking
        self._pages = pages

    def items(self, prefix: str) -> Iterator[Listed]:
        """Yield every object whose key begins with `prefix`, and the listing's end.

        An object whose key obstore cannot ask for is an item that failed.
        """
        folder = prefix[: prefix.rfind("/") + 1]
        asked = askable(folder)
        progress = Progress(f"{self._place}/{prefix}")
        for page in self._pages(asked):
            progress.take(page)
            for entry in page.entries:
                item = self._item(entry, len(folder))
                if item.id.startswith(prefix):
                    yield item
        end = progress.end("names no next page")
        yield end if prefix == asked else replace(end, items=None)  # what the server counts is all that was asked for

    def _item(self, entry: Entry, folder: int) -> Item:
        try:
            key = entry.key.decode()
        except UnicodeDecodeError as error:
            raise wrong_page(f"a key in it is no UTF-8, {entry.key[:200]!a}", self._place) from error
        item = Item(
            key, key[folder:] or key, entry.size, time_of(entry.modified), entry.etag, created=time_of(entry.created)
        )
        if key.endswith("/") and entry.size == 0:
            what = f"A folder marker of 0 bytes: its key ends in a slash. [{self.place(item)}]"
            return replace(item, skipped=Failure("empty_folder", what))
        try:
            self._require_path(item)
        except SourceError as error:
            return replace(item, failure=Failure(error.code, str(error)))
        return item

    def _require_path(self, item: Item) -> None:
        """Raise SourceError if obstore would ask for another object, or for none."""
        if not is_path(item.id):
            what = (
                "The object's key has an empty part, . or .. between slashes, a slash at its beginning or end, or a "
                "control character; no such object is read of gs:// and az://"
            )
            raise source_error("unreadable_key", what, self.place(item))

    def head(self, item: Item) -> Content | None:
        """Return what the server states about an object now; None if it is gone."""
        import obstore

        self._require_path(item)
        try:
            return _content(obstore.head(self._asking, item.id), (), item)
        except FileNotFoundError:
            return None
        except Exception as error:
            raise obstore_error(error, self.place(item)) from error

    @contextmanager
    def open(self, item: Item, within: tuple[int, int] | None = None) -> Iterator[Content]:
        """Open an object of any size; with `within` only the bytes from the first number to the second, exclusive."""
        import obstore

        self._require_path(item)
        try:
            found = obstore.get(self._store, item.id, options={} if within is None else {"range": within})
        except Exception as error:
            raise obstore_error(error, self.place(item)) from error
        yield _content(found.meta, self._pieces(found, item), item)

    def read_many(self, items: Iterable[Item], concurrency: int) -> Iterator[tuple[Item, Content | Exception]]:
        """Read small objects in threads."""
        return as_completed(self._whole, items, concurrency, expected_bytes)

    def place(self, item: Item) -> str:
        """Return the object's URL, in which messages end."""
        return f"{self._place}/{item.id}"

    def _whole(self, item: Item) -> Content:
        import obstore

        self._require_path(item)
        try:
            found = obstore.get(self._store, item.id)
            if (size := found.meta["size"]) > MOST_AT_ONCE:  # do not receive it: such a body may have no end
                what = f"It was listed as a small object, and the server now announces {size:,} bytes"
                raise source_error("changed_during_read", what, self.place(item))
            return _content(found.meta, (memoryview(found.bytes()),), item)
        except Exception as error:
            raise obstore_error(error, self.place(item)) from error

    def _pieces(self, found: Any, item: Item) -> Iterator[memoryview]:
        try:
            for piece in found.stream(min_chunk_size=PIECE):
                yield memoryview(piece)
        except Exception as error:
            raise obstore_error(error, self.place(item)) from error


def _content(meta: ObjectMeta, chunks: Iterable[bytes | memoryview], item: Item) -> Content:
    modified = finer_time(meta["last_modified"], item.modified)  # Google lists fractions of a second, and sends none
    return Content(chunks, meta["size"], modified, plain_etag(meta["e_tag"]))


def obstore_error(error: Exception, place: str) -> SourceError:
    """Return the SourceError of an error of obstore, without the parts of its text that may contain signed URLs."""
    if isinstance(error, SourceError):
        return error
    text = str(error)
    name = type(error).__name__
    if status := _STATUS.search(text):
        stated = _NAME.search(text)
        code = (stated[1] or stated[2]) if stated else ""
        if code in WRONG_CREDENTIALS:
            return source_error(
                "bad_credentials", f"Azure does not accept the credentials ({code})", place, int(status[1])
            )
        return answer_error(int(status[1]), code, "", place)
    if name in _BY_CLASS:
        code, summary = _BY_CLASS[name], text
    elif "kind: Timeout" in text or "timed out" in text:
        code, summary = "timeout", "The server did not answer in time"
    elif "HTTP error" in text or "kind: Connect" in text:
        code, summary = "connection_lost", "The server could not be reached, or the connection broke"
    elif "partial response" in text:  # obstore asked for the rest of a body that broke off
        code, summary = "truncated", "The body broke off, and the server did not send the rest of it"
    elif "MissingAccount" in text:
        code, summary = "bad_credentials", "Set AZURE_STORAGE_ACCOUNT_NAME and the account's credentials"
    else:
        code, summary = "unexpected_error", text
    return source_error(code, summary.partition("\n")[0], place)
