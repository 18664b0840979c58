"""The files of an export, those in its ZIP files too, and what each is listed as."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from prefect_collect.codes import Failure
from prefect_collect.connectors.containers.files import Archive, File
from prefect_collect.connectors.containers.tree import FileTree
from prefect_collect.connectors.foreign_exports.checking import compare
from prefect_collect.connectors.foreign_exports.documents import NotExported
from prefect_collect.connectors.foreign_exports.edrm_xml import BadList
from prefect_collect.connectors.foreign_exports.facts import with_facts
from prefect_collect.connectors.foreign_exports.layout import Format
from prefect_collect.connectors.foreign_exports.lists import Lists
from prefect_collect.connectors.mail.header import Header
from prefect_collect.connectors.mbox.items import message_items
from prefect_collect.connectors.mbox.splitting import Message, is_mbox
from prefect_collect.errors import SourceError
from prefect_collect.sources import Item
from prefect_collect.sources.query import Query

_LOOK: Final = 4 << 10
_ZIP: Final = (b"PK\x03\x04", b"PK\x05\x06")


@dataclass(frozen=True)
class Walk:
    """The files of an export of some layout, those in its ZIP files too."""

    tree: FileTree
    format: Format

    def read_lists(self, lists: Lists) -> None:
        """Read the export's lists: those beside its ZIP files, then those in ZIP files that are not its items."""
        for file in self.tree.files():
            if isinstance(file, Item):
                lists.unreadable = file.failure or lists.unreadable
                continue
            lists.add_file(file.item.path)
            if not self.is_archive(file):
                self._read_list(file, lists)
        for file in self.tree.files():
            if isinstance(file, Item) or not self.is_archive(file) or lists.is_file(file.item.path):
                continue
            for found in self.tree.looked_into(file, self.tree.entries(file)):
                if not isinstance(found, Item):
                    lists.add_file(found.item.path)
                    self._read_list(found, lists)
                elif found.id == f"{file.item.id}!/" and found.failure is not None:
                    lists.unreadable = found.failure

    def require_layout(self, lists: Lists) -> None:
        """Raise SourceError if what is there is no such export: all of it would be collected, and nothing missed."""
        if lists.knows_layout:
            return
        if lists.is_empty and lists.unreadable is None:
            return  # a job says that nothing matched
        if lists.unreadable is not None:
            what = f"Nothing of an export of {self.format.name} can be read: {lists.unreadable.message}"
            raise SourceError(what, code=lists.unreadable.code)
        source = self.tree.source
        what = f"This is no export of {self.format.name}: it has no {self.format.lists}, and no other file of one"
        raise SourceError(
            f"{what}; give the folder with all its files. [{source.location()}]", code="enumeration_failed"
        )

    def _read_list(self, file: File, lists: Lists) -> None:
        """Read a file into the lists, if it is a list; keep what failed according to it, and if it cannot be read."""
        place = file.item.path
        lists.is_empty = False
        is_part = self.format.parts.fullmatch(place) is not None
        try:
            reports = self.format.read_list(file, lists)
            is_part = is_part or reports is not None
            for each in reports or ():
                lists.report(_not_exported(file, each), place)
        except BadList as error:
            is_part = True
            lists.report(_unread(file, error), place)
        except (SourceError, OSError) as error:
            is_part = True
            lists.report(_unread(file, self.tree.failure(error, file).message), place)
        lists.knows_layout = lists.knows_layout or is_part

    def files(self, lists: Lists, query: Query | None = None) -> Iterator[File | Item]:
        """Yield every file, those in ZIP files too, and what is to be reported."""
        for file in self.tree.files():
            if isinstance(file, Item) or not self.is_archive(file) or lists.is_file(file.item.path):
                yield file
            elif query is None or self.tree.may_hold(file, query):
                yield from self.tree.looked_into(file, self.tree.entries(file))
                lists.saw_file(file.item.path, file.item)
                yield self.accounted(file, lists)
            else:
                lists.is_whole = False

    def see_all(self, lists: Lists) -> None:
        """Add to the lists all files and messages that are there."""
        for file in self.tree.files():
            if isinstance(file, Item):
                continue
            if not self.is_archive(file) or lists.is_file(file.item.path):
                self._see(file, lists)
                continue
            lists.saw_file(file.item.path, file.item)
            for found in self.tree.looked_into(file, self.tree.entries(file)):
                if not isinstance(found, Item):
                    self._see(found, lists)
        lists.counts = False

    def _see(self, file: File, lists: Lists) -> None:
        for _ in self.listed(file, lists):
            pass

    def is_archive(self, file: File) -> bool:
        """Return whether a file is a ZIP file."""
        return file.item.path.lower().endswith(".zip") and self._start(file, 4) in _ZIP

    def _start(self, file: File, size: int) -> bytes:
        """Return the first bytes of a file; b"" if it cannot be read, which its collection reports."""
        try:
            return file.read(0, size)
        except (SourceError, OSError) as error:
            self.tree.failure(error, file)
            return b""

    def accounted(self, file: Archive, lists: Lists) -> Item:
        """Return what stands for a ZIP file: skipped, as what it holds was listed; failed if its checksum is wrong."""
        item = replace(file.item, etag=None, version=None, holds=self.tree.inside(file))
        try:
            checked = compare(file, lists)
        except (SourceError, OSError) as error:
            return replace(item, failure=self.tree.failure(error, file))
        why = "The ZIP file was looked into, and what it holds is listed"
        return replace(item, skipped=Failure("looked_into", f"{why}{checked}. [{file.place}]"))

    def listed(self, file: File, lists: Lists, query: Query | None = None) -> Iterator[Item]:
        """Yield the messages of an mbox file, or the file itself and what it names."""
        is_named_so = self.format.looks_into_mbox and file.item.path.lower().endswith(".mbox")
        if not (is_named_so and is_mbox(self._start(file, _LOOK))):
            lists.saw_file(file.item.path, file.item)
            yield replace(file.item, custodian=lists.custodian(file.item.path))
            yield from self._named_in(file, lists)
        elif query is not None and not self.tree.may_hold(file, query):
            lists.is_whole = False
        else:
            lists.saw_file(file.item.path, file.item, holds_messages=True)

            def met(message: Message, header: Header, item: Item) -> None:
                lists.saw_message(_names(message.line, header), file.item.path, item)

            yield from self.tree.looked_into(file, message_items(file, self.tree.inside(file), met))
            if lists.checksum(file.item.path) is not None:
                yield replace(self.accounted_messages(file, lists), id=f"{file.item.id}!whole")

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

    def accounted_messages(self, file: File, lists: Lists) -> Item:
        """Return what stands for an mbox file: skipped, as its messages are listed; failed if its checksum is wrong."""
        item = replace(file.item, holds=self.tree.inside(file))
        try:
            checked = compare(file, lists)
        except (SourceError, OSError) as error:
            return replace(item, failure=self.tree.failure(error, file))
        why = f"The mbox file was looked into, and its messages are listed{checked}. [{file.item.path}]"
        return replace(item, skipped=Failure("looked_into", why))

    def inside(self, file: Archive, lists: Lists) -> Iterator[Item]:
        """Yield what is listed of a ZIP file or mbox file, without the file itself."""
        if not self.is_archive(file):
            yield from self.tree.looked_into(file, message_items(file, self.tree.inside(file)))
            return
        for found in self.tree.looked_into(file, self.tree.entries(file)):
            yield from [found] if isinstance(found, Item) else self.listed(found, lists)


def _unread(file: File, error: object) -> Item:
    why = "The list of the export cannot be read to its end, so not all that it names was looked for"
    failure = Failure("unreadable_list", f"{why}: {error}. [{file.item.path}]")
    return Item(f"{file.item.id}!?", file.item.path, failure=failure)


def _not_exported(file: File, found: NotExported) -> Item:
    name, why = found.name, found.why
    failure = Failure("not_exported", f"{why or 'The exporting system gives no reason'}. [{file.item.path}: {name}]")
    digest = hashlib.sha256(f"{name}\0{why}".encode("utf-8", "replace")).hexdigest()[:16]
    item = Item(f"{file.item.id}!not exported/{digest}", f"{file.item.path}/{name}", failure=failure)
    return with_facts(item, found.metadata)


def _names(line: bytes, header: Header) -> list[str]:
    return [header.text(b"message-id").strip("<> "), sender(line.decode("utf-8", "replace"))]


def sender(separator: str) -> str:
    """Return the id that Google writes as the sender in a separator line: ``From 1234@xxx date``."""
    words = separator.split(" ", 2)
    return words[1].rpartition("@")[0] if len(words) > 1 and words[1].endswith("@xxx") else ""
