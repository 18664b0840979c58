"""The SourceErrors of PostgreSQL: its SQLSTATEs, and the words of connections that were not made."""

from __future__ import annotations

import re
from typing import Final

from prefect_collect.connectors.sql.access import Access
from prefect_collect.errors import SourceError

_STATES: Final = {
    "28": "bad_credentials",
    "3D000": "not_found",
    "3F000": "not_found",
    "42P01": "not_found",
    "42704": "not_found",
    "42501": "access_denied",
    "57014": "source_error",
    "57P04": "not_found",
    "57P": "connection_lost",
    "08": "connection_lost",
    "25P03": "connection_lost",
    "25P04": "connection_lost",
    "53300": "throttled",
    "53": "source_error",
    "55P03": "timeout",
    "40": "source_error",
    "55": "source_error",
    "XX001": "read_error",
    "XX002": "read_error",
    "58": "read_error",
    "22": "read_error",
    "XX": "source_error",
}
"""Codes by SQLSTATE or its beginning (PostgreSQL's appendix A); the longest that fits counts."""

_WORDS: Final = (
    (
        "bad_credentials",
        r"password|authentication|no pg_hba\.conf entry|role .* does not exist|not permitted to log in|certificate",
    ),
    ("not_found", r"database .* does not exist"),
    ("access_denied", r"permission denied for database"),
    ("throttled", r"too many (clients|connections)|remaining connection slots"),
    ("timeout", r"timeout expired|timed out|ConnectionTimeout"),
)


def failure_of(access: Access, error: Exception) -> SourceError | None:
    """Return the error of an exception of psycopg; None for any other exception."""
    import psycopg

    if not isinstance(error, psycopg.Error):
        return None
    said = str(error.diag.message_primary or error)
    state = error.sqlstate
    if state is None:
        return access.error(_of_words(f"{type(error).__name__} {said}"), f"PostgreSQL: {said}")
    found = [prefix for prefix in _STATES if state.startswith(prefix)]
    code = _STATES[max(found, key=len)] if found else "unexpected_error"
    if code == "source_error" and "statement timeout" in said:
        code = "timeout"
    return access.error(code, f"PostgreSQL says {state}: {said}")


def _of_words(said: str) -> str:
    for code, words in _WORDS:
        if re.search(words, said, re.IGNORECASE):
            return code
    return "connection_lost"
