"""Making the errors that sources raise, and reading S3's and HTTP's answers."""

from __future__ import annotations

import re
from typing import Final

from prefect_collect.codes import CODES
from prefect_collect.errors import SourceError, TransientSourceError

_BY_NAME: Final = {
    "AccessDenied": "access_denied",
    "AllAccessDisabled": "access_denied",
    "AccountProblem": "access_denied",
    "AuthorizationHeaderMalformed": "bad_credentials",
    "BandwidthLimitExceeded": "throttled",
    "Busy": "throttled",
    "ExpiredToken": "bad_credentials",
    "IncompleteBody": "truncated",
    "InternalError": "source_error",
    "InvalidAccessKeyId": "bad_credentials",
    "InvalidObjectState": "archived_object",
    "InvalidSecurity": "bad_credentials",
    "InvalidToken": "bad_credentials",
    "KMS.DisabledException": "encrypted_object",
    "NoSuchBucket": "not_found",
    "NoSuchKey": "not_found",
    "NoSuchVersion": "not_found",
    "NotSignedUp": "bad_credentials",
    "PermanentRedirect": "bad_credentials",
    "PreconditionFailed": "changed_during_read",
    "RequestLimitExceeded": "throttled",
    "RequestThrottled": "throttled",
    "RequestTimeTooSkewed": "bad_credentials",
    "RequestTimeout": "timeout",
    "ServiceUnavailable": "throttled",
    "SignatureDoesNotMatch": "bad_credentials",
    "SlowDown": "throttled",
    "TemporaryRedirect": "source_error",
    "Throttling": "throttled",
    "ThrottlingException": "throttled",
    "TokenRefreshRequired": "bad_credentials",
    "TooManyRequests": "throttled",
    "TooManyRequestsException": "throttled",
    "UnauthorizedAccess": "bad_credentials",
}
"""Codes of the S3 API's "Error responses" and of what S3-compatible servers add."""

_BY_STATUS: Final = {
    401: "bad_credentials",
    403: "access_denied",
    404: "not_found",
    408: "timeout",
    410: "not_found",
    412: "changed_during_read",
    429: "throttled",
    503: "throttled",
}

_EXPLAINED: Final = {
    "NoSuchBucket": "There is no such bucket",
    "NoSuchKey": "There is no such object",
    "AuthorizationHeaderMalformed": "The region is wrong; set the source's region",
    "PermanentRedirect": "The bucket is in another region; set the source's region",
    "RequestTimeTooSkewed": "This machine's clock differs too much from the server's",
    "InvalidObjectState": "The object is in an archive tier and not restored",
}

_ENCRYPTED: Final = re.compile(r"\bkms\b|kms:|Server Side Encryption", re.IGNORECASE)
_TAG: Final = re.compile(rb"<(Code|Message)>(.*?)</\1>", re.DOTALL)


def source_error(code: str, message: str, place: str, http_status: int | None = None) -> SourceError:
    """An error that ends in `[place]`; transient if its code is retryable."""
    kind = TransientSourceError if CODES[code].retryable else SourceError
    return kind(f"{one_line(message).rstrip('.')}. [{place}]", code=code, http_status=http_status)


def answer_error(status: int, name: str, message: str, place: str) -> SourceError:
    """What an HTTP status and an S3 error code mean; `name` and `message` may be empty, as after HEAD."""
    code = _BY_NAME.get(name) or _BY_STATUS.get(status)
    if code is None:
        code = "source_error" if status >= 500 else "unexpected_error"
    if name.startswith("KMS.") or (code in ("access_denied", "unexpected_error") and _ENCRYPTED.search(message)):
        code = "encrypted_object"
    answer = f"The server answered {status} {name}".rstrip()
    detail = ": ".join(part for part in (answer, message) if part)
    return source_error(code, f"{_EXPLAINED[name]} ({detail})" if name in _EXPLAINED else detail, place, status)


def body_error(status: int, body: bytes, place: str) -> SourceError:
    """What an HTTP status and S3's XML error document mean."""
    parts = {tag.decode(): text.decode(errors="replace") for tag, text in _TAG.findall(body[:65536])}
    return answer_error(status, parts.get("Code", ""), parts.get("Message", ""), place)


def one_line(text: str, limit: int = 300) -> str:
    """The text without line breaks and without the query strings of URLs, which may hold signatures, cut at `limit`."""
    text = re.sub(r"(\bhttps?://[^\s?\"'<>]*)\?[^\s\"'<>]*", r"\1?…", " ".join(text.split()))
    return text if len(text) <= limit else text[: limit - 1] + "…"
