"""The meaning of S3's answers and boto3's exceptions, in one table for stores and sources.

Error codes are those of https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html and those that compatible
servers add (MinIO's cmd/api-errors.go); exceptions are those of botocore.exceptions, which is not imported here.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final


class S3Meaning(Enum):
    """The meaning of an answer, or of its absence."""

    DENIED = auto()
    """The credentials are valid, but not allowed to do it."""
    CREDENTIALS = auto()
    """The credentials are wrong, or have expired."""
    NO_CREDENTIALS = auto()
    SETUP = auto()
    """The configuration of AWS's tools, such as a profile or a login, provides no credentials."""
    CLOCK = auto()
    """This machine's clock differs too much from the server's."""
    REGION = auto()
    """The bucket is in another region than the configured one."""
    MISSING = auto()
    NO_BUCKET = auto()
    TAKEN = auto()
    """A condition of the request (If-Match, If-None-Match) is not met."""
    CONFLICT = auto()
    """A conditional write collided with another one: S3 asks to try again."""
    BUSY = auto()
    FAILING = auto()
    TIMEOUT = auto()
    UNREACHABLE = auto()
    BROKEN = auto()
    """The connection broke, or none was made."""
    UNTRUSTED = auto()
    """The server's certificate is not trusted, or it does not speak TLS."""
    TRUNCATED = auto()
    NOT_S3 = auto()
    """The answer is not that of an S3 server."""
    FULL = auto()
    QUOTA = auto()
    TOO_LARGE = auto()
    NAME_TOO_LONG = auto()
    ARCHIVED = auto()
    """The object is in an archive tier and not restored."""
    ENCRYPTED = auto()
    """The key with which the object is encrypted is not available."""


M: Final = S3Meaning

_BY_NAME: Final = {
    "AccessDenied": M.DENIED,
    "AccountProblem": M.DENIED,
    "AllAccessDisabled": M.DENIED,
    "Forbidden": M.DENIED,
    "ExpiredToken": M.CREDENTIALS,
    "InvalidAccessKeyId": M.CREDENTIALS,
    "InvalidSecurity": M.CREDENTIALS,
    "InvalidToken": M.CREDENTIALS,
    "NotSignedUp": M.CREDENTIALS,
    "SignatureDoesNotMatch": M.CREDENTIALS,
    "TokenRefreshRequired": M.CREDENTIALS,
    "UnauthorizedAccess": M.CREDENTIALS,
    "RequestTimeTooSkewed": M.CLOCK,
    "AuthorizationHeaderMalformed": M.REGION,
    "PermanentRedirect": M.REGION,
    "NoSuchKey": M.MISSING,
    "NoSuchVersion": M.MISSING,
    "NotFound": M.MISSING,
    "NoSuchBucket": M.NO_BUCKET,
    "PreconditionFailed": M.TAKEN,
    "ConditionalRequestConflict": M.CONFLICT,
    "OperationAborted": M.CONFLICT,
    "BandwidthLimitExceeded": M.BUSY,
    "Busy": M.BUSY,
    "RequestLimitExceeded": M.BUSY,
    "RequestThrottled": M.BUSY,
    "ServiceUnavailable": M.BUSY,
    "SlowDown": M.BUSY,
    "Throttling": M.BUSY,
    "ThrottlingException": M.BUSY,
    "TooManyRequests": M.BUSY,
    "TooManyRequestsException": M.BUSY,
    "InternalError": M.FAILING,
    "TemporaryRedirect": M.FAILING,
    "RequestTimeout": M.TIMEOUT,
    "IncompleteBody": M.TRUNCATED,
    "XMinioStorageFull": M.FULL,
    "QuotaExceeded": M.QUOTA,
    "XMinioAdminBucketQuotaExceeded": M.QUOTA,
    "EntityTooLarge": M.TOO_LARGE,
    "KeyTooLongError": M.NAME_TOO_LONG,
    "InvalidObjectState": M.ARCHIVED,
    "BlobArchived": M.ARCHIVED,  # of Azure, as is the next
    "BlobBeingRehydrated": M.ARCHIVED,
    "KMS.DisabledException": M.ENCRYPTED,
}

_BY_STATUS: Final = {
    401: M.CREDENTIALS,
    403: M.DENIED,
    404: M.MISSING,
    408: M.TIMEOUT,
    410: M.MISSING,
    412: M.TAKEN,
    429: M.BUSY,
    500: M.FAILING,
    502: M.FAILING,
    503: M.BUSY,
    504: M.FAILING,
    507: M.FULL,
}

_BY_EXCEPTION: Final = {
    "CredentialRetrievalError": M.NO_CREDENTIALS,
    "NoCredentialsError": M.NO_CREDENTIALS,
    "PartialCredentialsError": M.NO_CREDENTIALS,
    "SSOTokenLoadError": M.NO_CREDENTIALS,
    "TokenRetrievalError": M.NO_CREDENTIALS,
    "UnauthorizedSSOTokenError": M.NO_CREDENTIALS,
    "InvalidConfigError": M.SETUP,
    "LoginError": M.SETUP,
    "MetadataRetrievalError": M.SETUP,
    "ProfileNotFound": M.SETUP,
    "RefreshWithMFAUnsupportedError": M.SETUP,
    "SSOError": M.SETUP,
    "ConnectTimeoutError": M.TIMEOUT,
    "ReadTimeoutError": M.TIMEOUT,
    "EndpointConnectionError": M.UNREACHABLE,
    "ConnectionError": M.BROKEN,
    "HTTPClientError": M.BROKEN,
    "SSLError": M.UNTRUSTED,
    "IncompleteReadError": M.TRUNCATED,
    "ResponseStreamingError": M.TRUNCATED,
    "ResponseParserError": M.NOT_S3,
}
"""The meaning of an exception, by the name of its class; each name also stands for the subclasses."""


def answer_meanings(name: str, status: int) -> list[S3Meaning]:
    """Return the meanings that an answer may have, the most specific first: by its error code, then by its status.

    Args:
        name: The error code; "" for none. As the answer to HEAD has no document, boto3 then gives the status as code.
        status: The HTTP status.
    """
    if name.isdigit():
        name, status = "", status or int(name)
    found = (_BY_NAME.get(name), _BY_STATUS.get(status))
    return [meaning for meaning in found if meaning is not None]


def exception_meaning(error: Exception) -> S3Meaning | None:
    """Return the meaning of an exception of boto3 other than an answer (`ClientError`); None if it is unknown."""
    return next((_BY_EXCEPTION[kind.__name__] for kind in type(error).__mro__ if kind.__name__ in _BY_EXCEPTION), None)
