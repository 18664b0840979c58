"""A server's side of NTLM for the tests, by pyspnego: it proves connections, as Windows' server of HTTP does."""

from __future__ import annotations

import os
import threading
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import spnego
from spnego.channel_bindings import GssChannelBindings
from spnego.exceptions import SpnegoError

DOMAIN, USER, PASSWORD = "CORP", "ann", "not-a-secret"
"""The one user."""


@dataclass
class Ntlm:
    """Lets requests to an application pass on connections on which a user was proved.

    Attributes:
        users: The file of the users.
        scheme: ``NTLM`` or ``Negotiate``.
        also: Other schemes that are offered, and never accepted.
        joined: How the challenge, as ``{0}``, stands in its header with others.
        each: Every request is to be proved anew, not the connection.
        binding: What exchanges must be bound to; None to accept any.
        proved: The connections that were proved, by their ports, with the user.
        refused: How many exchanges ended in a refusal.
        torn: How many exchanges went on on another connection.
        carried: How many requests each connection carried after it was proved.
        headers: The values of Authorization, in the order of arrival.
    """

    users: Path
    scheme: str = "NTLM"
    also: tuple[str, ...] = ()
    joined: str = "{0}"
    each: bool = False
    binding: bytes | None = None
    proved: dict[str, str] = field(default_factory=dict)
    refused: int = 0
    torn: int = 0
    carried: dict[str, int] = field(default_factory=dict)
    headers: list[str] = field(default_factory=list)
    _exchanges: dict[str, Any] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __post_init__(self) -> None:
        """Write the file of the users."""
        self.set_password(PASSWORD)

    def set_password(self, password: str) -> None:
        """Accept this password alone."""
        self.users.write_text(f"{DOMAIN}:{USER}:{password}\n")

    def guard(self, app: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
        """Return the application behind this."""

        def guarded(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
            port = environ["REMOTE_PORT"]
            with self._lock:
                token = self._judged(port, environ.get("HTTP_AUTHORIZATION", ""))
            if token is None:
                return app(environ, start_response)
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            challenges = [("WWW-Authenticate", self.joined.format(f"{self.scheme} {token}".strip()))]
            challenges += [("WWW-Authenticate", one) for one in self.also]
            start_response("401 Unauthorized", [*challenges, ("Content-Length", "6"), ("Content-Type", "text/plain")])
            return [b"refuse"]

        return guarded

    def _judged(self, port: str, header: str) -> str | None:
        """Return the token of the answer that refuses a request; None if it is accepted."""
        if header:
            self.headers.append(header)
        scheme, _, token = header.partition(" ")
        if scheme == self.scheme:
            self.proved.pop(port, None)
            return self._stepped(port, b64decode(token))
        if port not in self.proved or self.each:
            return ""
        self.carried[port] = self.carried.get(port, 0) + 1
        return None

    def _stepped(self, port: str, token: bytes) -> str | None:
        protocol = "ntlm" if self.scheme == "NTLM" else "negotiate"
        use = spnego.NegotiateOptions.use_ntlm if protocol == "ntlm" else spnego.NegotiateOptions.use_negotiate
        bound = None if self.binding is None else GssChannelBindings(application_data=self.binding)
        with patch.dict(os.environ, NTLM_USER_FILE=str(self.users)):
            exchange = self._exchanges.pop(port, None) or spnego.server(protocol=protocol, options=use)
            try:
                answer = exchange.step(token, channel_bindings=bound)
            except SpnegoError:
                self.refused += 1
                return ""
            except (ValueError, StopIteration):  # the second message on a connection that had not the first
                self.torn += 1
                return ""
        if exchange.complete:
            self.proved[port] = str(exchange.client_principal)
            self.carried[port] = 1
            return None
        self._exchanges[port] = exchange
        return b64encode(answer or b"").decode()
