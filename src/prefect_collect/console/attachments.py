"""Answers that a browser saves as a file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final
from urllib.parse import quote

from starlette.responses import StreamingResponse

_MOST_BYTES: Final = 200
_UNSAFE: Final = re.compile(r'[\x00-\x1f\x7f-\x9f"\\/:*?<>|\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]')
_IN_TOKENS: Final = "!#$&+-.^_`|~"
"""What an extended value may hold unescaped beside letters and digits (RFC 8187, attr-char)."""


def disposition(name: str, *, inline: bool = False) -> str:
    """Return a Content-Disposition that names a file (RFC 6266), with its full name in UTF-8 (RFC 8187).

    Characters that a file's name cannot hold everywhere, or that turn the writing direction, become ``_``.
    """
    safe = _shortened(_UNSAFE.sub("_", name).strip(". ") or "item")
    plain = safe.encode("ascii", "replace").decode().replace("?", "_").replace("%", "_")
    kind = "inline" if inline else "attachment"
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(safe.encode('utf-8', 'replace'), safe=_IN_TOKENS)}"


def saved(
    pieces: Iterable[bytes], *, name: str, size: int, media_type: str = "application/octet-stream"
) -> StreamingResponse:
    """Return an answer of that many bytes, saved under the name.

    The first piece is fetched before the answer begins, so that what is wrong from the start is an error page.
    """
    iterator = iter(pieces)
    first = next(iterator, b"")
    headers = {"Content-Disposition": disposition(name), "Content-Length": str(size)}
    return StreamingResponse(_joined(first, iterator), media_type=media_type, headers=headers)


def _joined(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield from chain([first], rest)


def _shortened(name: str) -> str:
    """Return the name with at most 200 bytes of UTF-8; its ending stays."""
    if len(name.encode("utf-8", "replace")) <= _MOST_BYTES:
        return name
    stem, dot, ending = name.rpartition(".")
    ending = f"{dot}{ending}" if stem and len(ending.encode("utf-8", "replace")) <= 20 else ""
    room = _MOST_BYTES - len(ending.encode("utf-8", "replace"))
    return name.encode("utf-8", "replace")[:room].decode("utf-8", "ignore") + ending
