"""Whole jobs, and what a person sees of them in Prefect: events, the page, the snapshot."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest

from prefect_collect import collect
from prefect_collect.blocks import FileSource
from prefect_collect.tasks.snapshot import SNAPSHOT_KEY, refresh_snapshot
from tests.integration.prefect_server import PrefectServer
from tests.integration.runs.test_events import events_of
from tests.integration.tasks.test_live_page import versions

pytestmark = pytest.mark.integration


@pytest.fixture
def source(tmp_path: Path) -> FileSource:
    """One file, under a name that no other source has."""
    root = tmp_path / "data"
    root.mkdir()
    (root / "kept").write_bytes(b"x" * 2048)
    return FileSource(root=root, name=f"source {uuid4()}")


def test_a_job_sends_its_statuses_and_is_counted(
    prefect_server: PrefectServer, source: FileSource, tmp_path: Path
) -> None:
    """Queued, In progress and its end are events; one page; the snapshot has its items and bytes."""
    with prefect_server.used():
        result = collect(source=source, store=str(tmp_path / "staging"))
        events = events_of(prefect_server, result.job_id, 3)
        refresh_snapshot()
        assert f"| {source.name} | 1 | 1 | 2.0 KiB | 0 | 0 | 0 bytes |" in versions(SNAPSHOT_KEY)[0].data
        [page] = versions(f"job-{result.job_id}")
    assert {event["event"].rpartition(".")[2] for event in events} == {
        "queued",
        "in-progress",
        "successfully-completed",
    }
    [last] = [event for event in events if event["event"].endswith("completed")]
    assert last["payload"]["counts"]["succeeded"] == 1
    assert last["resource"]["prefect-collect.source"] == source.name
    assert page.description.endswith(": Successfully completed")
    assert page.data.count("# ") >= 3
