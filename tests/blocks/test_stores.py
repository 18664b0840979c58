"""The blocks of stores."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from prefect.blocks.core import Block
from prefect.testing.standard_test_suites import BlockStandardTestSuite  # type: ignore[attr-defined]
from prefect_aws import AwsCredentials, MinIOCredentials
from pydantic import SecretStr

from prefect_collect.blocks import DirectoryStoreBlock, S3StoreBlock
from prefect_collect.connectors.s3.credentials import client_parameters, session_from
from prefect_collect.errors import InvalidLocation, UsageError
from prefect_collect.stores import DirectoryStore, S3Store

KEYS = MinIOCredentials(minio_root_user="user", minio_root_password=SecretStr("hush-hush"))


@pytest.mark.parametrize("block", [DirectoryStoreBlock, S3StoreBlock], scope="class")
class TestStores(BlockStandardTestSuite):
    """Prefect's own suite."""

    @pytest.fixture
    def block(self, request: pytest.FixtureRequest) -> type[Block]:
        """Replaced by the parameter."""
        return request.param  # type: ignore[no-any-return]

    def test_has_a_valid_image(self, block: type[Block]) -> None:
        """Skip Prefect's own test, which fetches the logo from the internet; see tests/blocks/test_logos.py."""


def test_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path, or one below the home, is stored as the present absolute path."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for path in ("staging", "~/staging", str(tmp_path / "staging")):
        store = DirectoryStoreBlock(path=path).store()
        assert isinstance(store, DirectoryStore)
        assert store.url == str(tmp_path / "staging")


@pytest.mark.parametrize("path", ["", "s3://bucket/x", "a\0b", "caf\udce9"])
def test_bad_directory(path: str) -> None:
    """A text that is no path, or that Prefect cannot store, is refused."""
    with pytest.raises(InvalidLocation, match=r"^path (must be|contains) "):
        DirectoryStoreBlock(path=path)


def test_bucket() -> None:
    """The store has the block's fields."""
    block = S3StoreBlock(bucket="bucket", prefix="/a/b/", endpoint_url="http://127.0.0.1:1", single_writer=True)
    store = block.store()
    assert isinstance(store, S3Store)
    assert (store.url, store.endpoint_url, store.single_writer) == ("s3://bucket/a/b", "http://127.0.0.1:1", True)


@pytest.mark.parametrize(
    "fields", [{"bucket": "no such name"}, {"bucket": "bucket", "endpoint_url": "localhost:9000"}, {"bucket": ""}]
)
def test_bad_bucket(fields: dict[str, str]) -> None:
    """An invalid bucket or address is refused when the block is created."""
    with pytest.raises(InvalidLocation):
        S3StoreBlock.model_validate(fields)


def test_no_secret_is_shown() -> None:
    """Neither the block's nor the store's repr shows the keys, and a link contains no secret."""
    block = S3StoreBlock(bucket="bucket", endpoint_url="http://127.0.0.1:1", credentials=KEYS)
    store = block.store()
    assert "hush-hush" not in f"{block!r}{block}{store!r}{store.link('k')}"
    assert "X-Amz-Expires=60" in store.link("k", 60)
    session = AwsCredentials(aws_access_key_id="id", aws_session_token="hush-token")
    block = S3StoreBlock(bucket="bucket", credentials=session)
    assert "hush" not in f"{block!r}{block}{block.store()!r}"


def test_kinds_of_credentials() -> None:
    """Credentials given as a dictionary become the class that has these fields."""
    minio = {"bucket": "bucket", "credentials": {"minio_root_user": "a", "minio_root_password": "b"}}
    assert isinstance(S3StoreBlock.model_validate(minio).credentials, MinIOCredentials)
    aws = {"bucket": "bucket", "credentials": {"aws_access_key_id": "a", "aws_secret_access_key": "b"}}
    assert isinstance(S3StoreBlock.model_validate(aws).credentials, AwsCredentials)


def test_an_address_left_empty() -> None:
    """An empty address in a form means AWS."""
    assert S3StoreBlock(bucket="bucket", endpoint_url="").endpoint_url is None


def test_links_expire() -> None:
    """A link to S3 for more than 7 days is refused, and the message says so."""
    store = S3StoreBlock(bucket="bucket", credentials=KEYS).store()
    with pytest.raises(UsageError, match="7 days"):
        store.link("k", 8 * 24 * 3600)


def test_credentials() -> None:
    """Keys, region and client parameters of both kinds of credentials block are used."""
    aws = AwsCredentials(aws_access_key_id="id", aws_secret_access_key=SecretStr("secret"), region_name="eu-west-1")
    for block, access in ((aws, "id"), (KEYS, "user")):
        keys = session_from(block).get_credentials()
        assert keys is not None
        assert keys.access_key == access
    assert session_from(aws).region_name == "eu-west-1"
    assert session_from(aws, "us-west-2").region_name == "us-west-2"
    assert session_from(None, "us-west-2").region_name == "us-west-2"
    assert client_parameters(None) == {}
    given = AwsCredentials.model_validate({"aws_client_parameters": {"endpoint_url": "http://127.0.0.1:1"}})
    assert client_parameters(given)["endpoint_url"] == "http://127.0.0.1:1"
    store = S3StoreBlock(bucket="bucket", credentials=given).store()
    assert isinstance(store, S3Store)
    assert store._bucket.endpoint == "http://127.0.0.1:1"


def test_unknown_profile() -> None:
    """A profile that this machine does not have raises UsageError, which names it."""
    block = S3StoreBlock(bucket="bucket", credentials=AwsCredentials(profile_name="no-such-profile"))
    with pytest.raises(UsageError, match="no-such-profile"):
        block.store()


def test_blocks_pickle() -> None:
    """A block can be pickled."""
    for block in (DirectoryStoreBlock(path="/tmp/x"), S3StoreBlock(bucket="bucket", credentials=KEYS)):
        assert pickle.loads(pickle.dumps(block)) == block
