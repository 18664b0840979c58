"""How Google Cloud Storage is reached: with which credentials, and at which address."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from prefect_collect.errors import InvalidLocation, StoreAccessDenied, UsageError

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

SERVER: Final = "https://storage.googleapis.com"
"""The address of Google's own servers."""

_SCOPE: Final = "https://www.googleapis.com/auth/devstorage.read_write"


@dataclass(frozen=True)
class GcsAccess:
    """The credentials for Google Cloud Storage; without any, those of the environment.

    Attributes:
        service_account: The key of a service account, as JSON.
        service_account_file: The path of a file with such a key.
        anonymous: Send unsigned requests.
    """

    service_account: str | None = field(default=None, repr=False)
    service_account_file: str | None = None
    anonymous: bool = False

    def key(self) -> str | None:
        """Return the key of the service account as JSON, if there is one in the fields or variables."""
        if self.service_account is not None or self.anonymous:
            return self.service_account
        path = self.service_account_file
        if path is None:
            if given := os.environ.get("GOOGLE_SERVICE_ACCOUNT_KEY"):
                return given
            path = os.environ.get("GOOGLE_SERVICE_ACCOUNT") or os.environ.get("GOOGLE_SERVICE_ACCOUNT_PATH")
        if not path:
            return None
        try:
            with open(path, encoding="utf-8") as file:
                return file.read()
        except (OSError, ValueError) as error:
            raise StoreAccessDenied(f"The service account's key cannot be read; correct its path [{path}]") from error

    def credentials(self) -> Credentials:
        """Return the credentials for Google's library; they renew their tokens themselves.

        Raises:
            StoreAccessDenied: There are none, or the key is not a key.
        """
        import google.auth
        from google.auth.credentials import AnonymousCredentials
        from google.auth.exceptions import DefaultCredentialsError, MutualTLSChannelError
        from google.oauth2.service_account import Credentials

        key = self.key()
        if key is not None:
            try:
                made: Any = Credentials.from_service_account_info(json.loads(key), scopes=[_SCOPE])  # type: ignore[no-untyped-call]
            except (ValueError, AttributeError, TypeError) as error:
                raise StoreAccessDenied(
                    "The credentials for Google Cloud Storage are not the JSON key of a service account; correct them"
                ) from _without_text(error)
            return made  # type: ignore[no-any-return]
        if self.anonymous or emulator():
            return AnonymousCredentials()  # type: ignore[no-untyped-call]
        try:
            found: Any = google.auth.default(scopes=[_SCOPE])[0]
        except (DefaultCredentialsError, MutualTLSChannelError) as error:
            raise StoreAccessDenied(
                "No credentials for Google Cloud Storage were found; set a GcpCredentials block or "
                "GOOGLE_APPLICATION_CREDENTIALS, or run `gcloud auth application-default login`"
            ) from error
        return found  # type: ignore[no-any-return]


def check_service_account(text: str) -> None:
    """Raise InvalidLocation if a text is not the JSON key of a service account; the message does not repeat it."""
    try:
        fields = json.loads(text)
    except ValueError:
        fields = None
    if not isinstance(fields, dict) or not {"private_key", "client_email"} <= fields.keys():
        raise InvalidLocation(
            "The secret for gs:// must be the JSON key of a service account (private_key, client_email). [secret]"
        )


def emulator() -> str | None:
    """Return the address of the server in STORAGE_EMULATOR_HOST, as Google's own tools take it; None if not set."""
    given = os.environ.get("STORAGE_EMULATOR_HOST") or ""
    return (given if "://" in given else f"http://{given}").rstrip("/") if given else None


def require_library() -> None:
    """Raise UsageError if Google's library is not installed."""
    try:
        import google.cloud.storage  # noqa: F401
    except ImportError as error:
        raise UsageError(
            "gs:// as a store needs google-cloud-storage; install the extra: pip install 'prefect-collect[gcp]'"
        ) from error


def _without_text(error: Exception) -> Exception:
    """Return an error of the same class without its text, which may quote the key."""
    return type(error)("…")
