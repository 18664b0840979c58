"""Secrets in an address are never repeated in messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prefect_aws import AwsCredentials

from prefect_collect.blocks import DirectoryStoreBlock, FileSource, ObjectStoreSource, S3StoreBlock, source_from
from prefect_collect.errors import CollectError
from prefect_collect.stores import open_store
from prefect_collect.stores.addresses import check_endpoint, shown

SECRET = st.text("Zz9/+=:?#%~ @[]é", max_size=12).map(lambda odd: f"hunter2{odd}hunter2")
"""Passwords as a user may paste them, encoded or not."""
ADDRESSES = st.builds(
    lambda scheme, user, secret, host, rest: f"{scheme}{user}:{secret}@{host}{rest}",
    st.sampled_from(["", "s3://", "S3://", "s3:/", "gs://", "http://", "https://", "ftp://", "file://"]),
    st.sampled_from(["", "AKIA"]),
    SECRET,
    st.sampled_from(["bucket", "host:9000", "[::1]:9000", "[x", "", "b--x-s3"]),
    st.sampled_from(["", "/", "/a/b"]),
)
SIGNED = st.builds(
    lambda start, name, secret: f"{start}{name}{secret}",
    st.sampled_from([
        "http://host", "http://[x", "host", "https://host:99999/x", "ftp://host", "s3://bucket/key", "s3:/bucket",
        "az://container/x", "bucket.s3.amazonaws.com/key", "./key", "u:p@host/x",
    ]),
    st.sampled_from([
        "?X-Amz-Signature=", "?x=1&X-Amz-Credential=", "&x-amz-security-token=", "?X-Goog-Signature=",
        "?sv=2022-11-02&ss=b&sig=", "?AWSAccessKeyId=hunter2&Signature=",
    ]),
    SECRET,
)  # fmt: skip
USES: dict[str, Callable[[str], Any]] = {
    "url": lambda address: ObjectStoreSource(url=address),
    "url_and_more": lambda address: ObjectStoreSource(url=address, anonymous=True, credentials=AwsCredentials()),
    "source_endpoint": lambda address: ObjectStoreSource(url="s3://bucket", endpoint_url=address),
    "store_endpoint": lambda address: S3StoreBlock(bucket="bucket", endpoint_url=address),
    "bucket": lambda address: S3StoreBlock(bucket=address),
    "directory": lambda address: DirectoryStoreBlock(path=address if "://" in address else f"x://{address}"),
    "open_endpoint": lambda address: open_store("s3://bucket", endpoint_url=address),
    "endpoint_of_a_path": lambda address: source_from("/tmp", endpoint_url=address),
    "source": source_from,
}


@pytest.mark.parametrize("use", list(USES))
@settings(deadline=None)
@given(address=ADDRESSES)
def test_no_password_is_repeated(use: str, address: str) -> None:
    """An address with a password is refused in every field, and no message or cause contains the password."""
    with pytest.raises(CollectError) as caught:
        USES[use](address)
    error: BaseException | None = caught.value
    while error is not None:
        assert "hunter2" not in f"{error}{error!r}"
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize("use", [*USES, "store", "prefix", "root"])
@settings(deadline=None)
@given(address=SIGNED)
def test_no_signature_is_repeated(use: str, address: str) -> None:
    """A presigned URL is refused in every field, and no message or cause contains its signature."""
    uses = {
        **USES,
        "store": open_store,
        "prefix": lambda address: S3StoreBlock(bucket="bucket", prefix=address),
        "root": lambda address: FileSource(root=f"x://{address}"),
    }
    with pytest.raises(CollectError) as caught:
        uses[use](address)
    error: BaseException | None = caught.value
    while error is not None:
        assert "hunter2" not in f"{error}{error!r}"
        error = error.__cause__ or error.__context__


@settings(deadline=None)
@given(ADDRESSES)
def test_stores_repeat_no_password(address: str) -> None:
    """A store's location is a directory, or is refused without its password."""
    said = ""
    try:
        open_store(address)
    except CollectError as error:
        said = f"{error}{error!r}"
    assert "hunter2" not in said
    assert said or "://" not in address


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("s3://AKIA:hunter2@bucket/x", "…@bucket/x"),
        ("AKIA:pw@host:9000", "…@host:9000"),
        ("ftp://bucket/x", "ftp://bucket/x"),
        ("localhost:9000", "localhost:9000"),
        ("http://host/x?sig=1", "http://host/x"),
        ("AKIA:hunter2", "AKIA:…"),
        ("s3://bucket/key&X-Amz-Signature=hunter2", "s3://bucket/key"),
        ("s3://bucket/AT&T", "s3://bucket/AT&T"),
        ("Invalid endpoint: http://u:p@h", "…@h"),
        ("Invalid endpoint: x y", "Invalid endpoint: x y"),
    ],
)
def test_what_is_shown(address: str, said: str) -> None:
    """The part after the "@" is shown; an address without secrets is shown unchanged."""
    assert shown(address) == said


@pytest.mark.parametrize("address", [None, "http://localhost:9000", "https://s3.example.org", "http://[::1]:9000/base"])
def test_good_endpoints(address: str | None) -> None:
    """An http or https address with a host is accepted."""
    check_endpoint(address)
