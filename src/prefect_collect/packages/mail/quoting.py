r"""Quoting lines of a message that begin with From, as mboxrd does, and undoing it.

A line that matches ``^>*From `` gets one ``>`` more, so that none in the mbox file begins with ``From `` but the line
before each message; one less gives the line back: ``re.sub(rb"(?m)^>(>*From )", rb"\1", data)``. Source:
https://doc.dovecot.org/main/core/config/mailbox_formats/mbox.html and https://www.loc.gov/preservation/digital/formats/fdd/fdd000385.shtml
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from prefect_collect.archive.problems import Damaged

_FIRST: Final = re.compile(rb">*From ")
_NEXT: Final = re.compile(rb"\n>*From ")
_OPEN: Final = re.compile(rb">*(F(?:r(?:om?)?)?)?")
_WORD: Final = len(b"From ")


class _Lines:
    """Finds, while bytes pass by, where lines have ``From `` after nothing but ``>``.

    What may be the beginning of such a word at the end of the bytes is held until the next ones.
    """

    def __init__(self, *, keeps_mark: bool) -> None:
        self._keeps_mark = keeps_mark
        self._is_start = True
        self.held = b""

    def split(self, chunk: bytes | memoryview) -> tuple[bytes, list[int]]:
        """Return the bytes that are certain, and where in them such a word begins."""
        data = self.held + bytes(chunk)
        first = _FIRST.match(data) if self._is_start else None
        found = [] if first is None else [first.end() - _WORD]
        found += [match.end() - _WORD for match in _NEXT.finditer(data)]
        start = data.rfind(b"\n") + 1
        tail = _OPEN.fullmatch(data, start) if start or self._is_start else None
        self._is_start = tail is not None
        held = 0 if tail is None else len(tail[1] or b"")
        if tail is not None and self._keeps_mark and len(data) - held > start:
            held += 1  # the last ">", which is to be removed if the word follows
        self.held = data[len(data) - held :] if held else b""
        return data[: len(data) - held], found


def quoted(chunks: Iterable[bytes | memoryview]) -> Iterator[bytes | None]:
    """Yield the bytes of a message, and None wherever a ``>`` is to be put between them."""
    lines = _Lines(keeps_mark=False)
    for chunk in chunks:
        data, found = lines.split(chunk)
        at = 0
        for place in found:
            if place > at:
                yield data[at:place]
            yield None
            at = place
        if at < len(data):
            yield data[at:]
    if lines.held:
        yield lines.held


def unquoted(chunks: Iterable[bytes | memoryview]) -> Iterator[bytes]:
    """Yield the bytes of a message without the ``>`` that were added. Raise Damaged if one is missing."""
    lines = _Lines(keeps_mark=True)
    for chunk in chunks:
        data, found = lines.split(chunk)
        at = 0
        for place in found:
            if place == 0 or data[place - 1 : place] != b">":
                raise Damaged("a line of it begins with From and is not quoted")
            yield data[at : place - 1]
            at = place
        if at < len(data):
            yield data[at:]
    if lines.held:
        yield lines.held
