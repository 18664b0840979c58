"""The blocks of data sources follow Prefect's conventions, and refuse fields that cannot be used."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any, get_args

import pytest
from prefect.blocks.core import Block
from prefect.testing.standard_test_suites.blocks import BlockStandardTestSuite
from pydantic.json_schema import GenerateJsonSchema

import prefect_collect.blocks
from prefect_collect.blocks import (
    DataSource,
    DirectoryStoreBlock,
    FileSource,
    ObjectStoreSource,
    S3StoreBlock,
    source_from,
)
from prefect_collect.blocks.locate import source_types
from prefect_collect.cli._options import SourceArgument
from prefect_collect.errors import InvalidLocation
from prefect_collect.statuses import LifecycleStatus
from prefect_collect.stores.addresses import SOURCE_URLS

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "block", [kind for kind in source_types() if kind.__module__.startswith("prefect_collect.")], scope="class"
)
class TestSources(BlockStandardTestSuite):
    """Prefect's own suite."""

    @pytest.fixture
    def block(self, request: pytest.FixtureRequest) -> type[Block]:
        """Replaced by the parameter."""
        return request.param  # type: ignore[no-any-return]

    def test_has_a_valid_image(self, block: type[Block]) -> None:
        """Skip Prefect's own test, which fetches the logo from the internet; see tests/blocks/test_logos.py."""


def test_exports_are_there() -> None:
    """Each listed name of the package can be imported, and `dir` shows it, as `prefect block register -m` needs."""
    assert sorted(prefect_collect.blocks.__all__) == prefect_collect.blocks.__all__
    assert dir(prefect_collect.blocks) == prefect_collect.blocks.__all__
    for name in prefect_collect.blocks.__all__:
        assert getattr(prefect_collect.blocks, name) is not None
    with pytest.raises(AttributeError, match="nothing"):
        _ = prefect_collect.blocks.nothing


def test_a_schema_is_made_once() -> None:
    """A block's JSON schema is made once for its class, as Prefect makes it; a caller may change what it is given."""
    made = [0]

    class Counted(GenerateJsonSchema):
        def __init__(self, *args: Any, **options: Any) -> None:
            made[0] += 1
            super().__init__(*args, **options)

    for kind in (FileSource, ObjectStoreSource, DirectoryStoreBlock, S3StoreBlock):
        made[0] = 0
        first = kind.model_json_schema(schema_generator=Counted)
        first["properties"].clear()
        first["secret_fields"].append("all")
        assert kind.model_json_schema(schema_generator=Counted) == kind.model_json_schema()
        assert made[0] == 1
        assert kind.model_json_schema() == Block.model_json_schema.__func__(kind)  # type: ignore[attr-defined]
        assert kind.model_json_schema(by_alias=False)["properties"].keys() == kind.model_fields.keys()


def test_base_is_abstract() -> None:
    """The base class cannot be instantiated."""
    with pytest.raises(TypeError, match="abstract"):
        DataSource(name="x")  # type: ignore[abstract]


@pytest.mark.parametrize("name", ["a/b", "50%", "-x", "x" * 101, " ", "a\nb", "<b>"])
def test_bad_name(name: str) -> None:
    """A name that Prefect could not use in a limit's name is refused, and the message names the field."""
    with pytest.raises(InvalidLocation, match=r"^name must .*\[name="):
        FileSource(root="/tmp", name=name)


@pytest.mark.parametrize("name", ["docs", "2024", "Ünïcode Ω 1", "a.b-c_d@e"])
def test_good_name(name: str) -> None:
    """Letters of any script, digits, spaces and some signs are accepted."""
    assert FileSource(root="/tmp", name=name).name == name


def test_name_from_location() -> None:
    """Without a name the source gets a short one from its location."""
    assert FileSource(root="/srv/mail box").name == "srv-mail-box"
    assert ObjectStoreSource(url="s3://bucket/a/b/").name == "bucket-a-b"
    assert FileSource(root="/").name == "source"
    assert len(FileSource(root="/" + "long/" * 50).name) <= 60


def test_lifecycle() -> None:
    """A source is ACTIVE by default; another lifecycle is given as text or as constant."""
    assert FileSource(root="/tmp").lifecycle is LifecycleStatus.ACTIVE
    assert FileSource.model_validate({"root": "/tmp", "lifecycle": "SUSPENDED"}).lifecycle is LifecycleStatus.SUSPENDED


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("s3://", "must name a bucket"),
        ("s3:///x", "must name a bucket"),
        ("s3://b c/x", "must name a bucket"),
        ("ftp://bucket", "must begin with s3://, gs:// or az://"),
        ("bucket", "must begin with"),
        ("s3://data--use1-az4--x-s3/x", "directory bucket"),
    ],
)
def test_bad_url(url: str, said: str) -> None:
    """A URL without a valid bucket is refused with one line that names the field."""
    with pytest.raises(InvalidLocation, match=said) as caught:
        ObjectStoreSource(url=url)
    assert str(caught.value).startswith("url ")
    assert "\n" not in str(caught.value)


