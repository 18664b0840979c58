"""The tokens by which requests are signed, as the clouds' own libraries give them.

google-auth and azure-identity find credentials in all the ways of the clouds, and renew their tokens. They come with
the extras that stores there need, and give a source the credentials that a store of the same job has. A process that
needs a token imports them in 0.13 and 0.15 s of processor time.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from prefect_collect.connectors.errors import answer_error, source_error
from prefect_collect.errors import SourceError, StoreAccessDenied
from prefect_collect.stores.azure_access import AzureAccess
from prefect_collect.stores.gcs_access import GcsAccess

_SCOPE: Final = "https://storage.azure.com/.default"
_CONNECT, _ANSWER = 10, 30
"""Seconds within which the server that gives tokens must be reached, and answer."""

_WHO: Final = "The server that gives the tokens"
_LATE: Final = f"{_WHO} did not answer in time"
_LOST: Final = f"{_WHO} could not be reached, or broke off"


class GoogleTokens:
    """Gets tokens of Google, of one call at a time.

    Args:
        access: The credentials; without any, those that google-auth finds.
        certificates: The file of certificates that are trusted.
        place: The location, in which messages end.
    """

    def __init__(self, access: GcsAccess, certificates: str, place: str) -> None:
        self._access, self._certificates, self._place = access, certificates, place
        self._credentials: Any = None
        self._request: Callable[..., Any] | None = None

    def __call__(self) -> list[str]:
        """Return the header lines that sign a request. Raise SourceError."""
        try:
            import requests
            from google.auth.exceptions import GoogleAuthError
            from google.auth.transport.requests import Request
        except ImportError:
            what = "Credentials of Google need google-auth; install the extra: pip install 'prefect-collect[gcp]'"
            raise source_error("bad_credentials", what, self._place) from None
        try:
            if self._credentials is None:
                self._credentials = self._access.credentials()
                session = requests.Session()
                session.verify = self._certificates
                self._request = partial(Request(session), timeout=_ANSWER)
            if not self._credentials.valid:
                self._credentials.refresh(self._request)
            headers: dict[str, str] = {}
            self._credentials.apply(headers)
        except StoreAccessDenied as error:
            raise refused(error, self._place) from error
        except (GoogleAuthError, ValueError) as error:
            raise google_error(error, self._place) from error
        return [f"{name}: {value}" for name, value in headers.items()]


class AzureTokens:
    """Gets tokens of Azure, of one call at a time.

    Args:
        access: The service principal; without one, azure-identity finds an identity.
        certificates: The file of certificates that are trusted.
        place: The location, in which messages end.
    """

    def __init__(self, access: AzureAccess, certificates: str, place: str) -> None:
        self._access, self._certificates, self._place = access, certificates, place
        self._identity: Any = None

    def __call__(self) -> list[str]:
        """Return the header lines that sign a request. Raise SourceError."""
        try:
            if self._identity is None:
                self._identity = self._access.identity(
                    connection_timeout=_CONNECT, read_timeout=_ANSWER, connection_verify=self._certificates
                )
        except (StoreAccessDenied, ValueError) as error:
            raise refused(error, self._place) from error
        from azure.core.exceptions import AzureError

        try:
            return [f"Authorization: Bearer {self._identity.get_token(_SCOPE).token}"]
        except (AzureError, ValueError) as error:
            raise azure_error(error, self._place) from error


def refused(error: Exception, place: str) -> SourceError:
    """Return the error of credentials that cannot be used, which says why."""
    return source_error("bad_credentials", str(error).partition(" [")[0], place)


def google_error(error: Exception, place: str) -> SourceError:
    """Return the SourceError of an exception of google-auth, which has asked again where that may help."""
    import requests
    from google.auth.exceptions import RefreshError, TransportError

    cause = error.__cause__ if isinstance(error.__cause__, TransportError) else error
    if isinstance(cause, TransportError):
        is_late = isinstance(cause.__cause__, requests.Timeout) or any(
            isinstance(a, requests.Timeout) for a in cause.args
        )
        return source_error("timeout" if is_late else "connection_lost", _LATE if is_late else _LOST, place)
    if getattr(error, "retryable", False):
        return source_error("source_error", f"{_WHO} failed", place)
    said = error.args[0] if isinstance(error, RefreshError) and error.args else ""
    answer = f" ({said})" if isinstance(said, str) and said else ""
    return source_error("bad_credentials", f"{_WHO} refuses the credentials{answer}", place)


def azure_error(error: Exception, place: str) -> SourceError:
    """Return the SourceError of an exception of azure-identity, which has asked again where that may help."""
    from azure.core.exceptions import (
        ClientAuthenticationError,
        HttpResponseError,
        ServiceRequestError,
        ServiceRequestTimeoutError,
        ServiceResponseError,
        ServiceResponseTimeoutError,
    )

    if isinstance(error, (ServiceRequestTimeoutError, ServiceResponseTimeoutError)):
        return source_error("timeout", _LATE, place)
    if isinstance(error, (ServiceRequestError, ServiceResponseError)):
        return source_error("connection_lost", _LOST, place)
    status = (error.status_code or 0) if isinstance(error, HttpResponseError) else 0
    if status == 429 or status >= 500 or (status and not isinstance(error, ClientAuthenticationError)):
        return answer_error(status, "", f"{_WHO} failed", place)
    said = getattr(error, "message", None) or str(error)
    return source_error(
        "bad_credentials", f"The credentials for Azure are not accepted ({said})", place, status or None
    )
