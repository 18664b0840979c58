"""What errors of the servers that give tokens mean, Google's and Azure's."""

from __future__ import annotations

import requests
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseTimeoutError,
)
from google.auth.exceptions import RefreshError, TransportError

from prefect_collect.connectors.object_store._tokens import azure_error, google_error


def test_errors_of_the_servers_of_tokens() -> None:
    """What may pass is tried again, and the rest is a matter of the credentials."""
    late, lost = requests.ReadTimeout("x"), requests.ConnectionError("x")
    for error, code in (
        (RefreshError(TransportError(lost)), "bad_credentials"),
        (caused(RefreshError("x"), TransportError(lost)), "connection_lost"),
        (TransportError(late), "timeout"),
        (RefreshError("x", retryable=True), "source_error"),
    ):
        assert google_error(error, "gs://bucket").code == code
    for error, code in (
        (ServiceResponseTimeoutError("x"), "timeout"),
        (ServiceRequestError("x"), "connection_lost"),
        (answered(429), "throttled"),
        (answered(500), "source_error"),
        (answered(401), "bad_credentials"),
        (ClientAuthenticationError("x"), "bad_credentials"),
    ):
        assert azure_error(error, "az://container").code == code


def caused(error: Exception, cause: Exception) -> Exception:
    """Return an error with its cause."""
    error.__cause__ = cause
    return error


def answered(status: int) -> HttpResponseError:
    """Return Azure's error of an answer with that status."""
    error = ClientAuthenticationError("x") if status == 401 else HttpResponseError("x")
    error.status_code = status
    return error