def test_bad_endpoint() -> None:
    """An endpoint must be an http(s) URL, and the message does not repeat its password."""
    with pytest.raises(InvalidLocation, match=r"\[endpoint_url=localhost:9000\]"):
        ObjectStoreSource(url="s3://bucket", endpoint_url="localhost:9000")
    with pytest.raises(InvalidLocation) as caught:
        ObjectStoreSource(url="s3://bucket", endpoint_url="http://user:hush@host")
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("text", ["a\0b", "caf\udce9"])
@pytest.mark.parametrize(
    ("block", "field"),
    [
        (ObjectStoreSource, "url"),
        (ObjectStoreSource, "region"),
        (ObjectStoreSource, "endpoint_url"),
        (ObjectStoreSource, "name"),
        (FileSource, "root"),
        (S3StoreBlock, "bucket"),
        (S3StoreBlock, "prefix"),
        (S3StoreBlock, "endpoint_url"),
        (DirectoryStoreBlock, "path"),
    ],
)
def test_texts_that_prefect_cannot_keep(block: type[Block], field: str, text: str) -> None:
    """A block that Prefect's server could not save is refused, and the message names the field."""
    sound = {"url": "s3://bucket/x", "root": "/tmp", "bucket": "bucket", "path": "/tmp", "endpoint_url": "http://host/"}
    fields = {name: sound[name] for name in block.model_fields if name in sound}
    block.model_validate(fields)
    message = rf"^{field} contains .*, which Prefect cannot store; .*\[field={field}\]$"
    with pytest.raises(InvalidLocation, match=message):
        block.model_validate(fields | {field: sound.get(field, "") + text})


def test_secrets_that_prefect_cannot_keep() -> None:
    """A secret that Prefect's server could not save is refused too, and the message does not repeat it."""
    keys = {"aws_access_key_id": "id", "aws_secret_access_key": "hush\0"}
    for block, place in ((ObjectStoreSource, {"url": "s3://bucket"}), (S3StoreBlock, {"bucket": "bucket"})):
        with pytest.raises(InvalidLocation, match=r"\[field=credentials\.aws_secret_access_key\]$") as caught:
            block.model_validate({**place, "credentials": keys})
        assert "hush" not in str(caught.value)


def test_contradictions() -> None:
    """Fields that exclude each other are refused."""
    from prefect_aws import AwsCredentials

    with pytest.raises(InvalidLocation, match="anonymous and credentials"):
        ObjectStoreSource(url="s3://bucket", anonymous=True, credentials=AwsCredentials())
    with pytest.raises(InvalidLocation, match="s3:// only"):
        ObjectStoreSource(url="gs://bucket", credentials=AwsCredentials())


def test_no_secret_in_repr() -> None:
    """Neither repr nor str shows the secret."""
    from prefect_aws import AwsCredentials
    from pydantic import SecretStr

    keys = AwsCredentials(
        aws_access_key_id="id", aws_secret_access_key=SecretStr("hush-hush"), aws_session_token="hush-token"
    )
    source = ObjectStoreSource(url="s3://bucket", credentials=keys)
    assert "hush" not in repr(source) + str(source)


def test_kinds_of_credentials() -> None:
    """Credentials given as a dictionary become the class that has these fields."""
    from prefect_aws import AwsCredentials, MinIOCredentials

    minio = {"url": "s3://bucket", "credentials": {"minio_root_user": "a", "minio_root_password": "b"}}
    assert isinstance(ObjectStoreSource.model_validate(minio).credentials, MinIOCredentials)
    aws = {"url": "s3://bucket", "credentials": {"aws_access_key_id": "a", "aws_secret_access_key": "b"}}
    assert isinstance(ObjectStoreSource.model_validate(aws).credentials, AwsCredentials)


def test_pickles() -> None:
    """A source can be pickled."""
    for source in (FileSource(root="/tmp", name="x"), ObjectStoreSource(url="s3://bucket/x", anonymous=True)):
        assert pickle.loads(pickle.dumps(source)) == source


def test_one_list_of_schemes() -> None:
    """Each scheme gives a source, and is named in the form, the command's help and the docs."""
    described = (ROOT / "docs/sources.md").read_text()
    argument = get_args(SourceArgument)[1].help
    for scheme, url in SOURCE_URLS.items():
        source = source_from(url)
        assert source.location() == url
        assert url in (type(source).model_fields["url"].description or "")
        assert url in argument
        assert f"`{scheme}://`" in described
