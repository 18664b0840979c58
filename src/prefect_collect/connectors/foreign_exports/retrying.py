"""What a retry finds of an export's items that failed: missing ones, reports, and lists that could not be read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from prefect_collect.codes import Failure
from prefect_collect.connectors.containers import ids
from prefect_collect.connectors.containers.files import Archive, SourceFile
from prefect_collect.connectors.containers.tree import again
from prefect_collect.connectors.foreign_exports.documents import Missing
from prefect_collect.connectors.foreign_exports.facts import with_facts
from prefect_collect.connectors.foreign_exports.layout import Format
from prefect_collect.connectors.foreign_exports.lists import COUNTED, Lists
from prefect_collect.connectors.foreign_exports.walking import Walk
from prefect_collect.connectors.mbox.reading import message_again
from prefect_collect.errors import SourceError
from prefect_collect.sources import Item, Listed, ListingEnd

_MISSING: Final = "!missing/"
_REPORT: Final = "!not exported/"
_UNREAD: Final = "!?"


def needs_all(item_id: str) -> bool:
    """Return whether an item can only be looked up when all files were seen: what is missing, or named in a list."""
    return item_id.startswith(_MISSING) or item_id.endswith(_UNREAD)


def missing_item(missing: Missing, format_: Format) -> Item:
    """Return the item that stands for what the export does not hold."""
    named = "a list of checksums names it" if missing.is_checksum else f"{missing.source} names it"
    place = f"{missing.name}: message {missing.message}" if missing.message else missing.name
    failure = Failure(format_.absent, f"The export does not hold it, but {named}. [{place}]")
    is_failed = format_.absent == "missing_in_export"
    item = Item(
        f"{_MISSING}{missing.id}", f"{missing.name}/",
        failure=failure if is_failed else None, skipped=None if is_failed else failure,
    )  # fmt: skip
    return with_facts(item, missing.metadata, missing.size)


@dataclass
class Retry:
    """The items of an export as they are now.

    Attributes:
        walk: The export's files.
        lists: Its lists, which have seen all files if the item that is asked for `needs_all`.
        given: For each item that was found, which missing one it was given for: two lists may both miss it.
    """

    walk: Walk
    lists: Lists
    given: dict[str, str] = field(repr=False)

    def relist(self, item: Item) -> Iterator[Listed]:
        """Yield an item as it is now; of what was missing, or in a file that failed, what is there now."""
        walk, tree = self.walk, self.walk.tree
        if item.id.startswith(_MISSING):
            yield from self._found_now(item)
        elif ids.span_of(item.id) is not None:
            yield from message_again(tree, item)
        elif item.id.endswith("!/"):
            file = tree.file(item.id.removesuffix("!/"), item.path.rstrip("/"))
            yield from again(item, walk.inside(file, self.lists))
        elif item.id.endswith("!whole"):
            yield walk.accounted_messages(tree.file(item.id.removesuffix("!whole"), item.path), self.lists)
        elif _REPORT in item.id:
            yield self._reported(item)
        elif item.id.endswith(_UNREAD):
            yield from self._list_again(item)
        elif ids.entry_of(item.id) is not None:
            yield from self._entry_again(item)
        elif item.path.lower().endswith(".zip") and not self.lists.is_file(item.path):
            yield walk.accounted(tree.file(item.id, item.path), self.lists)
        else:
            yield from message_again(tree, item)

    def _entry_again(self, item: Item) -> Iterator[Item]:
        try:
            yield replace(self.walk.tree.file(item.id).item, path=item.path)
        except FileNotFoundError:
            return
        except SourceError as error:
            if error.code != "not_found":
                raise

    def _reported(self, item: Item) -> Item:
        """Return what the exporting system says of an item; that it says so no more is no proof of the item."""
        known = next(self.lists.reports(id_=item.id), None)
        if known is not None:
            return known
        why = (
            "The exporting system could not export it. Its list does not name it now: a new job lists the export again"
        )
        return replace(item, failure=Failure("not_exported", f"{why}. [{item.path}]"))

    def _list_again(self, item: Item) -> Iterator[Listed]:
        """Yield the list if it still cannot be read, else what it misses and reports."""
        found = [*self.lists.reports(id_=item.id)]
        if found:
            yield found[0]
            return
        found = [missing_item(missing, self.walk.format) for missing in self.lists.missing(source=item.path)]
        found += self.lists.reports(source=item.path)
        file = self._file(item.id.removesuffix(_UNREAD), item.path)
        found += [named for named in self.walk.listed(file, self.lists) if named.id != file.item.id]
        if found and found[-1].id == item.id:
            yield found[-1]
            return
        yield from self._instead(item, found, "it names nothing that is missing")

    def _found_now(self, item: Item) -> Iterator[Listed]:
        """Yield what was missing, if it is there now."""
        id_ = item.id.removeprefix(_MISSING)
        missing = next(self.lists.missing(id_=id_), None)
        seen = self.lists.seen_as(id_)
        if missing is not None:
            yield replace(missing_item(missing, self.walk.format), path=item.path)
        elif seen is None and id_ != COUNTED:
            why = "The list that named it does not name it any more, so it cannot be looked for"
            yield replace(item, failure=Failure("missing_in_export", f"{why}. [{item.path.rstrip('/')}]"))
        elif seen is None:
            yield from self._instead(item, self._all_messages(), "there are as many messages as the list counts")
        elif ids.span_of(seen.id) is not None:
            yield from self._instead(item, [seen], "the message is there, and stands for another that was missing, too")
        else:
            yield from self._instead(item, self._of_file(seen), "what it holds was found for others that were missing")

    def _of_file(self, seen: Item) -> Iterator[Item]:
        file = self._file(seen.id, seen.path)
        if not self.walk.is_archive(file) or self.lists.is_file(seen.path):
            yield from self.walk.listed(file, self.lists)
        else:
            yield from self.walk.inside(file, self.lists)
            yield self.walk.accounted(file, self.lists)

    def _all_messages(self) -> Iterator[Item]:
        for found in self.walk.files(self.lists):
            if not isinstance(found, Item) and found.item.path.lower().endswith(".mbox"):
                yield from self.walk.listed(found, self.lists)

    def _instead(self, item: Item, found: Iterable[Item], else_: str) -> Iterator[Listed]:
        """Yield what is there now in place of an item; if that is nothing new, the item, as skipped."""
        is_any = False
        for each in found:
            if self.given.setdefault(each.id, item.id) == item.id:
                is_any = True
                yield replace(each, expands=item.id)
        if is_any:
            yield ListingEnd("the files of the export were looked through for it")
        else:
            why = f"It was looked for again: {else_}"
            yield replace(item, skipped=Failure("looked_into", f"{why}. [{item.path.rstrip('/')}]"))

    def _file(self, file_id: str, path: str) -> Archive:
        """Return a file as it is now."""
        tree = self.walk.tree
        if ids.entry_of(file_id) is not None:
            entry = tree.file(file_id)
            entry.item = replace(entry.item, path=path)
            return entry
        inner = Item(ids.source_id(file_id), path)
        found = (now for now in tree.source.relist(inner) if isinstance(now, Item) and now.failure is None)
        return SourceFile(tree.source, next(found, inner))
