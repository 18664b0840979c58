"""Who may use the console: tokens, the sessions that they open, and the roles of their users."""

from __future__ import annotations

import hmac
import secrets
import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Final

from prefect_collect.console.recent import Recent
from prefect_collect.console.roles import Role
from prefect_collect.errors import UsageError

SESSION_SECONDS: Final = 12 * 3600.0
"""Seconds after which a session that was not used has ended."""

MOST_FAILURES: Final = 10
"""The most refused tokens within `FAILURE_SECONDS` from one address; more from there are refused unseen."""

FAILURE_SECONDS: Final = 60.0

_MOST_ADDRESSES: Final = 10_000
_MOST_SESSIONS: Final = 10_000
_SHORTEST_TOKEN: Final = 16
_TOKEN_BYTES: Final = 32


@dataclass(frozen=True)
class Grant:
    """A token with what it gives: the name of its user, which the custody logs show, and a role."""

    user: str
    role: Role
    token: str = field(repr=False)


@dataclass(frozen=True)
class Session:
    """A user who has logged in.

    Attributes:
        user: The name that the custody logs show.
        role: What the user may do.
        csrf: The token that each request of a page must carry that changes something.
    """

    user: str
    role: Role
    csrf: str = field(repr=False)

    @property
    def may_operate(self) -> bool:
        """True if the user may change jobs and sources."""
        return self.role is Role.OPERATE


class Access:
    """The tokens that are accepted, and the sessions that are open; used from several threads."""

    def __init__(self, grants: Iterable[Grant], *, clock: Callable[[], float] = monotonic) -> None:
        self._grants = tuple(grants)
        self._clock = clock
        self._lock = threading.Lock()
        self._sessions: dict[str, tuple[Session, float]] = {}
        self._failures: Recent[str, deque[float]] = Recent(_MOST_ADDRESSES)

    def is_limited(self, address: str) -> bool:
        """Return whether tokens from an address are refused unseen, as many were refused lately."""
        with self._lock:
            failures = self._failures.get(address)
            return (
                failures is not None
                and len(failures) == MOST_FAILURES
                and self._clock() - failures[0] < FAILURE_SECONDS
            )

    def grant(self, token: str, address: str) -> Grant | None:
        """Return what a token gives; None if it is not accepted, or too many from that address were refused lately."""
        if self.is_limited(address):
            return None
        given = token.encode("utf-8", "surrogatepass")
        # All are compared, so that the time tells nothing.
        found = [one for one in self._grants if hmac.compare_digest(one.token.encode(), given)]
        if not found:
            self._note_failure(address)
            return None
        return found[0]

    def open(self, token: str, address: str) -> str | None:
        """Open a session, and return the secret that names it; None if the token is not accepted."""
        found = self.grant(token, address)
        if found is None:
            return None
        key = secrets.token_urlsafe(_TOKEN_BYTES)
        session = Session(found.user, found.role, secrets.token_urlsafe(_TOKEN_BYTES))
        with self._lock:
            self._drop_ended()
            while len(self._sessions) >= _MOST_SESSIONS:
                self._sessions.pop(next(iter(self._sessions)))
            self._sessions[key] = session, self._clock() + SESSION_SECONDS
        return key

    def session(self, key: str) -> Session | None:
        """Return the session of that secret, and renew it; None if it has ended."""
        now = self._clock()
        with self._lock:
            found = self._sessions.get(key)
            if found is None or found[1] < now:
                return None
            self._sessions[key] = found[0], now + SESSION_SECONDS
        return found[0]

    def close(self, key: str) -> None:
        """End a session."""
        with self._lock:
            self._sessions.pop(key, None)

    def _note_failure(self, address: str) -> None:
        with self._lock:
            self._failures.of(address, lambda: deque(maxlen=MOST_FAILURES)).append(self._clock())

    def _drop_ended(self) -> None:
        now = self._clock()
        for key in [key for key, (_, ends) in self._sessions.items() if ends < now]:
            del self._sessions[key]


def new_token() -> str:
    """Return a new token of 256 random bits."""
    return secrets.token_urlsafe(_TOKEN_BYTES)


def read_grants(path: Path) -> list[Grant]:
    """Return the grants in a file with a line ``role user token`` for each; ``#`` begins a comment.

    Raises:
        UsageError: The file cannot be read, or others than its owner can read it; a line is not of that form; a token
            has less than 16 characters.
    """
    try:
        mode = path.stat().st_mode
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"The file of tokens cannot be read: {error} [{path}]") from error
    if mode & 0o077:
        raise UsageError(f"Others can read the file of tokens; run chmod 600. [{path}]")
    grants = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        words = line.split()
        if len(words) != 3 or words[0] not in list(Role):
            raise UsageError(f"A line of the file of tokens is not 'view|operate USER TOKEN'. [{path}, line {number}]")
        if len(words[2]) < _SHORTEST_TOKEN:
            raise UsageError(f"A token has less than {_SHORTEST_TOKEN} characters. [{path}, line {number}]")
        grants.append(Grant(words[1], Role(words[0]), words[2]))
    if not grants:
        raise UsageError(f"The file of tokens has no token. [{path}]")
    return grants
