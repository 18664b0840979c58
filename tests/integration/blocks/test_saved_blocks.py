"""Data sources that are saved in Prefect, and found by their names."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import BlockDocumentUpdate
from prefect_aws import MinIOCredentials
from pydantic import SecretStr

from prefect_collect import jobs
from prefect_collect.blocks import FileSource, HttpListSource, MboxSource, ObjectStoreSource, source_from
from prefect_collect.errors import InvalidLocation, SourceNotFound
from prefect_collect.statuses import LifecycleStatus
from tests.integration.jobs.gated_source import GatedFiles
from tests.integration.prefect_server import PrefectServer
from tests.integration.served.conftest import _plugin

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("in_prefect")]


def test_saved_and_found_by_name(tmp_path: Path) -> None:
    """A saved source is found by its name, with or without its block type, and has the fields that were saved."""
    saved = FileSource(name="docs", root=tmp_path, lifecycle=LifecycleStatus.SUSPENDED)
    saved.save("my-docs")
    for location in ("my-docs", "file-source/my-docs"):
        found = source_from(location)
        assert isinstance(found, FileSource)
        assert (found.name, found.root, found.lifecycle) == ("docs", tmp_path, LifecycleStatus.SUSPENDED)
    assert source_from("my-docs", name="other").name == "other"
    with pytest.raises(InvalidLocation, match="name must be up to 100 letters"):
        source_from("my-docs", name="oth\0er")


def test_found_in_a_new_process(prefect_server: PrefectServer, tmp_path: Path) -> None:
    """A saved source is found by its name alone also in a process that has used no other block before; one of a class
    of another installed package, too.
    """
    FileSource(root=tmp_path).save("of-another-process")
    GatedFiles(root=tmp_path, gate=tmp_path / "gate").save("of-another-package")
    names = ["of-another-process", "of-another-package"]
    program = f"from prefect_collect.blocks import source_from; print([source_from(one).location() for one in {names}])"
    path = os.pathsep.join((str(_plugin(tmp_path)), str(Path(__file__).parents[3])))
    environment = {**prefect_server.environment(), "PYTHONPATH": path}
    ran = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert ran.stdout.strip() == str([str(tmp_path)] * 2), ran.stderr


def test_credentials_come_back(tmp_path: Path) -> None:
    """A source saved with credentials is loaded with credentials of the same kind, and with the secret."""
    keys = MinIOCredentials(minio_root_user="user", minio_root_password=SecretStr("hush-hush"))
    ObjectStoreSource(url="s3://bucket/x", endpoint_url="http://localhost:9000/", credentials=keys).save("bucket")
    found = source_from("object-store-source/bucket")
    assert isinstance(found, ObjectStoreSource)
    assert found.endpoint_url == "http://localhost:9000"
    assert isinstance(found.credentials, MinIOCredentials)
    assert found.credentials.minio_root_password.get_secret_value() == "hush-hush"
    assert "hush-hush" not in repr(found)


def test_sources_are_listed_without_their_secrets(tmp_path: Path) -> None:
    """A source is listed whether its secrets are set or not: Prefect masks both, and a mask is no value."""
    key = json.dumps({"private_key": "hush", "client_email": "a@b"})
    with_headers = HttpListSource.model_validate(
        {"url": "urls:///srv/b.jsonl", "headers": {"host": {"Authorization": "Bearer hush"}}}
    )
    bucket = ObjectStoreSource(url="gs://bucket/x", secret=SecretStr(key))
    made = {
        "list": HttpListSource(url="urls:///srv/a.jsonl", allow_private=True),
        "list-with-headers": with_headers,
        "bucket": bucket,
        "messages": MboxSource(inside=bucket),
        "folder": FileSource(root=tmp_path),
    }
    saved = {one.save(f"masked-{name}"): one for name, one in made.items()}
    listed = {one.id: one for one in jobs.list_sources() if one.id in saved}
    assert {one.problem for one in listed.values()} == {""}
    assert {key: one.location for key, one in listed.items()} == {key: one.location() for key, one in saved.items()}
    [broken] = [key for key, one in saved.items() if isinstance(one, FileSource)]
    assert isinstance(broken, UUID)
    with get_client(sync_client=True) as client:
        client.update_block_document(broken, BlockDocumentUpdate(data={"root": [1]}, merge_existing_data=True))
    [problem] = [one.problem for one in jobs.list_sources() if one.id == broken]
    assert problem.startswith("The block cannot be read; correct its fields in Prefect, or save it again: root ")
    assert not any(word in problem for word in ("pydantic", "\\n", "http"))


def test_not_found(tmp_path: Path) -> None:
    """An unknown name is refused; the message says what is not there and where to look, and lists no kinds."""
    with pytest.raises(SourceNotFound) as caught:
        source_from("no-such-thing")
    text = str(caught.value)
    assert "no data source is saved by that name in Prefect" in text
    assert "`prefect-collect sources` lists the saved sources" in text
    assert "object-store-source" not in text
    assert text.endswith("[source=no-such-thing]")


def test_a_block_of_another_kind() -> None:
    """A saved block that is not a data source is refused, and the message says so."""
    MinIOCredentials(minio_root_user="user", minio_root_password=SecretStr("x")).save("keys")
    with pytest.raises(SourceNotFound, match="not a data source"):
        source_from("minio-credentials/keys")


def test_urls_and_paths_need_no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """URLs and existing paths give data sources without a request to Prefect."""
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:1/api")
    assert isinstance(source_from(str(tmp_path)), FileSource)
    assert isinstance(source_from(f"file://{tmp_path}"), FileSource)
    source = source_from("s3://bucket/mail/", endpoint_url="http://localhost:9000", name="mail")
    assert isinstance(source, ObjectStoreSource)
    assert (source.name, source.endpoint_url) == ("mail", "http://localhost:9000")
    for bad in ("", "./none", "/none/at/all", "a/b/c"):
        with pytest.raises(SourceNotFound):
            source_from(bad)
    with pytest.raises(InvalidLocation):
        source_from("ftp://host/x")
    with pytest.raises(InvalidLocation, match="endpoint_url goes with"):
        source_from(str(tmp_path), endpoint_url="http://localhost:9000")
