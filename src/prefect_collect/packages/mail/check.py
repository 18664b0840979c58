"""Checks a mail set: beside its files and items, that every message is in its mbox file, and is listed in the index."""

from __future__ import annotations

import hashlib
import re
from array import array
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final

import numpy as np

from prefect_collect.archive.problems import Damaged
from prefect_collect.escaping import csv_text
from prefect_collect.packages.bags.files import BagFiles
from prefect_collect.packages.contents.index import Entry
from prefect_collect.packages.file_sets.check import SetCheck
from prefect_collect.packages.file_sets.items import ItemsCheck, ListedItem
from prefect_collect.packages.file_sets.lists import ITEMS
from prefect_collect.packages.load_files.exceptions_check import is_written
from prefect_collect.packages.load_files.tables import comparable, read_table
from prefect_collect.packages.mail.format import MAIL
from prefect_collect.packages.mail.index import COLUMNS, INDEX
from prefect_collect.packages.mail.quoting import unquoted

_BETWEEN: Final = re.compile(rb"(?:\n\n?)?From [!-~]+ [A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}\n")
_LONGEST: Final = 1_000


class MailCheck(SetCheck):
    """The check of one mail set; call `run` once."""

    description: ClassVar[str] = MAIL.description

    def items_check(self, said: Mapping[str, Any]) -> ItemsCheck:
        """Return the check of the messages. Raise Damaged."""
        if said.get("messages") not in ("mbox", "eml"):
            raise Damaged("it does not state the form of messages as it should")
        return _Messages(self.files, is_mbox=said["messages"] == "mbox")


class _Messages(ItemsCheck):
    def __init__(self, files: BagFiles, *, is_mbox: bool) -> None:
        super().__init__(files, MAIL.payload)
        self._is_mbox = is_mbox
        self._rows = read_table(files, INDEX, COLUMNS)
        self._is_index_wrong = False
        # About 90 bytes for each message of an mbox file.
        self._files: dict[int, tuple[str, array[int], _Digests]] = {}

    def add(self, item: ListedItem) -> None:
        """Compare a message with the index, and keep its place."""
        row = next(self._rows, None)
        length = item.size if item.length is None else item.length
        said = [item.path, str(item.offset or 0), str(length), comparable(item.item_id), item.sha256]
        if not self._is_index_wrong and (
            row is None or [*map(csv_text, row[:3]), comparable(csv_text(row[3])), row[12]] != said
        ):
            self._is_index_wrong = True
            self.problems.add(INDEX, f"row {self.items:,} is not the message that the list of items has there")
        if row is not None and not self._is_index_wrong:
            self._compare_origin(row, item)
        if (item.offset is not None) is not self._is_mbox:
            self.problems.add(item.path, "the list of items gives another kind of place than the description states")
        elif item.offset is not None:
            _, places, digests = self._files.setdefault(item.number, (item.path, array("q"), _Digests()))
            places.extend((item.offset, length))
            sha256 = bytes.fromhex(item.sha256) if re.fullmatch("[0-9a-f]{64}", item.sha256) else bytes(32)
            digests.add(sha256, *item.hashes)

    def _compare_origin(self, row: Sequence[str], item: ListedItem) -> None:
        """Compare what the index says of where a message comes from."""
        expected = {"Folder": item.original_path.rpartition("/")[0]}
        if self.has_custodians:
            expected["Custodian"] = item.custodian
        for name, text in expected.items():
            if not is_written(row[COLUMNS.index(name)], text):
                self.problems.add(INDEX, f"row {self.items:,} has another {name!r} than the list of items states")

    def finish(self) -> None:
        """Undo the quoting of every message in the mbox files, and compare its hash."""
        if not self._is_index_wrong and next(self._rows, None) is not None:
            self.problems.add(INDEX, f"it has more than the {self.items:,} messages of the list of items")
        for path, places, digests in self._files.values():
            entry = self.files.entry(path)
            if entry is None:
                continue
            try:
                self._prove(path, entry, places, digests)
            except Damaged as error:
                self.problems.add(path, str(error))

    def _prove(self, path: str, entry: Entry, places: array[int], digests: _Digests) -> None:
        """Compare the messages of an mbox file, which the list of items may have in another order. Raise Damaged."""
        reader, at = _Ahead(self.files.chunks(entry)), 0
        listed = np.frombuffer(places, np.int64).reshape(-1, 2)
        for number, row in enumerate(np.argsort(listed[:, 0], kind="stable").tolist()):
            offset, length = listed[row].tolist()
            if offset < at or offset - at > _LONGEST or not _BETWEEN.fullmatch(b"".join(reader.take(offset - at))):
                raise Damaged(f"the line From before message {number + 1:,} is not where the list of items has it")
            expected = digests.of(row)
            states = [(digest, getattr(hashlib, name)(usedforsecurity=False)) for name, digest in expected.items()]
            for data in unquoted(reader.take(length)):
                for _, state in states:
                    state.update(data)
            wrong = [state.name for digest, state in states if state.digest() != digest]
            if "sha256" in wrong:
                self.problems.add(path, f"message {number + 1:,}, unquoted, is not the item that was collected")
            elif wrong:
                names = " and ".join(wrong).upper()
                self.problems.add(path, f"message {number + 1:,}, unquoted, has another {names} than {ITEMS} states")
            at = offset + length
        if entry.size - at > 2 or b"".join(reader.take(entry.size - at)) not in (b"\n", b"\n\n"):
            raise Damaged("it has more than the messages that the list of items has in it")


class _Digests:
    """The hashes that are stated of the messages of a file, by their order in the list of items."""

    _ALGORITHMS: Final = (("sha256", 32), ("md5", 16), ("sha1", 20))

    def __init__(self) -> None:
        self._held = {name: bytearray() for name, _ in self._ALGORITHMS}
        self._stated = {name: bytearray() for name, _ in self._ALGORITHMS}

    def add(self, *digests: bytes | None) -> None:
        """Add those of a message: its SHA-256, MD5 and SHA-1."""
        for (name, size), digest in zip(self._ALGORITHMS, digests, strict=True):
            self._stated[name].append(digest is not None)
            self._held[name] += bytes(size) if digest is None else digest

    def of(self, row: int) -> dict[str, bytes]:
        """Return those that are stated of a message, by algorithm."""
        return {
            name: bytes(self._held[name][size * row : size * row + size])
            for name, size in self._ALGORITHMS
            if self._stated[name][row]
        }


class _Ahead:
    """The bytes of a file, in order, so many at a time."""

    def __init__(self, chunks: Iterator[bytes | memoryview]) -> None:
        self._chunks, self._held = chunks, memoryview(b"")

    def take(self, size: int) -> Iterator[bytes]:
        """Yield the next `size` bytes. Raise Damaged if there are fewer."""
        while size:
            if not self._held:
                chunk = next(self._chunks, None)
                if chunk is None:
                    raise Damaged("it ends before its messages do")
                self._held = memoryview(bytes(chunk))
            data, self._held = self._held[:size], self._held[size:]
            size -= len(data)
            yield bytes(data)
