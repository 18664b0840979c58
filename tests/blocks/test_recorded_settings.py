"""The settings of a source in a job's record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from prefect_aws import AwsCredentials

from prefect_collect.blocks import FileSource, HttpListSource, MboxSource, ObjectStoreSource, SqlSource
from prefect_collect.blocks.data_source import DataSource, recorded_source
from prefect_collect.documents.account import account_bytes, read_account
from prefect_collect.documents.html_page import html_of
from prefect_collect.job_folder import custody_log
from prefect_collect.job_folder.folder import JobFolder, JobRecord
from prefect_collect.job_folder.lifecycle import create_job
from prefect_collect.statuses import JobKind
from prefect_collect.stores import DirectoryStore
from tests.documents.conftest import account_of
from tests.support.run_attempts import attempt


def told(source: DataSource) -> dict[str, Any]:
    """Return the settings in the record of a job of that source, whose record holds only texts."""
    recorded = recorded_source(source)
    assert all(type(value) is str for value in recorded.values())
    return JobRecord("id", JobKind.COLLECTION, "name", recorded, "base").source_settings


def test_what_is_recorded(tmp_path: Path) -> None:
    """Settings that are not their defaults are recorded, of an inner source too; places, paces and defaults are not."""
    links = FileSource(root=tmp_path, follow_symlinks=True)
    assert told(links) == {"follow_symlinks": True}
    assert "settings" not in recorded_source(FileSource(root=tmp_path))
    assert told(MboxSource(inside=links)) == {"inside.follow_symlinks": True}
    bucket = ObjectStoreSource(url="s3://bucket/x", versions="all", request_payer=True, connect_timeout=5)
    assert told(bucket) == {"versions": "all", "request_payer": True}
    tables = SqlSource.model_validate({"url": "sqlite:///x.db", "tables": ["a", "b"], "connections": 2})
    assert told(tables) == {"tables": "a, b"}


def test_secrets_are_not_recorded() -> None:
    """No secret is recorded, and a long text is cut."""
    secrets: dict[str, Any] = {"url_query": "hush-1", "headers": {"host": {"Authorization": "hush-2"}}}
    listed = HttpListSource.model_validate(
        {"url": "urls+https://host/list.jsonl", "look_first": False, "ca_file": f"/{'x' * 1_000}", **secrets}
    )
    found = told(listed)
    assert found["look_first"] is False
    assert len(found["ca_file"]) == 300
    keys = AwsCredentials(aws_access_key_id="hush-3", aws_secret_access_key="hush-4")
    bucket = ObjectStoreSource(url="s3://bucket/x", endpoint_url="https://host:9000", credentials=keys)
    assert told(bucket) == {"endpoint_url": "https://host:9000"}
    assert "hush" not in json.dumps([found, told(bucket)])


@pytest.mark.parametrize("text", [None, "", "[]", "{", "\udc80", '{"a": NaN}'])
def test_records_without_settings(text: str | None) -> None:
    """A record of an earlier version, or one that was tampered with, has no settings."""
    source = {} if text is None else {"settings": text}
    assert JobRecord("id", JobKind.COLLECTION, "name", source, "base").source_settings == {}


def test_the_document_has_them(tmp_path: Path) -> None:
    """The chain of custody document has a row for each setting, and the settings of a retry in its log."""
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "a").write_bytes(b"a")
    source = FileSource(root=tmp_path / "root", follow_symlinks=True)
    folder = JobFolder(DirectoryStore(tmp_path / "store"), "job")
    create_job(folder, JobRecord("job", JobKind.COLLECTION, "test", recorded_source(source), "test"))
    custody_log.append(folder, "retry-requested", {"settings": {"allow_private": True, "name": "<b>"}})
    attempt(folder, source)
    account = account_of(folder)
    assert account["job"]["asked"] == [["source: follow_symlinks", "true"]]
    actions = [event[3] for event in account["custody"]["events"]]
    assert "retry-requested (allow_private true, name <b>)" in actions
    assert read_account(account_bytes(account)) == account
    page = html_of(account).decode()
    assert all(text in page for text in ("source: follow_symlinks", "(allow_private true, name &lt;b&gt;)"))
