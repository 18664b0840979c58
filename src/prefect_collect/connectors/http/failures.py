"""The SourceErrors of HTTP's statuses (RFC 9110, RFC 6585)."""

from __future__ import annotations

import re
from typing import Final

from prefect_collect.connectors.errors import source_error
from prefect_collect.errors import SourceError

_CODES: Final = {
    401: "bad_credentials",
    403: "access_denied",
    404: "not_found",
    407: "bad_credentials",
    408: "timeout",
    410: "not_found",
    412: "changed_during_read",
    416: "changed_during_read",
    423: "source_error",
    429: "throttled",
    503: "throttled",
    504: "timeout",
}
_MEANINGS: Final = {
    401: "The server refuses the credentials, or asks for some; set the source's user and password, token or headers",
    403: "The server does not allow it; grant it to the source's user",
    404: "There is nothing at this address",
    405: "The server does not know this request",
    407: "The proxy refuses the credentials, or asks for some",
    410: "There is nothing at this address any more",
    412: "The item is another than was listed",
    416: "The item is shorter than it was",
    423: "The item is locked at the server",
    429: "The server limits the requests",
    503: "The server is too busy",
    507: "The server cut the listing",
}
_MARKUP: Final = re.compile(r"<(?:script|style)\b.*?</(?:script|style)>|<[^>]*>|<[^>]*\Z", re.DOTALL | re.IGNORECASE)
_SAID: Final = 200


def status_error(status: int, place: str, body: bytes = b"", *, stated: float | None = None) -> SourceError:
    """Return the error of an answer's status.

    Args:
        status: The status.
        place: The location, in which the message ends.
        body: The beginning of the answer's body, whose text the message repeats.
        stated: The seconds of its Retry-After.
    """
    code = _CODES.get(status) or ("source_error" if status >= 500 else "unexpected_error")
    meaning = _MEANINGS.get(status, "The server failed" if status >= 500 else "The server refuses it")
    if stated is not None and code == "throttled":
        meaning += f"; it asks for a pause of {stated:,.0f} seconds"
    said = " ".join(_MARKUP.sub(" ", body[:4096].decode("utf-8", "replace")).split())[:_SAID]
    answer = f"{status}: {said}" if said else str(status)
    return source_error(code, f"{meaning} (HTTP {answer})", place, status)
