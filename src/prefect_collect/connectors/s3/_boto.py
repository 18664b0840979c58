"""What boto3's exceptions mean."""

from __future__ import annotations

from prefect_collect.connectors.errors import answer_error, source_error
from prefect_collect.errors import CollectError, SourceError
from prefect_collect.stores.s3_settings import hint_of

_BY_NAME = {
    "ConnectTimeoutError": "timeout",
    "ReadTimeoutError": "timeout",
    "EndpointConnectionError": "connection_lost",
    "ConnectionClosedError": "connection_lost",
    "ConnectionError": "connection_lost",
    "HTTPClientError": "connection_lost",
    "ProxyConnectionError": "connection_lost",
    "SSLError": "connection_lost",
    "IncompleteReadError": "truncated",
    "ResponseStreamingError": "truncated",
    "ResponseParserError": "source_error",
    "CredentialRetrievalError": "bad_credentials",
    "InvalidConfigError": "bad_credentials",
    "LoginError": "bad_credentials",
    "MetadataRetrievalError": "bad_credentials",
    "NoCredentialsError": "bad_credentials",
    "PartialCredentialsError": "bad_credentials",
    "ProfileNotFound": "bad_credentials",
    "SSOError": "bad_credentials",
    "TokenRetrievalError": "bad_credentials",
    "RefreshWithMFAUnsupportedError": "bad_credentials",
}
"""botocore.exceptions, each standing for its subclasses too."""


def boto_error(error: Exception, place: str) -> SourceError:
    """The error to raise for one of boto3's (or anything else that came out of it)."""
    from botocore.exceptions import ClientError

    if isinstance(error, SourceError):
        return error
    if isinstance(error, CollectError):
        return source_error("bad_credentials", str(error), place)
    if isinstance(error, ClientError):
        said = error.response.get("Error", {})
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        name = str(said.get("Code", ""))
        message = f"{said.get('Message', '')}{hint_of(error)}".removeprefix("; ")
        return answer_error(status, "" if name.isdigit() else name, message, place)
    code = next((_BY_NAME[kind.__name__] for kind in type(error).__mro__ if kind.__name__ in _BY_NAME), None)
    text = str(error) or type(error).__name__
    return source_error(code or "unexpected_error", f"{text}{hint_of(error)}", place)
