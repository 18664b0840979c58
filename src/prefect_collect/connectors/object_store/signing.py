"""How requests to Google Cloud Storage and Azure Blob Storage are signed."""

from __future__ import annotations

import threading
from base64 import b64decode, b64encode
from collections.abc import Callable
from concurrent.futures import Future, wait
from email.utils import formatdate
from hashlib import sha256
from hmac import digest
from time import monotonic
from typing import Final, Protocol
from urllib.parse import parse_qsl

from prefect_collect.connectors.errors import source_error
from prefect_collect.threads.pool import in_background
from prefect_collect.threads.stop import current_stop

AZURE_VERSION: Final = "x-ms-version: 2023-11-03"
"""The header of the version of Azure's protocol."""

_FRESH: Final = 60.0
"""Seconds for which a token is used before it is asked for again; who gives it renews it minutes before its end."""

_PATIENCE: Final = 60.0
"""Seconds for which a request waits for a token."""

_LOOK: Final = 0.2
"""Seconds between two checks for a cancel."""

_SIGNED: Final = (
    "content-encoding", "content-language", "content-length", "content-md5", "content-type", "date",
    "if-modified-since", "if-match", "if-none-match", "if-unmodified-since", "range",
)  # fmt: skip
"""The headers that a shared key signs, in their order
(https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key)."""


class Signer(Protocol):
    """Signs requests."""

    def signed(self, method: str, path: str, query: str, lines: list[str]) -> tuple[str, list[str]]:
        """Return the query and the header lines of a request as they are sent. Raise SourceError.

        Args:
            method: The request's method.
            path: The path of its URL, percent-encoded.
            query: The query, without the question mark; "" for none.
            lines: Its header lines.
        """


class Unsigned:
    """Leaves requests as they are; or, for Azure, adds a shared access signature, which is part of the query.

    Args:
        signature: The signature.
    """

    def __init__(self, signature: str = "") -> None:
        self._signature = signature

    def signed(self, method: str, path: str, query: str, lines: list[str]) -> tuple[str, list[str]]:
        """Return the query and the header lines of a request as they are sent."""
        return "&".join(part for part in (query, self._signature) if part), lines


class SharedKey:
    """Signs requests by the key of an account of Azure.

    Args:
        account: The account's name.
        key: Its key, in base64; ValueError if it is none.
    """

    def __init__(self, account: str, key: str) -> None:
        self._account, self._key = account, b64decode(key, validate=True)

    def signed(self, method: str, path: str, query: str, lines: list[str]) -> tuple[str, list[str]]:
        """Return the query and the header lines of a request as they are sent."""
        lines = [*lines, f"x-ms-date: {formatdate(usegmt=True)}"]
        stated = {name.lower(): text.strip() for name, _, text in (line.partition(":") for line in lines)}
        more = [f"{name}:{stated[name]}" for name in sorted(stated) if name.startswith("x-ms-")]
        asked = sorted((name.lower(), text) for name, text in parse_qsl(query, keep_blank_values=True))
        resource = [f"/{self._account}{path}", *(f"{name}:{text}" for name, text in asked)]
        text = "\n".join([method, *(stated.get(name, "") for name in _SIGNED), *more, *resource])
        signature = b64encode(digest(self._key, text.encode(), sha256)).decode()
        return query, [*lines, f"Authorization: SharedKey {self._account}:{signature}"]


class Bearer:
    """Signs requests by a token, which is asked for now and then, by one thread for all that wait for it.

    Args:
        obtain: Returns the header lines that sign a request; raises SourceError. It is never called twice at once.
        place: The location, in which messages end.
    """

    def __init__(self, obtain: Callable[[], list[str]], place: str) -> None:
        self._obtain, self._place = obtain, place
        self._lock = threading.Lock()
        self._asked: Future[list[str]] | None = None
        self._lines: list[str] = []
        self._until = 0.0

    def signed(self, method: str, path: str, query: str, lines: list[str]) -> tuple[str, list[str]]:
        """Return the query and the header lines of a request as they are sent. Raise SourceError."""
        with self._lock:
            if monotonic() < self._until:
                return query, [*lines, *self._lines]
            if self._asked is None or self._asked.done():  # what none waited for, after a cancel, may be hours old
                self._asked = in_background(self._obtain, name="token")
            asked = self._asked
        self._wait(asked)
        with self._lock:
            if self._asked is asked:
                self._asked = None
                if asked.exception() is None:
                    self._lines, self._until = asked.result(), monotonic() + _FRESH
        return query, [*lines, *asked.result()]

    def _wait(self, asked: Future[list[str]]) -> None:
        """Wait for the token, which is asked for also after the wait.

        Raise SourceError if it does not come in time, and after a cancel.
        """
        stop, until = current_stop(), monotonic() + _PATIENCE
        while not wait([asked], timeout=_LOOK).done:
            if stop.canceled:
                raise source_error("connection_lost", "The job was canceled before a token came", self._place)
            if monotonic() > until:
                raise source_error("timeout", "No token was given in time", self._place)
