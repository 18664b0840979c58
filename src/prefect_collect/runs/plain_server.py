"""Requests to Prefect's server without Prefect's client, whose import takes most of the time of a command that reads.

That import takes 0.9 s of CPU and 75 MB, this module's 0.05 s and 10 MB.

They are sent only where `prefect_settings` knows the server, and sent again only where the server has closed an idle
connection. Whatever else does not go as expected is left to Prefect's client, which repeats requests, has the server's
tokens, and knows what to say of a refusal.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import SplitResult, urlsplit

from prefect_collect.runs.prefect_settings import ConfiguredServer

if TYPE_CHECKING:
    from http.client import HTTPConnection

_ANSWERS_WITHIN: Final = 15.0
_MISSING: Final = 404
_OK: Final = 200


class AskPrefect(Exception):
    """The server did not answer as expected, so that Prefect's client is to be asked."""


class Misunderstood(ValueError):
    """An answer of good status is not one of Prefect's server."""


class PlainServer:
    """A connection to Prefect's server; made by `connected`."""

    def __init__(self, connection: HTTPConnection, path: str, headers: dict[str, str]) -> None:
        self._connection = connection
        self._path = path
        self._headers = headers
        self._has_answered = False

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """Send a request and return its answer from JSON; None if what a GET names is not there.

        It must be one that may be sent twice, as any that only reads.

        Raises:
            AskPrefect: There is another answer, or none.
        """
        from http.client import HTTPException

        sent = None if body is None else json.dumps(body)
        try:
            try:
                status, answer = self._answer(method, path, sent)
            except OSError as error:
                if not self._has_answered or isinstance(error, TimeoutError):
                    raise
                # The server closes a connection that is idle for some seconds, as between the pages of a long list.
                self._close()
                status, answer = self._answer(method, path, sent)
            if status == _MISSING and method == "GET":
                return None
            if status != _OK:
                raise AskPrefect(f"status {status}")
            return json.loads(answer)
        except (OSError, HTTPException, ValueError) as error:
            self._close()
            raise AskPrefect(str(error)) from error

    def _answer(self, method: str, path: str, sent: str | None) -> tuple[int, bytes]:
        self._connection.request(method, f"{self._path}{path}", sent, self._headers)
        with self._connection.getresponse() as response:
            answer = response.read()
        self._has_answered = True
        return response.status, answer

    def _close(self) -> None:
        """Close the connection; the next request makes another one."""
        self._connection.close()
        self._has_answered = False


@contextmanager
def connected(server: ConfiguredServer) -> Iterator[PlainServer]:
    """Yield a connection to the server, which is made by the first request.

    Raises:
        AskPrefect: The address is not a URL, or the certificates that are trusted cannot be read.
    """
    from http.client import HTTPException

    headers = {"Content-Type": "application/json", "User-Agent": "prefect-collect"}
    if server.auth_string is not None:
        headers["Authorization"] = f"Basic {b64encode(server.auth_string.encode()).decode()}"
    elif server.key is not None:
        headers["Authorization"] = f"Bearer {server.key}"
    try:
        address = urlsplit(server.url)
        connection = _connection(address)
    except (OSError, HTTPException, ValueError) as error:
        raise AskPrefect(str(error)) from error
    try:
        yield PlainServer(connection, address.path, headers)
    finally:
        connection.close()


def _connection(address: SplitResult) -> HTTPConnection:
    from http.client import HTTPConnection, HTTPSConnection

    if address.scheme != "https":
        return HTTPConnection(address.netloc, timeout=_ANSWERS_WITHIN)
    from ssl import create_default_context

    import certifi

    trusted = create_default_context(cafile=certifi.where())
    return HTTPSConnection(address.netloc, timeout=_ANSWERS_WITHIN, context=trusted)
