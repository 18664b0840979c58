"""The examples in the blocks' docstrings work as they are."""

from __future__ import annotations

import inspect
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
from prefect.blocks.core import Block
from prefect_aws import MinIOCredentials
from pydantic import SecretStr

from prefect_collect.blocks import CloudStoreBlock, DirectoryStoreBlock, FileSource, ObjectStoreSource, S3StoreBlock
from prefect_collect.errors import SourceNotFound
from prefect_collect.sources.listing import items_of
from prefect_collect.stores import open_store
from tests.integration.cloud_servers import Azurite
from tests.integration.servers import S3Server
from tests.support.integrations_blocks import AzureBlobStorageCredentials

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("in_prefect")]


@pytest.fixture
def mail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a message; the default staging store is a folder beside it."""
    (tmp_path / "mail").mkdir()
    (tmp_path / "mail" / "1.eml").write_bytes(b"Hello")
    monkeypatch.setenv("PREFECT_INTEGRATIONS_COLLECT_STORE", str(tmp_path / "staging"))
    return tmp_path / "mail"


def run_example(block: type[Block], **names: str) -> Any:
    """Run the example with its placeholders replaced, and return the value of its last line."""
    found = re.search(r"```python\n(.*?)```", inspect.getdoc(block) or "", re.DOTALL)
    assert found is not None
    code = textwrap.dedent(found[1])
    for placeholder, name in names.items():
        assert placeholder in code
        code = code.replace(placeholder, name)
    *before, last = code.strip().splitlines()
    scope: dict[str, Any] = {}
    exec("\n".join(before), scope)
    return eval(last, scope)


def keys_of(server: S3Server) -> MinIOCredentials:
    """Return the keys that the server accepts."""
    return MinIOCredentials(
        minio_root_user=server.access_key, minio_root_password=SecretStr(server.secret_key), region_name=server.region
    )


def test_file_source_and_store_directory(mail: Path, tmp_path: Path) -> None:
    """A saved folder is loaded and collected, and the collection is exported into a saved directory."""
    FileSource(root=mail).save("example-files")
    collected = run_example(FileSource, BLOCK_NAME="example-files")
    assert collected.counts.succeeded == 1
    DirectoryStoreBlock(path=str(tmp_path / "exports")).save("example-directory")
    result = run_example(DirectoryStoreBlock, BLOCK_NAME="example-directory", JOB_ID=collected.job_id)
    assert result.counts.succeeded == 1
    assert result.package is not None
    assert [blob.size > 0 for blob in open_store(tmp_path / "exports").list()] == [True]


def test_object_store_source(mail: Path, moto: S3Server) -> None:
    """A saved bucket is loaded and collected."""
    bucket = moto.new_bucket()
    moto.client().put_object(Bucket=bucket, Key="1.eml", Body=b"Hello")
    ObjectStoreSource(url=f"s3://{bucket}", endpoint_url=moto.url, credentials=keys_of(moto)).save("example-objects")
    assert run_example(ObjectStoreSource, BLOCK_NAME="example-objects").counts.succeeded == 1


def test_store_bucket(mail: Path, moto: S3Server) -> None:
    """A folder is collected into a saved bucket, whose credentials are loaded with the class that was saved."""
    bucket = moto.new_bucket()
    S3StoreBlock(bucket=bucket, endpoint_url=moto.url, credentials=keys_of(moto)).save("example-bucket")
    result = run_example(S3StoreBlock, **{"BLOCK_NAME": "example-bucket", "/srv/mail": str(mail)})
    assert result.counts.succeeded == 1
    assert result.error_report.startswith(f"s3://{bucket}/{result.job_id}/")
    loaded = S3StoreBlock.load("example-bucket")
    assert isinstance(loaded, S3StoreBlock)
    assert isinstance(loaded.credentials, MinIOCredentials)


def test_cloud_store(mail: Path, azure: Azurite) -> None:
    """A folder is collected into a saved container, whose credentials are those of a saved block of prefect-azure.

    The same block gives a source access; a name that no block has is named in the error.
    """
    saved = AzureBlobStorageCredentials(connection_string=SecretStr(azure.connection_string))
    saved.save("example-azure")
    url = f"az://{azure.new_container()}"
    CloudStoreBlock.model_validate({"url": url, "credentials": saved}).save("example-container")
    result = run_example(CloudStoreBlock, **{"BLOCK_NAME": "example-container", "/srv/mail": str(mail)})
    assert result.counts.succeeded == 1
    assert result.error_report.startswith(f"{url}/{result.job_id}/")
    source = ObjectStoreSource(url=f"{url}/", credentials_block="azure-blob-storage-credentials/example-azure")
    assert any(item.path.endswith("job.json") for item in items_of(source))
    with pytest.raises(SourceNotFound, match="credentials_block=gcp-credentials/none"):
        next(items_of(ObjectStoreSource(url="gs://bucket", credentials_block="none")))
