"""Reads XML that others wrote, piece by piece as it arrives: bounded in depth and in the length of a tag, no entities.

It drives expat itself: defusedxml, which refuses entities too, bounds neither the depth nor what has to be held of a
tag that has not ended: 3 MB of a million nested tags make its parser use 413 MB.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from xml.parsers import expat

LONGEST_TAG: Final = 4 << 20
"""The most bytes of a tag (with its attributes), or of a comment: expat reads it again with each piece."""


class XmlReader:
    """A parser that is fed a document in pieces, and calls a function for each of its elements.

    Args:
        bad: The error that is raised for every document that is not read; it is made of a text that says why.
        start: Called with the name and the attributes of an element when it begins.
        end: Called with the name of an element when it ends.
        most_deep: The most elements within each other.
        text: Called with text, in pieces that are as long as the document's pieces allow.
        has_namespaces: Whether a name is preceded by its namespace and a space.

    Attributes:
        depth: How many elements are open; one that begins or ends counts.
    """

    def __init__(
        self,
        bad: Callable[[str], Exception],
        start: Callable[[str, dict[str, str]], None],
        end: Callable[[str], None],
        *,
        most_deep: int,
        text: Callable[[str], None] | None = None,
        has_namespaces: bool = False,
    ) -> None:
        self.depth = 0
        self._bad, self._start, self._end, self._most_deep = bad, start, end, most_deep
        self._fed = 0
        self._has_begun = False
        parser = expat.ParserCreate(namespace_separator=" " if has_namespaces else None)
        parser.buffer_text = True
        parser.StartElementHandler = self._started
        parser.EndElementHandler = self._ended
        parser.CharacterDataHandler = text
        parser.StartDoctypeDeclHandler = self._refuse
        parser.EntityDeclHandler = self._refuse
        parser.ExternalEntityRefHandler = self._refuse
        parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
        self._parser = parser

    def feed(self, data: bytes, last: bool = False) -> None:
        """Read the next bytes; with `last`, none follow. Raise the error given for documents that are not read."""
        self._fed += len(data)
        try:
            self._parser.Parse(data, last)
        except expat.ExpatError as error:
            raise self._bad(f"it is no whole XML document: {expat.errors.messages.get(error.code, error)}") from error
        except (ValueError, LookupError) as error:
            if self._has_begun:
                raise
            raise self._bad("its encoding is not read here: it has to be UTF-8, UTF-16 or of single bytes") from error
        if self._fed - max(self._parser.CurrentByteIndex, 0) > LONGEST_TAG:
            raise self._bad(f"a tag or comment in it has more than {LONGEST_TAG >> 20} MiB")

    def _refuse(self, *_: object) -> int:
        self._has_begun = True
        raise self._bad("it has a document type or entities, which are not read")

    def _started(self, name: str, attributes: dict[str, str]) -> None:
        self._has_begun = True
        self.depth += 1
        if self.depth > self._most_deep:
            raise self._bad(f"its elements are more than {self._most_deep} deep")
        self._start(name, attributes)

    def _ended(self, name: str) -> None:
        self._end(name)
        self.depth -= 1
