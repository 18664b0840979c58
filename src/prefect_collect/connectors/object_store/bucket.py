"""Listing and reading buckets of Google Cloud Storage and containers of Azure Blob Storage, by obstore."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from prefect_collect.codes import Failure
from prefect_collect.connectors.errors import answer_error, source_error
from prefect_collect.connectors.http.headers import plain_etag
from prefect_collect.errors import SourceError
from prefect_collect.sources import MOST_AT_ONCE, Content, Item, Listed, ListingEnd
from prefect_collect.stores.azure_access import WRONG_CREDENTIALS
from prefect_collect.threads.pool import as_completed

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import ObjectStore

PIECE: Final = 1 << 20
"""The least bytes of a chunk of an object, except the last chunk."""

_AT_ONCE: Final = 100
_HEADS: Final = 8
"""So many objects of 0 bytes are asked for while a listing waits, so many of them at once."""

_BY_CLASS: Final = {
    "NotFoundError": "not_found",
    "FileNotFoundError": "not_found",
    "PermissionDeniedError": "access_denied",
    "UnauthenticatedError": "bad_credentials",
    "PreconditionError": "changed_during_read",
}
_OF_THE_ITEM: Final = {"access_denied", "archived_object", "encrypted_object", "unexpected_error"}
"""An object that cannot be asked for with one of these codes is an item, which then fails by itself when it is read."""

_STATUS: Final = re.compile(r"status code: (\d{3})")
_NAME: Final = re.compile(r"<Code>([^<]{1,100})</Code>|\"reason\": *\"([^\"]{1,100})\"")


class Bucket:
    """One bucket, which several threads may use. Every error is a SourceError."""

    def __init__(self, store: ObjectStore, place: str, listing: ObjectStore | None = None) -> None:
        self._store = store
        self._place = place
        self._listing = store if listing is None else listing

    def items(self, prefix: str) -> Iterator[Listed]:
        """Yield every object whose key begins with `prefix`, and the listing's end.

        With az://, obstore treats an answer without a list of blobs as an error; with gs://, it accepts any well-formed
        document as an empty page. There the end of the listing is requested once more: it must show the last object.
        """
        folder = len(prefix[: prefix.rfind("/") + 1])
        began = datetime.now(UTC)
        before, last = "", ""
        for item in self._told_apart(_item(meta, folder) for meta in self._listed(prefix)):
            before, last = _largest(before, last, item.id.removesuffix("/"))
            yield item
        if not self._place.startswith("gs://"):
            yield ListingEnd("every page had its list of blobs, and the last one named no next page")
            return
        if not last:
            self._require_a_store(prefix)
            yield ListingEnd("the listing is empty, and the server says of an object that it has not that it has not")
            return
        is_going_on = True
        while is_going_on:
            shown, is_going_on, end = False, False, last
            for item in (_item(meta, folder) for meta in self._listed(prefix, before or None)):
                if item.id == end:
                    shown = True
                elif item.id > end:
                    is_going_on = is_going_on or (item.modified is not None and item.modified < began)
                    before, last = _largest(before, last, item.id)
                    yield from self._told_apart([item])
            if not shown:
                what = "The listing ended, but the server does not show its last object when it is asked once more"
                raise source_error("enumeration_failed", what, f"{self._place}/{end}")
        yield ListingEnd(f"asked once more for what comes after {before or 'the beginning'}, the server ends at {last}")

    def _listed(self, prefix: str, after: str | None = None) -> Iterator[ObjectMeta]:
        import obstore

        folder = prefix[: prefix.rfind("/") + 1]
        try:
            for page in obstore.list(self._listing, folder or None, offset=after, chunk_size=1000):
                yield from (meta for meta in page if meta["path"].startswith(prefix))
        except Exception as error:
            raise obstore_error(error, f"{self._place}/{prefix}") from error

    def _require_a_store(self, prefix: str) -> None:
        """Raise SourceError if the server that sent an empty listing answers every request with success."""
        name = f"{prefix}prefect-collect-{uuid4()}"
        if self.head(Item(name, name)) is not None:
            what = "The listing is empty, but the server claims that an object with a random name exists"
            raise source_error("enumeration_failed", what, f"{self._place}/{prefix}")

    def head(self, item: Item) -> Content | None:
        """Return what the server states about an object now; None if it is gone."""
        import obstore

        try:
            return _content(obstore.head(self._listing, item.id), ())
        except FileNotFoundError:
            return None
        except Exception as error:
            raise obstore_error(error, self.place(item)) from error

    @contextmanager
    def open(self, item: Item, within: tuple[int, int] | None = None) -> Iterator[Content]:
        """Open an object of any size; with `within` only the bytes from the first number to the second, exclusive."""
        import obstore

        try:
            found = obstore.get(self._store, item.id, options={} if within is None else {"range": within})
        except Exception as error:
            raise obstore_error(error, self.place(item)) from error
        yield _content(found.meta, self._pieces(found, item))

    def read_many(self, items: Iterable[Item], concurrency: int) -> Iterator[tuple[Item, Content | Exception]]:
        """Read small objects in threads."""
        return as_completed(self._whole, items, concurrency)

    def place(self, item: Item) -> str:
        """Return the object's URL, in which messages end."""
        return f"{self._place}/{item.id}"

    def _whole(self, item: Item) -> Content:
        import obstore

        try:
            found = obstore.get(self._store, item.id)
            if (size := found.meta["size"]) > MOST_AT_ONCE:  # do not receive it: such a body may have no end
                what = f"It was listed as a small object, and the server now announces {size:,} bytes"
                raise source_error("changed_during_read", what, self.place(item))
            return _content(found.meta, (memoryview(found.bytes()),))
        except Exception as error:
            raise obstore_error(error, self.place(item)) from error

    def _pieces(self, found: Any, item: Item) -> Iterator[memoryview]:
        try:
            for piece in found.stream(min_chunk_size=PIECE):
                yield memoryview(piece)
        except Exception as error:
            raise obstore_error(error, self.place(item)) from error

    def _told_apart(self, items: Iterable[Item]) -> Iterator[Item]:
        """Yield the items, folder markers as skipped ones: obstore lists their keys without the slash at the end.

        A key that was listed before is a marker beside an object with its name. Between the two, all keys begin with
        it, so that only the keys that the present one begins with are kept.
        """
        empty: list[Item] = []
        before: list[str] = []
        for item in items:
            while before and not item.id.startswith(before[-1]):
                before.pop()
            if not before or before[-1] != item.id:
                before.append(item.id)
            elif not item.size:
                yield self._marker(item)
                continue
            if item.size:
                yield item
                continue
            empty.append(item)
            if len(empty) == _AT_ONCE:
                yield from self._markers(empty)
                empty = []
        yield from self._markers(empty)

    def _markers(self, empty: list[Item]) -> Iterator[Item]:
        for item, now in as_completed(self.head, empty, _HEADS):
            if isinstance(now, Exception) and not (isinstance(now, SourceError) and now.code in _OF_THE_ITEM):
                raise now
            yield self._marker(item) if now is None else item

    def _marker(self, listed: Item) -> Item:
        item = replace(listed, id=f"{listed.id}/", path=f"{listed.path}/")
        what = f"A folder marker of 0 bytes: its key ends in a slash. [{self.place(item)}]"
        return replace(item, skipped=Failure("empty_folder", what))


def _item(meta: ObjectMeta, folder: int) -> Item:
    key = meta["path"]
    return Item(key, key[folder:] or key, meta["size"], meta["last_modified"], plain_etag(meta["e_tag"]))


def _largest(before: str, last: str, key: str) -> tuple[str, str]:
    """Return the two largest of these three keys, in order."""
    return (last, key) if key > last else (max(before, key), last) if key < last else (before, last)


def _content(meta: ObjectMeta, chunks: Iterable[bytes | memoryview]) -> Content:
    return Content(chunks, meta["size"], meta["last_modified"], plain_etag(meta["e_tag"]))


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
    if name == "InvalidPathError":
        what = (
            "obstore lists no key with an empty part, . or .. between slashes, or a control character; remove or rename"
        )
        return source_error(
            "enumeration_failed", f"{what} such objects, or collect prefixes without them ({text})", place
        )
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
