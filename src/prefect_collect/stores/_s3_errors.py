"""The StoreError of each error of boto3."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError

from prefect_collect.errors import (
    KeyExists,
    KeyMissing,
    StoreAccessDenied,
    StoreError,
    StoreFull,
    StoreNameTooLong,
    StoreQuotaExceeded,
    StoreTooLarge,
    StoreUnavailable,
)
from prefect_collect.stores.s3_meanings import S3Meaning, answer_meanings, exception_meaning
from prefect_collect.stores.s3_settings import hint_of

BOTO_ERRORS: Final = (BotoCoreError, ClientError)
"""The exceptions that boto3 raises for errors of a server or network."""

NOT_IMPLEMENTED: Final = frozenset({"NotImplemented", "MethodNotAllowed", "XNotImplemented", "501", "405"})
"""Codes of servers that do not support a request or a header."""

CONFLICT: Final = frozenset({"ConditionalRequestConflict", "OperationAborted"})
"""Codes of a conditional write that collided with another one: S3 asks to try again."""

_ANSWERED: Final[dict[S3Meaning, tuple[type[StoreError], str]]] = {
    S3Meaning.NO_BUCKET: (StoreError, "There is no such bucket; create it, or correct its name{hint}"),
    S3Meaning.CREDENTIALS: (
        StoreAccessDenied, "The S3 server does not accept the credentials; correct them ({answer})",
    ),
    S3Meaning.CLOCK: (
        StoreAccessDenied, "This machine's clock differs too much from the S3 server's; set it ({answer})",
    ),
    S3Meaning.DENIED: (
        StoreAccessDenied, "The S3 server denied access; grant it to the credentials ({answer}){hint}",
    ),
    S3Meaning.QUOTA: (StoreQuotaExceeded, "A quota of the S3 server is used up; raise it ({answer})"),
    S3Meaning.FULL: (StoreFull, "The S3 server has no space left; free some ({answer})"),
    S3Meaning.TOO_LARGE: (StoreTooLarge, "The object is larger than the S3 server allows ({answer})"),
    S3Meaning.NAME_TOO_LONG: (StoreNameTooLong, "The key is longer than the S3 server allows ({answer})"),
    S3Meaning.MISSING: (KeyMissing, "There is no such object"),
    S3Meaning.TAKEN: (KeyExists, "The object already exists and is not overwritten"),
    S3Meaning.CONFLICT: (StoreUnavailable, "The S3 server is busy or failing ({answer})"),
    S3Meaning.BUSY: (StoreUnavailable, "The S3 server is busy or failing ({answer})"),
    S3Meaning.FAILING: (StoreUnavailable, "The S3 server is busy or failing ({answer})"),
    S3Meaning.TIMEOUT: (StoreUnavailable, "The S3 server is busy or failing ({answer})"),
}  # fmt: skip
"""The error of a store for each answer; any other answer is a StoreError with the server's text."""

_RAISED: Final[dict[S3Meaning, tuple[type[StoreError], str]]] = {
    S3Meaning.NO_CREDENTIALS: (
        StoreAccessDenied, "No credentials for S3 were found; set a credentials block or AWS_*",
    ),
    S3Meaning.UNTRUSTED: (StoreError, "The S3 server's certificate is not trusted, or it does not speak TLS"),
    S3Meaning.UNREACHABLE: (
        StoreUnavailable, "The S3 server cannot be reached; check its address and that it is up{hint}",
    ),
    S3Meaning.TIMEOUT: (StoreUnavailable, "The S3 server did not answer in time"),
    S3Meaning.BROKEN: (StoreUnavailable, "The connection to the S3 server broke"),
    S3Meaning.TRUNCATED: (StoreUnavailable, "The connection to the S3 server broke"),
}  # fmt: skip
"""The error of a store for each of boto3's own exceptions."""


def code_of(error: Exception) -> str:
    """Return the error code in the server's answer, or ""."""
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""


def status_of(error: Exception) -> int:
    """Return the HTTP status of the server's answer, or 0."""
    if not isinstance(error, ClientError):
        return 0
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def s3_error(error: Exception, location: str) -> StoreError:
    """Return the `StoreError` of an error of boto3 at a location; its message contains no secret."""
    if isinstance(error, ClientError):
        return _answered(error, location)
    meaning = exception_meaning(error)
    if meaning not in _RAISED:
        return StoreError(f"S3 cannot be used with these settings: {type(error).__name__} [{location}]")
    kind, text = _RAISED[meaning]
    return kind(f"{text.format(hint=hint_of(error))} [{location}]")


def _answered(error: ClientError, location: str) -> StoreError:
    code, status = code_of(error), status_of(error)
    hint = hint_of(error)
    if code == "400":  # the answer to HEAD; to any other request the answer has a document with a code
        return StoreAccessDenied(
            "The S3 server refused the request without a reason (400), as S3 does if the credentials have expired or "
            f"the region is wrong{hint} [{location}]"
        )
    message = error.response.get("Error", {}).get("Message", "")
    answer = f"{code}: {message}"[:300].rstrip(": ") or str(status)
    # A 404 with an unknown code does not have to mean the object: an upload, or another resource, may be missing.
    is_of_the_object = status not in (404, 410) or not code or code.isdigit()
    meanings = answer_meanings(code, status if is_of_the_object else 0)
    meaning = next((meaning for meaning in meanings if meaning in _ANSWERED), None)
    if meaning is None:
        return StoreError(f"The S3 server refused the request ({answer}){hint} [{location}]")
    if meaning is S3Meaning.CREDENTIALS:
        answer = code or answer  # the server's message may quote the key
    kind, text = _ANSWERED[meaning]
    return kind(f"{text.format(answer=answer, hint=hint)} [{location}]")


@contextmanager
def s3_errors(location: str) -> Iterator[None]:
    """Turn any error of boto3 within this context into its `StoreError`, chained to it."""
    try:
        yield
    except BOTO_ERRORS as error:
        raise s3_error(error, location) from error
