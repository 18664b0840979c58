"""The folder that a job collected, into which no package is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from prefect_collect.errors import InvalidLocation
from prefect_collect.job_folder.collected_folder import collected_folder
from prefect_collect.job_folder.folder import JobRecord
from prefect_collect.sources.overlaps import require_destination
from prefect_collect.statuses import JobKind
from prefect_collect.stores import DirectoryStore
from tests.support.memory_store import MemoryStore


def record_of(**source: object) -> JobRecord:
    """Return the record of a collection of this source."""
    return JobRecord("job", JobKind.COLLECTION, "name", {"name": "x", **source}, "base")


def test_a_package_is_not_written_into_the_folder(tmp_path: Path) -> None:
    """A place in the folder is refused, also through a link; one beside it, and a bucket, are not."""
    (tmp_path / "docs/in").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "docs/in")
    folder = collected_folder(record_of(type="file-source", location=str(tmp_path / "docs")))
    assert folder is not None
    for place in ("docs", "docs/new", "link/new"):
        with pytest.raises(InvalidLocation, match="lies in the data source"):
            require_destination(folder, MemoryStore(), DirectoryStore(tmp_path / place))
    require_destination(folder, MemoryStore(), DirectoryStore(tmp_path / "beside"))
    assert folder.overlap(MemoryStore()) is None


@pytest.mark.parametrize(
    "source", [{"type": "sftp-source", "location": "/docs"}, {"type": "file-source", "location": "s3://b"}, {}]
)
def test_other_sources(source: dict[str, str]) -> None:
    """A source that is no folder, or does not say which, is none."""
    assert collected_folder(record_of(**source)) is None
