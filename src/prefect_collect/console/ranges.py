"""Answers of which a client may ask for a part, so that it can continue an interrupted download (RFC 9110, 14)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from prefect_collect.console.attachments import disposition

_RANGE: Final = re.compile(r"bytes=\s*(\d*)-(\d*)\s*", re.ASCII | re.IGNORECASE)
_LONGEST_NUMBER: Final = 18


@dataclass(frozen=True)
class Span:
    """The bytes `start` to `end` (exclusive) of a file."""

    start: int
    end: int


class Unsatisfiable(Exception):
    """No byte of the wanted range is in the file: the answer is 416."""


def wanted_span(headers: Mapping[str, str], size: int, etag: str) -> Span | None:
    """Return the part that a request asks for; None for the whole file.

    A range is heeded only if it is one range of bytes, and the file is still the one that ``If-Range`` names: a client
    that gets the whole file starts again. Raise Unsatisfiable.
    """
    match = _RANGE.fullmatch(headers.get("range", ""))
    if match is None or match[1] == match[2] == "" or max(map(len, match.groups())) > _LONGEST_NUMBER:
        return None
    if headers.get("if-range", etag).strip() != etag:
        return None
    first, last = match.groups()
    if not first:
        span = Span(max(0, size - int(last)), size)
    else:
        span = Span(int(first), min(size, int(last) + 1) if last else size)
        if last and int(last) < int(first):
            return None
    if span.start >= span.end:
        raise Unsatisfiable
    return span


def file_answer(
    request: Request, name: str, size: int, etag: str, chunks: Callable[[int, int], Iterator[bytes]], media_type: str
) -> Response:
    """Return a file as an answer that a browser saves: whole, or the part that it asks for.

    Args:
        request: The request; for HEAD, only the headers are answered.
        name: The file's name.
        size: Its bytes.
        etag: Its strong entity tag, with quotes: other bytes must have another one.
        chunks: Yields the bytes from a start to an end (exclusive).
        media_type: Its type.
    """
    headers = {
        "Accept-Ranges": "bytes",
        "ETag": etag,
        "Content-Disposition": disposition(name),
        "Content-Security-Policy": "sandbox; default-src 'none'",
    }
    try:
        span = wanted_span(request.headers, size, etag)
    except Unsatisfiable:
        return Response(status_code=416, headers={**headers, "Content-Range": f"bytes */{size}"})
    status = 200
    if span is not None:
        status, headers["Content-Range"] = 206, f"bytes {span.start}-{span.end - 1}/{size}"
    start, end = (0, size) if span is None else (span.start, span.end)
    headers["Content-Length"] = str(end - start)
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=media_type)
    return StreamingResponse(chunks(start, end), status, headers=headers, media_type=media_type)
