"""The StoreError of each error of Azure's library."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    IncompleteReadError,
    ServiceRequestError,
    ServiceResponseError,
    ServiceResponseTimeoutError,
)

from prefect_collect.errors import (
    KeyExists,
    KeyMissing,
    StoreAccessDenied,
    StoreError,
    StoreNameTooLong,
    StoreTooLarge,
    StoreUnavailable,
)
from prefect_collect.escaping import one_line
from prefect_collect.stores.azure_access import WRONG_CREDENTIALS

_BUSY: Final = (StoreUnavailable, "Azure Blob Storage is busy or failing ({answer})")
_DENIED: Final = (StoreAccessDenied, "Azure Blob Storage denied access; grant it to the credentials ({answer})")
_WRONG: Final = (StoreAccessDenied, "Azure Blob Storage does not accept the credentials; correct them ({answer})")
_TAKEN: Final = (KeyExists, "The object already exists and is not overwritten")
_KEPT: Final = (StoreAccessDenied, "A lease, hold or retention policy of the container forbids it ({answer})")
_NO_CONTAINER: Final = (StoreError, "There is no such container; create it, or correct its name")

_BY_CODE: Final[dict[str, tuple[type[StoreError], str]]] = {
    "ContainerNotFound": _NO_CONTAINER,
    "ContainerBeingDeleted": _NO_CONTAINER,
    "ResourceNotFound": _NO_CONTAINER,
    "BlobNotFound": (KeyMissing, "There is no such object"),
    "BlobAlreadyExists": _TAKEN,
    "ConditionNotMet": _TAKEN,
    **dict.fromkeys(WRONG_CREDENTIALS, _WRONG),
    "BlobImmutableDueToPolicy": _KEPT,
    "LeaseIdMissing": _KEPT,
    "SnapshotsPresent": (StoreAccessDenied, "The object has snapshots; remove them first ({answer})"),
    "AccountIsDisabled": _DENIED,
    "InternalError": _BUSY,
    "OperationTimedOut": _BUSY,
    "ServerBusy": _BUSY,
    "Md5Mismatch": (StoreUnavailable, "The bytes did not arrive as they were sent (their MD5 differs)"),
    "RequestBodyTooLarge": (StoreTooLarge, "The object is larger than Azure Blob Storage allows ({answer})"),
    "BlockCountExceedsLimit": (StoreTooLarge, "The object is larger than Azure Blob Storage allows ({answer})"),
    "InvalidUri": (StoreNameTooLong, "Azure Blob Storage does not allow that name ({answer})"),
    "OutOfRangeInput": (StoreNameTooLong, "Azure Blob Storage does not allow that name ({answer})"),
    "InvalidResourceName": (StoreNameTooLong, "Azure Blob Storage does not allow that name ({answer})"),
}
"""The error of a store for each error code: https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes."""

_BY_STATUS: Final[dict[int, tuple[type[StoreError], str]]] = {
    401: _WRONG,
    403: _DENIED,
    404: (KeyMissing, "There is no such object"),
    408: _BUSY,
    409: (StoreUnavailable, "Azure Blob Storage is busy with another change of the same object ({answer})"),
    412: _TAKEN,
    413: (StoreTooLarge, "The object is larger than Azure Blob Storage allows ({answer})"),
    429: _BUSY,
    500: _BUSY,
    502: _BUSY,
    503: _BUSY,
    504: _BUSY,
}
"""The error of a store for each HTTP status; any other is a StoreError with the server's text."""


def code_of(error: Exception) -> str:
    """Return the error code in the server's answer, or ""."""
    code = getattr(error, "error_code", None)
    return str(getattr(code, "value", code) or "")


def status_of(error: Exception) -> int:
    """Return the HTTP status of the server's answer, or 0."""
    return int(error.status_code or 0) if isinstance(error, HttpResponseError) else 0


def azure_error(error: Exception, location: str) -> StoreError:
    """Return the `StoreError` of an error of Azure's library at a location; its message contains no secret."""
    if isinstance(error, HttpResponseError) and error.status_code:
        return _answered(error, location)
    if isinstance(error, ClientAuthenticationError):
        said = one_line(error.message or "").partition(". ")[0][:200]
        return StoreAccessDenied(f"No credentials for Azure were accepted; correct them ({said}) [{location}]")
    if isinstance(error, (IncompleteReadError, ServiceResponseError)):
        if isinstance(error, ServiceResponseTimeoutError) or "timed out" in str(error):
            return StoreUnavailable(f"Azure Blob Storage did not answer in time [{location}]")
        return StoreUnavailable(f"The connection to Azure Blob Storage broke [{location}]")
    if isinstance(error, ServiceRequestError):
        if "SSL" in str(error) or "certificate" in str(error):
            return StoreError(f"The server's certificate is not trusted, or it does not speak TLS [{location}]")
        return StoreUnavailable(
            f"Azure Blob Storage cannot be reached; check its address and that it is up [{location}]"
        )
    return StoreError(f"Azure Blob Storage cannot be used with these settings: {type(error).__name__} [{location}]")


def _answered(error: HttpResponseError, location: str) -> StoreError:
    code, status = code_of(error), status_of(error)
    kind, text = _BY_CODE.get(code) or _BY_STATUS.get(status) or (StoreError, _REFUSED)
    answer = code or str(status)
    if kind is StoreError:
        answer = f"{answer}: {one_line(error.message or '').partition('RequestId')[0][:200]}".rstrip(": ")
    return kind(f"{text.format(answer=answer)} [{location}]")


_REFUSED: Final = "Azure Blob Storage refused the request ({answer})"


@contextmanager
def azure_errors(location: str) -> Iterator[None]:
    """Turn any error of Azure's library within this context into its `StoreError`, chained to it."""
    try:
        yield
    except AzureError as error:
        raise azure_error(error, location) from error
