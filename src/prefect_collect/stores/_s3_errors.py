"""What an error of boto3 means to a store."""

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
"""Everything that boto3 raises for what a server or a network does."""

NOT_IMPLEMENTED: Final = frozenset({"NotImplemented", "MethodNotAllowed", "XNotImplemented", "501", "405"})
"""Codes of servers that do not know a request or a header."""

CONFLICT: Final = frozenset({"ConditionalRequestConflict", "OperationAborted"})
"""Codes of a conditional write that met another one: S3 asks to try again."""

_ANSWERED: Final[dict[S3Meaning, tuple[type[StoreError], str]]] = {
    S3Meaning.NO_BUCKET: (StoreError, "There is no such bucket; make it, or correct its name{hint}"),
    S3Meaning.CREDENTIALS: (
        StoreAccessDenied, "The S3 server does not accept the credentials; correct them ({said})",
    ),
    S3Meaning.CLOCK: (
        StoreAccessDenied, "This machine's clock differs too much from the S3 server's; set it ({said})",
    ),
    S3Meaning.DENIED: (
        StoreAccessDenied, "The S3 server does not allow it; give the credentials access ({said}){hint}",
    ),
    S3Meaning.QUOTA: (StoreQuotaExceeded, "A quota of the S3 server is used up; raise it ({said})"),
    S3Meaning.FULL: (StoreFull, "The S3 server has no space left for it; free some ({said})"),
    S3Meaning.TOO_LARGE: (StoreTooLarge, "The object is larger than the S3 server allows ({said})"),
    S3Meaning.NAME_TOO_LONG: (StoreNameTooLong, "The key is longer than the S3 server allows ({said})"),
    S3Meaning.MISSING: (KeyMissing, "There is no such object"),
    S3Meaning.TAKEN: (KeyExists, "The object is already there, and is not overwritten"),
    S3Meaning.CONFLICT: (StoreUnavailable, "The S3 server is busy or failing ({said})"),
    S3Meaning.BUSY: (StoreUnavailable, "The S3 server is busy or failing ({said})"),
    S3Meaning.FAILING: (StoreUnavailable, "The S3 server is busy or failing ({said})"),
    S3Meaning.TIMEOUT: (StoreUnavailable, "The S3 server is busy or failing ({said})"),
}  # fmt: skip
"""What answers mean to a store; others are a StoreError that says what the server said."""

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
"""What boto3's own exceptions mean to a store."""


def code_of(error: Exception) -> str:
    """The error code that the server gave, or ""."""
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""


def status_of(error: Exception) -> int:
    """The HTTP status that the server gave, or 0."""
    if not isinstance(error, ClientError):
        return 0
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def s3_error(error: Exception, location: str) -> StoreError:
    """The `StoreError` that stands for an error of boto3 at that place. Its message holds no secret."""
    if isinstance(error, ClientError):
        return _answered(error, location)
    meaning = exception_meaning(error)
    if meaning not in _RAISED:
        return StoreError(f"S3 cannot be used so: {type(error).__name__} [{location}]")
    kind, text = _RAISED[meaning]
    return kind(f"{text.format(hint=hint_of(error))} [{location}]")


def _answered(error: ClientError, location: str) -> StoreError:
    code, status = code_of(error), status_of(error)
    hint = hint_of(error)
    if code == "400":  # of HEAD; any other request brings a document with a code
        return StoreAccessDenied(
            "The S3 server refused it and does not say why (400), as S3 does where the credentials have expired or the "
            f"region is wrong{hint} [{location}]"
        )
    message = error.response.get("Error", {}).get("Message", "")
    said = f"{code}: {message}"[:300].rstrip(": ") or str(status)
    # 404 with a code that is not known may also be of an upload, or of whatever else there is none of.
    is_of_the_object = status not in (404, 410) or not code or code.isdigit()
    meanings = answer_meanings(code, status if is_of_the_object else 0)
    meaning = next((meaning for meaning in meanings if meaning in _ANSWERED), None)
    if meaning is None:
        return StoreError(f"The S3 server refused it ({said}){hint} [{location}]")
    if meaning is S3Meaning.CREDENTIALS:
        said = code or said  # the server's message may quote the key
    kind, text = _ANSWERED[meaning]
    return kind(f"{text.format(said=said, hint=hint)} [{location}]")


@contextmanager
def s3_errors(location: str) -> Iterator[None]:
    """Raise the `StoreError` for any error of boto3 inside, chained to it."""
    try:
        yield
    except BOTO_ERRORS as error:
        raise s3_error(error, location) from error
