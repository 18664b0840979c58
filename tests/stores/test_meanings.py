"""One table for what an error means, of the operating system and of S3, which stores and sources read alike."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from botocore import exceptions as boto
from botocore.exceptions import ClientError

from prefect_collect.codes import CODES
from prefect_collect.connectors.errors import answer_error
from prefect_collect.connectors.os_failures import os_code, os_failure
from prefect_collect.connectors.s3._boto import boto_error
from prefect_collect.errors import KeyMissing, StoreAccessDenied, StoreError, StoreFull, StoreUnavailable
from prefect_collect.stores import DirectoryStore
from prefect_collect.stores._s3_errors import s3_error
from prefect_collect.stores.os_errors import store_error
from prefect_collect.stores.os_meanings import BY_ERRNO


@pytest.mark.parametrize(
    ("number", "code", "kind"),
    [
        (errno.EACCES, "access_denied", StoreAccessDenied),
        (errno.ENOSPC, None, StoreFull),
        (errno.ECONNRESET, "connection_lost", StoreUnavailable),
        (errno.EHOSTUNREACH, "connection_lost", StoreUnavailable),
        (errno.EIO, "read_error", StoreUnavailable),
        (errno.EPROTO, "read_error", StoreError),
    ],
)
def test_the_systems_errors(number: int, code: str | None, kind: type[StoreError]) -> None:
    """What an item, and what a store, that meets an error number comes to; one of writing is never the item's."""
    error = OSError(number, os.strerror(number), "/x")
    assert os_code(error) == code
    assert type(store_error(error, "place")) is kind
    assert str(store_error(error, "place")).endswith(" [place]")


def test_every_error_number_has_a_code() -> None:
    """Each number of the system has an account: a code that is listed, or it is the staging store's."""
    codes = {os_code(OSError(number, os.strerror(number))) for number in (*errno.errorcode, *BY_ERRNO)} - {None}
    assert codes <= CODES.keys()


def test_an_error_that_the_system_gives(tmp_path: Path) -> None:
    """The same missing file is a missing key of a store, and an item that is not found."""
    with pytest.raises(KeyMissing) as caught:
        DirectoryStore(tmp_path).read("none")
    assert isinstance(caught.value.__cause__, OSError)
    failure = os_failure(caught.value.__cause__, "place")
    assert failure is not None
    assert failure.code == "not_found"


@pytest.mark.parametrize(
    ("status", "name", "code", "kind"),
    [
        (403, "RequestTimeTooSkewed", "bad_credentials", StoreAccessDenied),
        (403, "InvalidAccessKeyId", "bad_credentials", StoreAccessDenied),
        (403, "SomethingNew", "access_denied", StoreAccessDenied),
        (404, "NoSuchKey", "not_found", KeyMissing),
        (404, "", "not_found", KeyMissing),
        (404, "NoSuchUpload", "not_found", StoreError),
        (429, "TooManyRequestsException", "throttled", StoreUnavailable),
        (500, "InternalError", "source_error", StoreUnavailable),
        (507, "XMinioStorageFull", "source_error", StoreFull),
        (403, "QuotaExceeded", "access_denied", StoreFull),
        (400, "SomethingNew", "unexpected_error", StoreError),
    ],
)
def test_answers_of_s3(status: int, name: str, code: str, kind: type[StoreError]) -> None:
    """What an item, and what a store, that gets an answer comes to; of an upload that is gone no object is missing."""
    assert answer_error(status, name, "", "place").code == code
    answer = ClientError(
        {"Error": {"Code": name or str(status)}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]
        "GetObject",
    )
    store = s3_error(answer, "place")
    assert isinstance(store, kind)
    assert (type(store) is StoreError) == (kind is StoreError)


@pytest.mark.parametrize(
    ("error", "code", "kind"),
    [
        (boto.NoCredentialsError(), "bad_credentials", StoreAccessDenied),
        (boto.EndpointConnectionError(endpoint_url="http://x"), "connection_lost", StoreUnavailable),
        (boto.ReadTimeoutError(endpoint_url="http://x"), "timeout", StoreUnavailable),
        (boto.SSLError(endpoint_url="http://x", error=OSError("no")), "connection_lost", StoreError),
        (boto.IncompleteReadError(actual_bytes=1, expected_bytes=2), "truncated", StoreUnavailable),
        (boto.ProfileNotFound(profile="x"), "bad_credentials", StoreError),
        (boto.DataNotFoundError(data_path="x"), "unexpected_error", StoreError),
    ],
)
def test_exceptions_of_boto3(error: Exception, code: str, kind: type[StoreError]) -> None:
    """The same for an exception that is no answer."""
    assert boto_error(error, "place").code == code
    assert type(s3_error(error, "place")) is kind
