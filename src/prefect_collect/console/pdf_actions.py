"""Whether a PDF may do something by itself when a browser's viewer draws it: run a script, or send a form.

A viewer runs scripts also in a sandboxed frame (Chromium 156: the dialog of one opens over the console). Actions are
found by their names, which are readable also in an encrypted PDF, except in object streams (ISO 32000-1, 7.5.7): these
are unpacked, and one that is not plainly written is taken for one that hides an action.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from typing import Final

_ACTIONS: Final = re.compile(rb"/(?:JavaScript|SubmitForm|ImportData|Launch|XFA|RichMedia|Rendition)(?![A-Za-z0-9])")
_ESCAPED: Final = re.compile(rb"#([0-9A-Fa-f]{2})")
_STREAM: Final = re.compile(rb"stream\r?\n?")
_HIDDEN_TYPE: Final = re.compile(rb"/Type(?:[\0\t\n\f\r ]*%|[\0\t\n\f\r ]+(?![\0\t\n\f\r /]))")
"""A type that is written somewhere else, or behind a comment."""

_DICTIONARY: Final = re.compile(rb"\d[\0\t\n\f\r ]+obj[\0\t\n\f\r ]*<<([\0\t\n\f\r /A-Za-z0-9\[\]]*)>>[\0\t\n\f\r ]*\Z")
"""The dictionary before a stream, if it has neither texts nor comments nor other dictionaries."""

_FLATE: Final = re.compile(rb"/Filter[\0\t\n\f\r ]*\[?[\0\t\n\f\r ]*/FlateDecode(?![A-Za-z0-9])")
_MORE: Final = re.compile(rb"/(?:Filter|DecodeParms|DP|F|Crypt|[A-Za-z0-9]*Decode|Fl|AHx|A85|LZW|RL)(?![A-Za-z0-9])")
_MOST_ESCAPES: Final = 100_000
_MOST_UNPACKED: Final = 64 << 20
"""Bytes of all object streams that are looked into."""


class _Hidden(Exception):
    """The PDF has something that is not looked into."""


def may_act(pdf: bytes) -> bool:
    """Return whether a PDF names an action that a viewer may carry out by itself, or may hide one."""
    try:
        plain = _unescaped(pdf)
        return _ACTIONS.search(plain) is not None or any(
            _ACTIONS.search(_unescaped(part)) for part in _object_streams(plain, pdf)
        )
    except _Hidden:
        return True


def _unescaped(content: bytes) -> bytes:
    """Return content with the escapes that names may have (#4A for J); raise _Hidden if they are very many."""
    text, number = _ESCAPED.subn(lambda found: bytes([int(found[1], 16)]), content, count=_MOST_ESCAPES)
    if number == _MOST_ESCAPES:
        raise _Hidden
    return text


def _object_streams(plain: bytes, pdf: bytes) -> Iterator[bytes]:
    """Yield the unpacked object streams; raise _Hidden if one cannot be."""
    if b"ObjStm" not in plain:
        return
    if b"/Encrypt" in plain:
        raise _Hidden
    left, begin = _MOST_UNPACKED, 0
    for found in _STREAM.finditer(pdf):
        head, begin = _unescaped(pdf[begin : found.start()]), found.end()
        if _HIDDEN_TYPE.search(head):
            raise _Hidden
        if b"ObjStm" not in head:
            continue
        dictionary = _DICTIONARY.search(head)
        if dictionary is None or b"/ObjStm" not in dictionary[1]:
            raise _Hidden
        filters, flate = _FLATE.subn(b"", dictionary[1])
        if _MORE.search(filters):
            raise _Hidden
        if flate:
            part = _inflated(pdf, begin, left)
            left -= len(part)
            yield part


def _inflated(pdf: bytes, begin: int, most: int) -> bytes:
    end = pdf.find(b"endstream", begin)
    unpacker = zlib.decompressobj()
    try:
        part = unpacker.decompress(pdf[begin:end] if end >= 0 else b"", max(1, most))
    except zlib.error as error:
        raise _Hidden from error
    if not unpacker.eof:
        raise _Hidden
    return part
