"""Sources whose program or library is not installed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from prefect_collect import DataSource
from prefect_collect.blocks import RcloneSource, SftpSource, SqlSource
from prefect_collect.statuses import JobStatus
from tests.support.memory_store import MemoryStore
from tests.support.run_attempts import attempt, job_rows, new_job


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (SftpSource(url="sftp://user@127.0.0.1/folder"), "The program ssh is not installed"),
        (RcloneSource(url="rclone://box/folder"), "rclone is not installed"),
        (SqlSource(url="postgresql://user@127.0.0.1/db"), "pip install 'prefect-collect[sql]'"),
    ],
)
def test_what_is_not_installed_is_named(
    source: DataSource, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job whose source needs a missing program or driver fails as `program_missing`, and says what to install."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "psycopg", None)
    job = new_job(MemoryStore(), source)
    result = attempt(job, source)
    assert result.status is JobStatus.FAILED
    assert job_rows(job) == ["program_missing"]
    assert says in str(result)
