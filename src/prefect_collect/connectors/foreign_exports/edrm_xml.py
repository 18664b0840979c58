"""Reading an EDRM XML load file piece by piece, as Google Vault writes its metadata.

The format is EDRM's XML Interchange Format (https://edrm.net/resources/frameworks-and-standards/edrm-model/production/
edrm-xml/): ``Document`` elements with ``Tag`` elements (name and value as attributes), and the names of their files in
``ExternalFile`` elements. Document types and entities are refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from prefect_collect.connectors.foreign_exports.documents import Document
from prefect_collect.untrusted.bounded_xml import XmlReader

_DEPTH: Final = 32
_MOST_TAGS: Final = 500
_MOST_FILES: Final = 100
_MESSAGE_IDS: Final = frozenset({"rfc822messageid", "messageid", "gmailmessageid", "internetmessageid"})
ALGORITHMS: Final = {32: "md5", 40: "sha1", 64: "sha256"}
"""The algorithm of a checksum, by the number of its hex digits."""

_HASH: Final = re.compile(r"[0-9a-fA-F]{32,64}")
LISTED: Final = "export."
"""How the names of what an export says begin in an item's metadata."""


class BadList(ValueError):
    """A list of an export cannot be read; the text says why."""


def documents(pieces: Iterable[bytes | memoryview]) -> Iterator[Document]:
    """Yield the documents of an EDRM XML file, as it arrives. Raise BadList, after those before what is wrong."""
    reader = _Reader()
    for piece in pieces:
        reader.feed(bytes(piece))
        yield from reader.taken()
    reader.feed(b"", last=True)
    yield from reader.taken()


class _Reader:
    def __init__(self) -> None:
        self._found: list[Document] = []
        self._id = self._size = ""
        self._tags: dict[str, str] = {}
        self._files: list[str] = []
        self._hashes: list[tuple[str, str, str]] = []
        self._xml = XmlReader(BadList, self._start, self._end, most_deep=_DEPTH)
        self.feed = self._xml.feed

    def taken(self) -> list[Document]:
        """Return the documents that were read since the last call."""
        found, self._found = self._found, []
        return found

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if self._xml.depth == 1 and name != "Root":
            raise BadList(f"it is <{name[:40]}> and not <Root> of EDRM XML")
        if name == "Document":
            self._id, self._tags, self._files, self._hashes = attributes.get("DocID", ""), {}, [], []
            self._size = ""
        elif name == "Tag" and len(self._tags) < _MOST_TAGS:
            tag = attributes.get("TagName", "")
            value = attributes.get("TagValue", "")
            self._tags[tag] = f"{self._tags[tag]}; {value}" if tag in self._tags else value
        elif name == "ExternalFile" and len(self._files) < _MOST_FILES and attributes.get("FileName"):
            path = "/".join(filter(None, (attributes.get("FilePath", ""), attributes["FileName"])))
            self._files.append(path)
            self._size = self._size or attributes.get("FileSize", "")
            if _HASH.fullmatch(stated := attributes.get("Hash", "")) and len(stated) in ALGORITHMS:
                self._hashes.append((path, ALGORITHMS[len(stated)], stated))

    def _end(self, name: str) -> None:
        if name == "Document":
            found = replace(document(self._id, self._files, self._tags), size=self._size)
            # A hash beside the name of a message is that of the message, and not of the file that holds it.
            self._found.append(found if found.messages else replace(found, digests=tuple(self._hashes)))


def document(doc_id: str, files: list[str], tags: dict[str, str]) -> Document:
    """Return a document of its id, the names of its files, and its tags."""
    messages = [value.strip() for tag, value in tags.items() if tag.lstrip("#").lower() in _MESSAGE_IDS]
    metadata = {f"{LISTED}id": doc_id} | {f"{LISTED}{tag.lstrip('#')}": value for tag, value in tags.items()}
    return Document(files[0] if files else doc_id, tuple(files), tuple(filter(None, messages)), metadata)
