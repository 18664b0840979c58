"""The meaning of boto3's exceptions, as a SourceError."""

from __future__ import annotations

from prefect_collect.connectors.errors import answer_error, exception_code, source_error
from prefect_collect.errors import CollectError, SourceError
from prefect_collect.stores.s3_settings import hint_of


def boto_error(error: Exception, place: str) -> SourceError:
    """Return the SourceError of any exception that a call of boto3 raised."""
    from botocore.exceptions import ClientError

    if isinstance(error, SourceError):
        return error
    if isinstance(error, CollectError):
        return source_error("bad_credentials", str(error), place)
    if isinstance(error, ClientError):
        answer = error.response.get("Error", {})
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        name = str(answer.get("Code", ""))
        message = f"{answer.get('Message', '')}{hint_of(error)}".removeprefix("; ")
        return answer_error(status, "" if name.isdigit() else name, message, place)
    text = str(error) or type(error).__name__
    return source_error(exception_code(error), f"{text}{hint_of(error)}", place)
