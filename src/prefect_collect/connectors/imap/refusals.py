"""The SourceErrors of what an IMAP server refuses (RFC 5530's response codes, and the words of those without)."""

from __future__ import annotations

import re
from typing import Final

from prefect_collect.connectors.errors import source_error
from prefect_collect.errors import SourceError

_CODES: Final = {
    "AUTHENTICATIONFAILED": "bad_credentials",
    "AUTHORIZATIONFAILED": "bad_credentials",
    "EXPIRED": "bad_credentials",
    "PRIVACYREQUIRED": "bad_credentials",
    "CONTACTADMIN": "access_denied",
    "NOPERM": "access_denied",
    "NONEXISTENT": "not_found",
    "TRYCREATE": "not_found",
    "EXPUNGEISSUED": "not_found",
    "INUSE": "throttled",
    "LIMIT": "throttled",
    "OVERQUOTA": "throttled",  # Gmail: commands or bytes of a day
    "THROTTLED": "throttled",
    "UNAVAILABLE": "source_error",
    "SERVERBUG": "source_error",
    "CORRUPTION": "source_error",
}
_WORDS: Final = (
    (
        "throttled",
        r"too many|throttl|maximum number of connections|connection limit|exceeded.{0,40}limit|rate limit|try again",
    ),
    ("source_error", r"not connected|unavailable|internal|system error|temporar"),
    ("not_found", r"(does ?n.t|not) exist|unknown (mailbox|folder|namespace)|no such (mailbox|folder)|no longer exist"),
    ("access_denied", r"permission|access denied|not allowed|read acl"),
)
_CODE: Final = re.compile(r"\s*\[([A-Za-z0-9.-]+)[^\]]*\]")
_LIMITED: Final = re.compile(r"connections|\[LIMIT\]|\[INUSE\]", re.IGNORECASE)
_EXPIRED: Final = re.compile(r"session expired|token.{0,20}expired|AUTHENTICATIONFAILED|\[EXPIRED\]", re.IGNORECASE)


def refused(kind: str, text: str, place: str, *, at_login: bool = False) -> SourceError:
    """Return the error of an answer of the server.

    Args:
        kind: NO, BAD or BYE.
        text: The server's text, which may begin with a response code in brackets.
        place: The location, in which the message ends.
        at_login: The answer is to the credentials: without another reason, they are wrong.
    """
    code = _code(kind, text, at_login)
    what = {"throttled": "The server limits the requests", "bad_credentials": "The server refuses the credentials"}
    said = f"{what.get(code, 'The server refuses')} ({kind} {text.strip()})"
    if code == "bad_credentials":
        said += "; set the password, or a token that has not expired"
    return source_error(code, said, place)


def _code(kind: str, text: str, at_login: bool) -> str:
    stated = _CODE.match(text)
    if stated and stated[1].upper() in _CODES:
        return _CODES[stated[1].upper()]
    for code, words in _WORDS:
        if re.search(words, text, re.IGNORECASE):
            return code
    if at_login and kind != "BYE":
        return "bad_credentials"
    if kind == "BYE":
        return "bad_credentials" if _EXPIRED.search(text) else "connection_lost"
    return "source_error" if kind == "NO" else "unexpected_error"


def is_of_connections(error: SourceError) -> bool:
    """Return whether the server refuses a login because the user has too many connections."""
    return error.code == "throttled" and _LIMITED.search(str(error)) is not None
