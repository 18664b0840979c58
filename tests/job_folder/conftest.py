"""Collections whose files a test may forge or damage."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from prefect_collect.collecting import enumeration
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.stores import DirectoryStore
from tests.job_folder.forging import OTHER, a_source
from tests.support.run_attempts import attempt, new_job


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> JobFolder:
    """Return a collection of six items, unchanged, with another collection beside it."""
    folder = new_job(
        DirectoryStore(tmp_path_factory.mktemp("whole")), a_source(), "0194c1b0-0000-7000-8000-000000000001"
    )
    attempt(folder, a_source())
    attempt(new_job(folder.store, a_source(), OTHER), a_source())
    return folder


@pytest.fixture
def job(whole: JobFolder, tmp_path: Path) -> JobFolder:
    """Return the collection in a copy of its store."""
    shutil.copytree(whole.store.url, tmp_path / "store")
    return JobFolder(DirectoryStore(tmp_path / "store"), whole.job_id)


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shards of three items, so that few items make many shards."""
    monkeypatch.setattr(enumeration, "SHARD_ITEMS", 3)
