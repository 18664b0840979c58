"""What an error of boto3 means to a store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from botocore import exceptions as boto
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
from prefect_collect.stores.s3_settings import hint_of

BOTO_ERRORS: Final = (BotoCoreError, ClientError)
"""Everything that boto3 raises for what a server or a network does."""

NOT_IMPLEMENTED: Final = frozenset({"NotImplemented", "MethodNotAllowed", "XNotImplemented", "501", "405"})
"""Codes of servers that do not know a request or a header."""

CONFLICT: Final = frozenset({"ConditionalRequestConflict", "OperationAborted"})
"""Codes of a conditional write that met another one: S3 asks to try again."""

# Error codes: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html, MinIO's cmd/api-errors.go. HEAD has
# no body, so its code is the status.
_DENIED: Final = {
    "AccessDenied", "AllAccessDisabled", "AccountProblem", "InvalidAccessKeyId", "SignatureDoesNotMatch",
    "ExpiredToken", "InvalidToken", "TokenRefreshRequired", "RequestTimeTooSkewed", "NotSignedUp",
    "UnauthorizedAccess", "Forbidden", "401", "403",
}  # fmt: skip
_KEYS_WRONG: Final = {
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "ExpiredToken",
    "InvalidToken",
    "TokenRefreshRequired",
}
_MISSING: Final = {"NoSuchKey", "NoSuchVersion", "NotFound", "404"}
_TAKEN: Final = {"PreconditionFailed", "412"}
_FULL: Final = {"XMinioStorageFull", "507"}
_QUOTA: Final = {"QuotaExceeded", "XMinioAdminBucketQuotaExceeded"}
_BUSY: Final = {
    "SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "Throttling", "ThrottlingException",
    "TooManyRequests", "RequestLimitExceeded", "BandwidthLimitExceeded", *CONFLICT,
}  # fmt: skip
_NO_CREDENTIALS: Final = (boto.NoCredentialsError, boto.PartialCredentialsError, boto.CredentialRetrievalError,
                          boto.TokenRetrievalError, boto.UnauthorizedSSOTokenError, boto.SSOTokenLoadError)  # fmt: skip
_NETWORK: Final = (boto.ConnectionError, boto.HTTPClientError, boto.IncompleteReadError, boto.ResponseStreamingError)


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
    if isinstance(error, _NO_CREDENTIALS):
        return StoreAccessDenied(f"No credentials for S3 were found; set a credentials block or AWS_* [{location}]")
    if isinstance(error, boto.SSLError):
        return StoreError(f"The S3 server's certificate is not trusted, or it does not speak TLS [{location}]")
    if isinstance(error, boto.EndpointConnectionError):
        return StoreUnavailable(
            f"The S3 server cannot be reached; check its address and that it is up{hint_of(error)} [{location}]"
        )
    if isinstance(error, (boto.ConnectTimeoutError, boto.ReadTimeoutError)):
        return StoreUnavailable(f"The S3 server did not answer in time [{location}]")
    if isinstance(error, _NETWORK):
        return StoreUnavailable(f"The connection to the S3 server broke [{location}]")
    return StoreError(f"S3 cannot be used so: {type(error).__name__} [{location}]")


def _answered(error: ClientError, location: str) -> StoreError:
    code, status = code_of(error), status_of(error)
    hint = hint_of(error)
    said = f"{code}: {error.response.get('Error', {}).get('Message', '')}"[:300].rstrip(": ")
    if code == "NoSuchBucket":
        return StoreError(f"There is no such bucket; make it, or correct its name{hint} [{location}]")
    if code in _KEYS_WRONG:
        return StoreAccessDenied(f"The S3 server does not accept the credentials; correct them ({code}) [{location}]")
    if code in _QUOTA:
        return StoreQuotaExceeded(f"A quota of the S3 server is used up; raise it ({said}) [{location}]")
    if code in _FULL or status == 507:
        return StoreFull(f"The S3 server has no space left for it; free some ({said}) [{location}]")
    if code == "EntityTooLarge":
        return StoreTooLarge(f"The object is larger than the S3 server allows ({said}) [{location}]")
    if code == "KeyTooLongError":
        return StoreNameTooLong(f"The key is longer than the S3 server allows ({said}) [{location}]")
    if code == "400":  # of HEAD; any other request brings a document with a code
        return StoreAccessDenied(
            "The S3 server refused it and does not say why (400), as S3 does where the credentials have expired or the "
            f"region is wrong{hint} [{location}]"
        )
    if code in _DENIED or status in (401, 403):
        return StoreAccessDenied(
            f"The S3 server does not allow it; give the credentials access ({said}){hint} [{location}]"
        )
    if code in _MISSING:
        return KeyMissing(f"There is no such object [{location}]")
    if code in _TAKEN or status == 412:
        return KeyExists(f"The object is already there, and is not overwritten [{location}]")
    if code in _BUSY or status in (429, 500, 502, 503, 504):
        return StoreUnavailable(f"The S3 server is busy or failing ({said or status}) [{location}]")
    return StoreError(f"The S3 server refused it ({said or status}){hint} [{location}]")


@contextmanager
def s3_errors(location: str) -> Iterator[None]:
    """Raise the `StoreError` for any error of boto3 inside, chained to it."""
    try:
        yield
    except BOTO_ERRORS as error:
        raise s3_error(error, location) from error
