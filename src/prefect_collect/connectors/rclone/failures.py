"""What rclone's messages mean: they are those of the services, in words."""

from __future__ import annotations

import re
from typing import Final

from prefect_collect.connectors.errors import one_line, source_error
from prefect_collect.errors import SourceError

_MEANINGS: Final = (
    ("not_found", r"(?:directory|object|file) not found|no such file|\b404\b"),
    ("throttled", r"rate.?limit|too many requests|quota|\b429\b|slow.?down|throttl"),
    (
        "bad_credentials",
        r"invalid_grant|unauthori[sz]ed|\b401\b|invalid.{0,20}token|token.{0,30}expired|couldn't fetch token|failed to "
        r"(?:refresh|get) token|empty token|bad password|couldn't decrypt|find section in config|authenticat",
    ),
    ("access_denied", r"permission denied|access.?denied|forbidden|\b403\b|insufficient"),
    ("timeout", r"timeout|timed out|deadline exceeded"),
    ("connection_lost", r"connection (?:refused|reset)|no such host|\bEOF\b|broken pipe|unreachable|\btls\b"),
)
"""The codes by an expression over the messages, the first that matches; other messages are `source_error`."""

_COMPILED: Final = [(code, re.compile(expression, re.IGNORECASE)) for code, expression in _MEANINGS]
_URL: Final = re.compile(r"(https?://[^/\s\"']+)/[^\s\"']*")
_QUOTED: Final = re.compile(r"\"[^\"]*\"|'[^']*'|https?://\S+")
_LEFT_OUT: Final = re.compile(
    r"(?:NOTICE|ERROR|WARNING)\s*: ([^\n]*\b(?:skipp(?:ing|ed)|ignoring|can't (?:follow|transfer))\b[^\n]*)",
    re.IGNORECASE,
)


def rclone_error(message: str, place: str, status: int | None = None) -> SourceError:
    """Return the error of a message of rclone; `status` is that of its answer, 500 for almost every failure.

    Names in a message decide nothing, and of its URLs only the server is repeated: some services give files to whoever
    knows their address.
    """
    name = place.rstrip("/").rpartition("/")[2]
    words = _QUOTED.sub(" ", message)
    if name:
        words = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", " ", words)
    code = next((code for code, expression in _COMPILED if expression.search(words)), "source_error")
    return source_error(code, f"rclone says: {_shown(message) or 'nothing'}", place, status)


def left_out(log: str) -> str | None:
    """Return the first message of rclone's log by which it says that it leaves a file out; None if there is none."""
    found = _LEFT_OUT.search(log)
    return None if found is None else _shown(found[1])


def _shown(message: str) -> str:
    return one_line(_URL.sub(r"\1/…", message))
