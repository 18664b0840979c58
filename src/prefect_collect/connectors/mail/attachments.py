"""The names of a message's attachments, found in the headers of its parts while its bytes pass by."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from prefect_collect.connectors.mail import texts

_KEPT: Final = 16 << 10
"""The bytes before the end of a piece that are looked at again with the next one: no longer header of a part counts."""

_MOST: Final = 1_000
"""The most names that are kept."""

_FIELD: Final = rb"[!-9;-~]{1,200}:[^\n]{0,2000}\n(?:[ \t][^\n]{0,2000}\n){0,20}"
_PART: Final = re.compile(rb"\n--[^\r\n]{1,200}\r?\n((?:" + _FIELD + rb"){1,20})")
"""A line that may be a boundary, and the header of the part after it."""

_FOLDED: Final = re.compile(rb"\r?\n[ \t]")
_NAMING: Final = {b"content-disposition": "filename", b"content-type": "name"}
_PARAMETER: Final = re.compile(r';\s*([^\s;="]{1,200})\s*=\s*(?:"((?:[^"\\]|\\.){0,2000})"|([^;\s]{1,2000}))')


class Attachments:
    """Reads a message's pieces as they pass by; `names` are those of its attachments so far."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._tail = b""
        self._looked = 0

    def passing(self, pieces: Iterable[bytes | memoryview]) -> Iterator[bytes | memoryview]:
        """Yield the pieces; look at each."""
        for piece in pieces:
            self._look(bytes(piece), at_end=False)
            yield piece
        self._look(b"", at_end=True)

    def _look(self, piece: bytes, *, at_end: bool) -> None:
        data = self._tail + piece
        at = 0
        for found in _PART.finditer(data):
            if found.end() == len(data) and not at_end:
                break  # the header may go on in the next piece
            at = found.end() - 1  # its last line feed may be that before the next boundary
            if len(self.names) < _MOST and (name := _name(found[1])):
                self.names.append(name)
        self._tail = data[max(at, len(data) - _KEPT) :]


def _name(header: bytes) -> str:
    """Return the file name in a part's header; "" if it has none."""
    fields: dict[bytes, str] = {}
    for line in _FOLDED.sub(b" ", header).split(b"\n"):
        name, _, value = line.partition(b":")
        fields.setdefault(name.strip().lower(), texts.plain(value))
    for field, wanted in _NAMING.items():
        pairs = [(name.lower(), quoted or bare) for name, quoted, bare in _PARAMETER.findall(fields.get(field, ""))]
        if found := texts.parameter(pairs, wanted):
            return found
    return ""
