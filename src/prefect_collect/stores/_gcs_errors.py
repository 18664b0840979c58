"""The StoreError of each error of Google's libraries."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import requests
import urllib3.exceptions
from google.api_core.exceptions import GoogleAPICallError, GoogleAPIError, RetryError
from google.auth.exceptions import GoogleAuthError, RefreshError, TransportError
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse

from prefect_collect.errors import (
    KeyExists,
    KeyMissing,
    StoreAccessDenied,
    StoreError,
    StoreQuotaExceeded,
    StoreTooLarge,
    StoreUnavailable,
)
from prefect_collect.escaping import one_line

GOOGLE_ERRORS: Final = (
    GoogleAPIError, GoogleAuthError, InvalidResponse, DataCorruption, requests.RequestException,
    urllib3.exceptions.HTTPError, ConnectionError,
)  # fmt: skip
"""The exceptions that Google's libraries raise for errors of a server or network."""

_UNAVAILABLE: Final = (StoreUnavailable, "Google Cloud Storage is busy or failing ({answer})")

_BY_STATUS: Final[dict[int, tuple[type[StoreError], str]]] = {
    401: (StoreAccessDenied, "Google Cloud Storage does not accept the credentials; correct them ({answer})"),
    403: (StoreAccessDenied, "Google Cloud Storage denied access; grant it to the credentials ({answer})"),
    404: (KeyMissing, "There is no such object"),
    408: _UNAVAILABLE,
    409: (StoreUnavailable, "Google Cloud Storage is busy with another change of the same object ({answer})"),
    412: (KeyExists, "The object already exists and is not overwritten"),
    413: (StoreTooLarge, "The object is larger than Google Cloud Storage allows ({answer})"),
    429: _UNAVAILABLE,
    500: _UNAVAILABLE,
    502: _UNAVAILABLE,
    503: _UNAVAILABLE,
    504: _UNAVAILABLE,
}
"""The error of a store for each HTTP status; any other is a StoreError with the server's text."""

_BY_REASON: Final[dict[str, tuple[type[StoreError], str]]] = {
    "quotaExceeded": (StoreQuotaExceeded, "A quota of Google Cloud Storage is used up; raise it ({answer})"),
    "dailyLimitExceeded": (StoreQuotaExceeded, "A quota of Google Cloud Storage is used up; raise it ({answer})"),
    "rateLimitExceeded": _UNAVAILABLE,
    "userRateLimitExceeded": _UNAVAILABLE,
}
"""What a reason in the answer means, whatever its status."""


def status_of(error: Exception) -> int:
    """Return the HTTP status of the server's answer, or 0."""
    if isinstance(error, InvalidResponse):
        return int(error.response.status_code)
    return int(error.code or 0) if isinstance(error, GoogleAPICallError) else 0


def is_lost_session(error: Exception) -> bool:
    """Return whether the server no longer knows an upload that was begun, which then has to begin again."""
    request = getattr(getattr(error, "response", None), "request", None)
    return status_of(error) in (404, 410) and "upload_id=" in str(getattr(request, "url", ""))


def google_error(error: Exception, location: str) -> StoreError:
    """Return the `StoreError` of an error of Google's libraries at a location; its message contains no secret."""
    if isinstance(error, RetryError) and isinstance(error.cause, Exception):
        return google_error(error.cause, location)
    if isinstance(error, (GoogleAPICallError, InvalidResponse)):
        return _answered(error, location)
    if isinstance(error, GoogleAuthError):
        return _not_authorized(error, location)
    if isinstance(error, DataCorruption):
        return StoreUnavailable(f"The bytes did not arrive as they were sent (their checksums differ) [{location}]")
    if isinstance(error, requests.exceptions.SSLError):
        return StoreError(f"The server's certificate is not trusted, or it does not speak TLS [{location}]")
    if isinstance(error, (requests.Timeout, urllib3.exceptions.TimeoutError)):
        return StoreUnavailable(f"Google Cloud Storage did not answer in time [{location}]")
    if "NewConnectionError" in str(error) or "NameResolutionError" in str(error):
        return StoreUnavailable(
            f"Google Cloud Storage cannot be reached; check its address and that it is up [{location}]"
        )
    if isinstance(error, (requests.ConnectionError, urllib3.exceptions.HTTPError, ConnectionError)):
        return StoreUnavailable(f"The connection to Google Cloud Storage broke [{location}]")
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return StoreUnavailable(f"The connection to Google Cloud Storage broke [{location}]")
    return StoreError(f"Google Cloud Storage cannot be used with these settings: {type(error).__name__} [{location}]")


def _not_authorized(error: GoogleAuthError, location: str) -> StoreError:
    if isinstance(error, TransportError) or getattr(error, "retryable", False):
        return StoreUnavailable(f"The server that gives tokens for Google Cloud Storage does not answer [{location}]")
    said = error.args[0] if isinstance(error, RefreshError) and error.args else ""
    answer = f" ({one_line(said)[:200]})" if isinstance(said, str) and said else ""
    return StoreAccessDenied(f"The credentials are not accepted, or have expired; correct them{answer} [{location}]")


def _answered(error: GoogleAPICallError | InvalidResponse, location: str) -> StoreError:
    status = status_of(error)
    reason, message = _said(error)
    if status == 404 and "bucket" in message.lower():
        return StoreError(f"There is no such bucket; create it, or correct its name [{location}]")
    kind, text = _BY_REASON.get(reason) or _BY_STATUS.get(status) or (StoreError, _REFUSED)
    answer = " ".join(dict.fromkeys(word for word in (str(status), reason) if word))
    if kind is StoreError or status == 403:
        answer = f"{answer}: {one_line(message)[:200]}".rstrip(": ")
    return kind(f"{text.format(answer=answer)} [{location}]")


_REFUSED: Final = "Google Cloud Storage refused the request ({answer})"


def _said(error: GoogleAPICallError | InvalidResponse) -> tuple[str, str]:
    """Return the reason and the message in the server's answer, or ""."""
    response = error.response
    try:
        stated = response.json()["error"]
        listed = stated.get("errors") or [{}]
        return str(listed[0].get("reason", "")), str(stated.get("message", ""))
    except (AttributeError, KeyError, IndexError, TypeError, ValueError):
        return "", ""


@contextmanager
def google_errors(location: str) -> Iterator[None]:
    """Turn any error of Google's libraries within this context into its `StoreError`, chained to it."""
    try:
        yield
    except GOOGLE_ERRORS as error:
        raise google_error(error, location) from error
