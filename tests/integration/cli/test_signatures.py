"""Presigned URLs and SAS tokens are kept nowhere: they are refused with messages that do not repeat them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.flow_engine import run_flow

from prefect_collect import collect, export, jobs
from prefect_collect.blocks import FileSource
from prefect_collect.errors import InvalidLocation
from prefect_collect.flows import AutoExport
from tests.integration.cli.conftest import Done
from tests.integration.shared_server import job_ids

pytestmark = pytest.mark.integration

SECRET = "5ec7e75167a7e"
SIGNED = [
    f"https://bucket.s3.amazonaws.com/key?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature={SECRET}",
    f"s3://bucket/key?X-Amz-Signature={SECRET}",
    f"https://account.blob.core.windows.net/c?sv=2022-11-02&sp=r&sig={SECRET}",
]


def held_anywhere(folder: Path) -> list[str]:
    """Return the files below a folder in whose name or bytes the signature is."""
    return [
        os.path.join(above, name)
        for above, folders, names in os.walk(folder)
        for name in [*names, *folders]
        if SECRET in name or (name in names and SECRET.encode() in Path(above, name).read_bytes())
    ]


@pytest.mark.parametrize("signed", SIGNED)
def test_commands_refuse_them(here: Callable[..., Done], tmp_path: Path, signed: str) -> None:
    """As any argument that names a place, they end with 2 and one line; no job is made, and nothing is written."""
    (tmp_path / "root").mkdir()
    root, store = tmp_path / "root", tmp_path / "store"
    before = job_ids()
    for command in (
        ["collect", signed, "--store", store],
        ["collect", root, "--store", signed],
        ["collect", root, "--store", store, "--export-to", signed],
        ["collect", "s3://bucket", "--endpoint-url", signed, "--store", store],
        ["draft", signed, "--store", store],
        ["draft", root, "--store", store, "--export-to", signed],
        ["export", "00000000", "--to", signed, "--store", store],
        ["jobs", "--store", signed],
        ["verify", signed],
    ):
        done = here(*command)
        assert (done.code, done.out) == (2, ""), (command, done)
        assert SECRET not in done.err
        assert "contains a signature" in done.error, (command, done)
    assert job_ids() - before == set()
    assert [*root.iterdir()] == []
    assert not store.exists()


def test_python_refuses_them(used_server: object, tmp_path: Path) -> None:
    """Python raises before Prefect has a run."""
    source = FileSource(root=tmp_path)
    before = job_ids()
    for start in (
        lambda: collect(source=source, store=SIGNED[1]),
        lambda: collect(source=source, store=tmp_path, auto_export=AutoExport(destination=SIGNED[1])),
        lambda: export("00000000-0000-0000-0000-000000000000", SIGNED[1]),
        lambda: jobs.draft_collection(source, store=SIGNED[1]),
        lambda: FileSource(root=SIGNED[0]),
    ):
        with pytest.raises(InvalidLocation, match="contains a signature") as caught:
            start()
        assert SECRET not in str(caught.value)
    assert job_ids() - before == set()


def test_a_run_that_prefect_was_given_one_for(used_server: object, tmp_path: Path) -> None:
    """Such a run from the UI or the API is Failed, and nothing that Prefect keeps of it holds the signature."""
    root = tmp_path / "root"
    root.mkdir()
    parameters: dict[str, Any] = {
        "source": FileSource(root=root), "store": SIGNED[1], "auto_export": {"destination": SIGNED[0]},
    }  # fmt: skip
    with get_client(sync_client=True) as client:
        run = client.create_flow_run(collect, parameters={**parameters, "source": None})
        state: Any = run_flow(collect, flow_run=run, parameters=parameters, return_type="state")
        kept = client.read_flow_run(run.id)
        states = client.read_flow_run_states(run.id)
    assert state.name == "Failed"
    assert "contains a signature" in state.message
    assert kept.parameters["store"] == "s3://bucket/key"
    assert SECRET not in kept.model_dump_json()
    assert SECRET not in "".join(each.model_dump_json() for each in states)
    assert held_anywhere(tmp_path) == []
