"""The artifacts of a job in Prefect: page, errors, and where the report is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

from prefect_collect import collect
from prefect_collect.artifacts.job_page import show_result
from prefect_collect.blocks import FileSource
from prefect_collect.errors import StoreUnavailable
from prefect_collect.job_folder.result import TaskResult
from prefect_collect.stores import DirectoryStore
from tests.integration.prefect_server import PrefectServer

pytestmark = pytest.mark.integration


@pytest.fixture
def result(prefect_server: PrefectServer, tmp_path: Path) -> Iterator[TaskResult]:
    """The result of a collection with a skipped link, from a folder with an odd name."""
    source = tmp_path / "a`b|c"
    source.mkdir()
    (source / "kept").write_bytes(b"x")
    (source / "link").symlink_to("kept")
    with prefect_server.used():
        yield collect(source=FileSource(root=source, name="docs"), store=str(tmp_path / "staging"))


def artifact(key: str) -> Any:
    """Return the artifact with that key."""
    with get_client(sync_client=True) as client:
        [found] = client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[key])))
    return found


def test_page_table_and_report(result: TaskResult, tmp_path: Path) -> None:
    """The page names the source exactly, the errors have the item, and all say where the report is. Without a console,
    that is text.
    """
    page = artifact(f"job-{result.job_id}")
    report = tmp_path / "staging" / result.job_id / "reports" / "0001" / "errors.csv"
    assert f"``{tmp_path}/a`b|c``" in page.data
    assert f"- error report: `{report.parent}/`" in page.data
    assert "\n- link\n    - skipped, " in artifact(f"errors-{result.job_id}").data
    shown = artifact(f"report-{result.job_id}")
    assert shown.data == f"`{report}`"
    assert shown.description == f"The complete error report: `{report}`"


def test_a_store_that_went_away_does_not_end_the_job(result: TaskResult, tmp_path: Path) -> None:
    """If the report of a result can no longer be read, only a warning is logged."""

    class Away(DirectoryStore):
        def open(self, key: str) -> Any:
            raise StoreUnavailable(f"It went away. [{key}]")

        def locate(self, key: str) -> str:
            raise ConnectionError("not even an error of ours")

    object.__setattr__(result, "store", Away(tmp_path / "staging"))

    @flow
    def showing() -> str:
        show_result(result, "docs", "somewhere")
        return "done"

    assert showing() == "done"
