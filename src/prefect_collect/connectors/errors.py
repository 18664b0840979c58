"""The SourceErrors of HTTP answers, of S3's error documents and of boto3's exceptions."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from prefect_collect.codes import CODES
from prefect_collect.errors import SourceError, TransientSourceError
from prefect_collect.stores.s3_meanings import S3Meaning, answer_meanings, exception_meaning

_CODES: Final = {
    S3Meaning.DENIED: "access_denied",
    S3Meaning.CREDENTIALS: "bad_credentials",
    S3Meaning.NO_CREDENTIALS: "bad_credentials",
    S3Meaning.SETUP: "bad_credentials",
    S3Meaning.CLOCK: "bad_credentials",
    S3Meaning.REGION: "bad_credentials",
    S3Meaning.MISSING: "not_found",
    S3Meaning.NO_BUCKET: "not_found",
    S3Meaning.TAKEN: "changed_during_read",
    S3Meaning.BUSY: "throttled",
    S3Meaning.FAILING: "source_error",
    S3Meaning.TIMEOUT: "timeout",
    S3Meaning.UNREACHABLE: "connection_lost",
    S3Meaning.BROKEN: "connection_lost",
    S3Meaning.UNTRUSTED: "connection_lost",
    S3Meaning.TRUNCATED: "truncated",
    S3Meaning.NOT_S3: "source_error",
    S3Meaning.ARCHIVED: "archived_object",
    S3Meaning.ENCRYPTED: "encrypted_object",
}
"""The codes of the meanings that reading can have; an answer with another meaning gets the code of its status."""

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
    """Return an error whose message ends in `[place]`; it is transient if its code is retryable."""
    kind = TransientSourceError if CODES[code].retryable else SourceError
    return kind(f"{one_line(message).rstrip('.')}. [{place}]", code=code, http_status=http_status)


def answer_error(status: int, name: str, message: str, place: str) -> SourceError:
    """Return the error of an HTTP status and an S3 error code.

    Args:
        status: The HTTP status.
        name: The S3 error code; it may be empty, as after HEAD.
        message: The server's message; it may be empty too.
        place: The location, in which the error's message ends.
    """
    code = next((_CODES[meaning] for meaning in answer_meanings(name, status) if meaning in _CODES), None)
    if code is None:
        code = "source_error" if status >= 500 else "unexpected_error"
    if name.startswith("KMS.") or (code in ("access_denied", "unexpected_error") and _ENCRYPTED.search(message)):
        code = "encrypted_object"
    answer = f"The server answered {status} {name}".rstrip()
    detail = ": ".join(part for part in (answer, message) if part)
    return source_error(code, f"{_EXPLAINED[name]} ({detail})" if name in _EXPLAINED else detail, place, status)


def exception_code(error: Exception) -> str:
    """Return the code of an exception of boto3 other than a server's answer."""
    meaning = exception_meaning(error)
    return "unexpected_error" if meaning is None else _CODES[meaning]


def body_error(
    status: int, body: bytes, place: str, hint: Callable[[str, int], str] = lambda code, status: ""
) -> SourceError:
    """Return the error of an HTTP status and S3's XML error document.

    Args:
        status: The HTTP status.
        body: The document, or what arrived of it.
        place: The location, in which the error's message ends.
        hint: Returns, for the error's code and the status, what the user may have to set; "" for nothing.
    """
    parts = {tag.decode(): text.decode(errors="replace") for tag, text in _TAG.findall(body[:65536])}
    code = parts.get("Code", "")
    message = "; ".join(part for part in (parts.get("Message", ""), hint(code, status)) if part)
    return answer_error(status, code, message, place)


def one_line(text: str, limit: int = 300) -> str:
    """Return the text in one line, cut at `limit` characters, without the query strings of URLs (maybe signatures)."""
    text = re.sub(r"(\bhttps?://[^\s?\"'<>]*)\?[^\s\"'<>]*", r"\1?…", " ".join(text.split()))
    return text if len(text) <= limit else text[: limit - 1] + "…"
