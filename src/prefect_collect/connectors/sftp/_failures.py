"""The SourceErrors of SFTP: of a server's status codes, and of what ``ssh`` says when it ends."""

from __future__ import annotations

import re
from typing import Final

from prefect_collect.connectors.errors import source_error
from prefect_collect.errors import SourceError

_CODES: Final = {
    2: "not_found",
    3: "access_denied",
    4: "read_error",
    5: "read_error",
    6: "connection_lost",
    7: "connection_lost",
    10: "not_found",
    13: "read_error",
    21: "not_found",
}
"""The codes of statuses of draft-ietf-secsh-filexfer-02 and, from 9 on, -13; others are the server's own failure."""

_MEANINGS: Final = {
    2: "There is no such file",
    3: "The server does not allow it; grant it to the user of the SFTP server",
    4: "The server cannot do it",
    5: "The server does not accept the name or the request",
    8: "The server does not know this request",
}

_SAID: Final = (
    (r"REMOTE HOST IDENTIFICATION HAS CHANGED|host key for .* has changed", "bad_credentials",
     "The host key of the server is another than known_hosts has, which an attack looks like too: ask the server's "
     "owner, and only then replace the line"),
    (r"host key is known for|Host key verification failed", "bad_credentials", "The server's host key is not known"),
    (r"Permission denied|Too many authentication failures|no mutual signature|Load key|UNPROTECTED PRIVATE KEY",
     "bad_credentials", "The server does not accept the user or the key"),
    (r"Bad configuration option|Bad owner or permissions|no matching (?:host key|key exchange|cipher|mac)",
     "bad_credentials", "ssh cannot be used as it is configured"),
    (r"subsystem request failed", "source_error", "The server has no SFTP for this user"),
    (r"Could not resolve hostname", "connection_lost", "The server's name is not known"),
    (r"timed out|Timeout, server .* not responding", "timeout", "The server did not answer in time"),
)  # fmt: skip
"""What OpenSSH's ssh says, the code, and the message's beginning; the first that fits counts."""


def status_error(code: int, said: str, place: str) -> SourceError:
    """Return the error of a STATUS.

    Args:
        code: The status.
        said: The server's text; it may be empty.
        place: The location, in which the error's message ends.
    """
    meaning = _MEANINGS.get(code, "The server failed")
    return source_error(_CODES.get(code, "source_error"), f"{meaning} (SFTP status {code}: {said or '-'})", place)


def ssh_error(said: str, place: str) -> SourceError:
    """Return the error of an ``ssh`` that has ended, by what it wrote."""
    last = " ".join(said.split())[-600:].removeprefix("ssh: ")  # the message says that it is of ssh
    for pattern, code, meaning in _SAID:
        if re.search(pattern, said, re.IGNORECASE):
            return source_error(code, f"{meaning} (ssh: {last})", place)
    if not last:
        return source_error("connection_lost", "The connection broke", place)
    return source_error("connection_lost", f"The connection could not be made, or broke (ssh: {last})", place)


def is_unknown_host(error: SourceError) -> bool:
    """Return whether an error says that the host key is not known."""
    return error.code == "bad_credentials" and "host key is not known" in str(error)
