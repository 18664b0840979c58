"""The files of an export as items, held to its lists."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final

from prefect_collect.codes import Failure
from prefect_collect.connectors.containers import ids
from prefect_collect.connectors.containers.files import Archive, File
from prefect_collect.connectors.containers.tree import FileTree, again
from prefect_collect.connectors.foreign_exports.checking import compare, held_to
from prefect_collect.connectors.foreign_exports.edrm_xml import BadList
from prefect_collect.connectors.foreign_exports.layout import Format
from prefect_collect.connectors.foreign_exports.lists import Lists
from prefect_collect.connectors.mail.header import Header
from prefect_collect.connectors.mbox.items import message_items
from prefect_collect.connectors.mbox.reading import message_again, message_content
from prefect_collect.connectors.mbox.splitting import Message, is_mbox
from prefect_collect.errors import SourceError
from prefect_collect.sources import Content, Item, Listed, ListingEnd
from prefect_collect.sources.query import Query

_LOOK: Final = 4 << 10
_ZIP: Final = (b"PK\x03\x04", b"PK\x05\x06")
_MISSING: Final = "!missing/"
_STALE: Final = 5.0
"""Seconds after which what is known of the files is asked anew for a retry."""


@dataclass
class Export:
    """An export: its files, those in its ZIP files, and what its lists say of them. Several threads may read it."""

    tree: FileTree
    format: Format
    _lists: Lists | None = field(default=None, init=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)
    _looked: float = field(default=0.0, init=False, repr=False)

    def items(self, query: Query | None = None) -> Iterator[Listed]:
        """Yield the files and messages, what the lists promise beside them, and the listing's end."""
        self.tree.forget()
        lists = Lists()
        self._read_lists(lists)
        self._lists, self._looked = lists, time.monotonic()
        for found in self._walk(lists, query, final=True):
            yield from [found] if isinstance(found, Item) else self._listed(found, lists, query)
        yield from lists.reports()
        missing = 0
        if lists.is_whole:
            for name, source in lists.missing():
                missing += 1
                yield self._missing(name, source)
        yield ListingEnd(self._proof(lists, missing))

    def _read_lists(self, lists: Lists) -> None:
        """Read the export's lists: those beside its ZIP files, then those in ZIP files that are none of its items."""
        for file in self.tree.files():
            if not isinstance(file, Item) and not self._is_archive(file):
                self._keep_reports(file, lists)
        for file in self.tree.files():
            if isinstance(file, Item) or not self._is_archive(file) or lists.is_file(file.item.path):
                continue
            for found in self.tree.looked_into(file, self.tree.entries(file)):
                if not isinstance(found, Item):
                    self._keep_reports(found, lists)

    def _proof(self, lists: Lists, missing: int) -> str:
        if not lists.promised and not lists.checksums:
            return f"{self.tree.proof}; the export has no list of what it should hold"
        said = f"the export's lists name {lists.promised:,} items and {lists.checksums:,} checksums"
        there = f"{missing:,} of them are missing" if lists.is_whole else "the query left out some, so none was missed"
        return f"{self.tree.proof}; {said}; {there}"

    def _walk(self, lists: Lists, query: Query | None = None, *, final: bool = False) -> Iterator[File | Item]:
        """Yield every file, and those in ZIP files; in the final walk also what is to be reported."""
        for file in self.tree.files():
            if isinstance(file, Item):
                if final:
                    yield file
            elif not self._is_archive(file) or (final and lists.is_file(file.item.path)):
                yield file
            elif _may_hold(file, query):
                for found in self.tree.looked_into(file, self.tree.entries(file)):
                    if final or not isinstance(found, Item):
                        yield found
                if final:
                    lists.saw_file(file.item.path)
                    yield self._accounted(file, lists)
            else:
                lists.is_whole = False

    def _is_archive(self, file: File) -> bool:
        return file.item.path.lower().endswith(".zip") and self._start(file, 4) in _ZIP

    def _start(self, file: File, size: int) -> bytes:
        """Return the first bytes of a file; b"" if it cannot be read, which its collection reports."""
        try:
            return file.read(0, size)
        except (SourceError, OSError) as error:
            self.tree.failure(error, file)
            return b""

    def _accounted(self, file: Archive, lists: Lists) -> Item:
        """Return what stands for a ZIP file: skipped, as what it holds was listed; failed if its checksum is wrong."""
        item = replace(file.item, etag=None, version=None)
        try:
            checked = compare(file, lists)
        except (SourceError, OSError) as error:
            return replace(item, failure=self.tree.failure(error, file))
        why = "The ZIP file was looked into, and what it holds is listed"
        return replace(item, skipped=Failure("looked_into", f"{why}{checked}. [{file.place}]"))

    def _keep_reports(self, file: File, lists: Lists) -> None:
        for report in self._read_list(file, lists):
            lists.report(report)

    def _read_list(self, file: File, lists: Lists) -> Iterator[Item]:
        """Read a file into the lists, if it is a list; yield what failed according to it, and if it cannot be read."""
        try:
            for name, why in self.format.read_list(file, lists) or ():
                yield _not_exported(file, name, why)
        except BadList as error:
            yield _unread(file, error)
        except (SourceError, OSError) as error:
            yield _unread(file, self.tree.failure(error, file).message)

    def _listed(self, file: File, lists: Lists, query: Query | None) -> Iterator[Item]:
        """Yield the messages of an mbox file, or the file itself."""
        is_named_so = self.format.looks_into_mbox and file.item.path.lower().endswith(".mbox")
        if not (is_named_so and is_mbox(self._start(file, _LOOK))):
            lists.saw_file(file.item.path)
            yield file.item
            yield from self._named_in(file, lists)
        elif not _may_hold(file, query):
            lists.is_whole = False
        else:
            lists.saw_file(file.item.path, holds_messages=True)

            def met(message: Message, header: Header) -> None:
                lists.saw_message(_names(message.line, header))

            found = message_items(file, self.tree.inside(file), met)
            yield from self.tree.looked_into(file, found)
            if lists.checksum(file.item.path) is not None:
                yield replace(self._accounted_messages(file, lists), id=f"{file.item.id}!whole")

    def _named_in(self, file: File, lists: Lists) -> Iterator[Item]:
        """Yield what a file names, such as links."""
        if self.format.look is None:
            return
        try:
            yield from self.format.look(file, lists)
        except BadList as error:
            yield _unread(file, error)
        except (SourceError, OSError) as error:
            yield _unread(file, self.tree.failure(error, file).message)

    def _accounted_messages(self, file: File, lists: Lists) -> Item:
        try:
            checked = compare(file, lists)
        except (SourceError, OSError) as error:
            return replace(file.item, failure=self.tree.failure(error, file))
        why = f"The mbox file was looked into, and its messages are listed{checked}. [{file.item.path}]"
        return replace(file.item, skipped=Failure("looked_into", why))

    def _missing(self, name: str, source: str) -> Item:
        named = f"{source} names it" if source else "a list of checksums names it"
        failure = Failure(self.format.absent, f"The export does not hold it, but {named}. [{name}]")
        is_missing = self.format.absent == "missing_in_export"
        return Item(
            f"{_MISSING}{ids.file_id(name)}", f"{name}/",
            failure=failure if is_missing else None, skipped=None if is_missing else failure,
        )  # fmt: skip

    @contextmanager
    def open(self, item: Item) -> Iterator[Content]:
        """Open an item, with what the lists say of it. Raise SourceError, OSError."""
        lists = self._known()
        span = ids.span_of(item.id)
        if span is not None:
            file = self.tree.file(span.file)
            content = message_content(file, span, item)
            metadata = dict(content.metadata or {})
            keys = [str(metadata.get("message_id", "")).strip("<> "), _sender(str(metadata.get("separator", "")))]
            said = lists.metadata([], keys)
            assert isinstance(content.metadata, dict)
            content.metadata.update(said)
            yield content
            return
        file = self.tree.file(item.id, item.path)
        with file.open() as content:
            said = lists.metadata([item.path]) | self._described(file, item, lists)
            yield held_to(replace(content, metadata=said or None), lists.checksum(item.path), item)

    def _described(self, file: File, item: Item, lists: Lists) -> dict[str, Any]:
        if self.format.describe is None:
            return {}
        file.item = replace(file.item, path=item.path)
        try:
            return self.format.describe(file, lists)
        except BadList:  # the listing has reported it
            return {}

    def relist(self, item: Item) -> Iterator[Listed]:
        """Yield an item as it is now, for a retry."""
        lists = self._known(anew=True)
        if item.id.startswith(_MISSING):
            yield from self._found_now(item, lists)
        elif ids.span_of(item.id) is not None:
            yield from message_again(self.tree, item)
        elif item.id.endswith("!/"):
            yield from again(item, self._inside_again(item, lists))
        elif item.id.endswith("!whole"):
            yield self._accounted_messages(self.tree.file(item.id.removesuffix("!whole"), item.path), lists)
        elif item.id.endswith("!?"):
            yield from self._read_list(self.tree.file(item.id.removesuffix("!?"), item.path), Lists())
        elif ids.entry_of(item.id) is not None:
            yield from self._entry_again(item)
        elif item.path.lower().endswith(".zip") and not lists.is_file(item.path):
            yield self._accounted(self.tree.file(item.id, item.path), lists)
        else:
            yield from message_again(self.tree, item)

    def _entry_again(self, item: Item) -> Iterator[Item]:
        try:
            yield replace(self.tree.file(item.id).item, path=item.path)
        except FileNotFoundError:
            return
        except SourceError as error:
            if error.code != "not_found":
                raise

    def _inside_again(self, item: Item, lists: Lists) -> Iterator[Item]:
        file = self.tree.file(item.id.removesuffix("!/"), item.path.rstrip("/"))
        if not self._is_archive(file):
            yield from self.tree.looked_into(file, message_items(file, self.tree.inside(file)))
            return
        for found in self.tree.looked_into(file, self.tree.entries(file)):
            yield from [found] if isinstance(found, Item) else self._listed(found, lists, None)

    def _found_now(self, item: Item, lists: Lists) -> Iterator[Listed]:
        """Yield the file that was missing, if it is there now."""
        name = ids.source_id(item.id.removeprefix(_MISSING))
        for file in self._walk(lists):
            if (
                not isinstance(file, Item)
                and file.item.path.rpartition("/")[2] == name.replace("\\", "/").rpartition("/")[2]
            ):
                for found in self._listed(file, lists, None):
                    yield replace(found, expands=item.id)
                yield ListingEnd("the file that was missing is there")
                return
        yield replace(item, failure=Failure("missing_in_export", f"The export still does not hold it. [{name}]"))

    def _known(self, *, anew: bool = False) -> Lists:
        """Return what the lists say; they are read once by each process."""
        with self._lock:
            if anew and time.monotonic() - self._looked > _STALE:
                self._lists = None
                self.tree.forget()
            if self._lists is None:
                lists = Lists()
                self._read_lists(lists)
                self._lists, self._looked = lists, time.monotonic()
            return self._lists


def _unread(file: File, error: object) -> Item:
    why = "The list of the export cannot be read to its end, so not all that it names was looked for"
    failure = Failure("unreadable_list", f"{why}: {error}. [{file.item.path}]")
    return Item(f"{file.item.id}!?", file.item.path, failure=failure)


def _may_hold(file: File, query: Query | None) -> bool:
    return query is None or query.may_match_below(f"{file.item.path}/")


def _not_exported(file: File, name: str, why: str) -> Item:
    failure = Failure("not_exported", f"{why or 'The exporting system gives no reason'}. [{file.item.path}: {name}]")
    digest = hashlib.sha256(f"{name}\0{why}".encode("utf-8", "replace")).hexdigest()[:16]
    return Item(f"{file.item.id}!not exported/{digest}", f"{file.item.path}/{name}", failure=failure)


def _names(line: bytes, header: Header) -> list[str]:
    return [header.text(b"message-id").strip("<> "), _sender(line.decode("utf-8", "replace"))]


def _sender(separator: str) -> str:
    """Return the id that Google writes as the sender in a separator line: ``From 1234@xxx date``."""
    words = separator.split(" ", 2)
    return words[1].rpartition("@")[0] if len(words) > 1 and words[1].endswith("@xxx") else ""
