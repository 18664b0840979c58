"""Reading a JSON file that is one array, element by element, so that memory does not grow with the file."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, Final

from prefect_collect.connectors.foreign_exports.edrm_xml import BadList

_LONGEST: Final = 16 << 20
"""The most characters of one element."""

_BETWEEN: Final = re.compile(r"[\s,]*")
_DECODER: Final = json.JSONDecoder()


def elements(pieces: Iterable[bytes | memoryview]) -> Iterator[dict[str, Any]]:
    """Yield the objects of an array; other elements are passed over. Raise BadList where it is not an array."""
    decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
    text, at, is_open = "", 0, False
    for piece in chain(pieces, [None]):
        text = text[at:] + decoder.decode(b"" if piece is None else bytes(piece), final=piece is None)
        at = 0
        if not is_open:
            at = _after_space(text, 0)
            if at == len(text) and piece is not None:
                continue
            if not text.startswith("[", at):
                raise BadList("it is no JSON array")
            is_open, at = True, at + 1
        while True:
            at = _BETWEEN.match(text, at).end()  # type: ignore[union-attr]
            if text.startswith("]", at):
                return
            try:
                element, at = _DECODER.raw_decode(text, at)
            except RecursionError as error:
                raise BadList("it is nested too deep") from error
            except ValueError as error:
                if piece is None or len(text) - at > _LONGEST:
                    raise BadList(f"it is no whole JSON array: {error}") from error
                break
            if isinstance(element, dict):
                yield element


def _after_space(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at
