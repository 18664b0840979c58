"""Exports of other systems as sources: by the flow to a verified package, and from a bucket."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from prefect_collect import collect, export, jobs
from prefect_collect.blocks import FileSource, VaultExportSource, source_from
from prefect_collect.packages import verify
from prefect_collect.sources.listing import items_of
from prefect_collect.stores.addresses import INSIDE
from tests.integration.connectors.s3_sources import source_at
from tests.integration.prefect_server import PrefectServer
from tests.integration.servers import S3Server
from tests.support.memory_store import MemoryStore
from tests.support.purview_export import write_purview_export
from tests.support.run_attempts import attempt, check_account, held, new_job, unsuccessful
from tests.support.slack_export import write_slack_export
from tests.support.vault_export import write_vault_export

pytestmark = pytest.mark.integration

EXPORTS: dict[str, Callable[[Path], None]] = {
    "vault": write_vault_export,
    "slack": write_slack_export,
    "purview": write_purview_export,
}
"""How an export of each kind is written into a folder."""


@pytest.mark.parametrize("kind", EXPORTS)
def test_through_prefect(prefect_server: PrefectServer, kind: str, tmp_path: Path) -> None:
    """The flow collects an export by its location, and the package has its items with their metadata."""
    (tmp_path / "export").mkdir()
    EXPORTS[kind](tmp_path / "export")
    source, store = source_from(f"{kind}:{tmp_path / 'export'}"), str(tmp_path / "store")
    with prefect_server.used():
        state = collect(source=source, store=store, return_state=True)
        assert state.name in ("Successfully completed", "Partially completed"), state.message
        job = jobs.get(str(state.state_details.flow_run_id))
        assert job.result is not None
        rows = job.result.successful.to_arrow().to_pylist()
        state = export(job.id, str(tmp_path / "out"), store=store, return_state=True)
        assert state.name is not None
        assert "completed" in state.name, state.message
        (package,) = (tmp_path / "out").iterdir()
        assert verify(package).valid
    with zipfile.ZipFile(package) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("/metadata.jsonl"))
        described = {json.loads(line)["item_id"] for line in archive.read(name).splitlines()}
    assert described == {row["item_id"] for row in rows if row["metadata"]}
    assert described


def test_saved_in_prefect(prefect_server: PrefectServer, tmp_path: Path) -> None:
    """A source is saved as Prefect's form saves it, with a reference to the saved source of its files, and found again
    by its name; one whose files have no saved source keeps these with it.
    """
    with prefect_server.used():
        holder = FileSource(root=tmp_path)
        holder.save("the-files")
        loaded = FileSource.load("the-files")
        assert isinstance(loaded, FileSource)
        for inside in (loaded, FileSource(root=tmp_path)):
            VaultExportSource(inside=inside).save("the-export", overwrite=True)
            found = source_from("vault-export-source/the-export")
            assert isinstance(found, VaultExportSource)
            assert isinstance(found.inside, FileSource)
            assert found.location() == f"vault:{tmp_path}"
            assert [*items_of(found)] == []


@pytest.mark.parametrize("kind", EXPORTS)
def test_from_a_bucket(moto: S3Server, kind: str, tmp_path: Path) -> None:
    """An export in a bucket gives what it gives in a folder, read by ranges."""
    EXPORTS[kind](tmp_path)
    bucket = moto.new_bucket()
    for path in tmp_path.rglob("*"):
        if path.is_file():
            moto.client().put_object(Bucket=bucket, Key=f"x/{path.relative_to(tmp_path)}", Body=path.read_bytes())
    results = []
    folder = source_from(f"{kind}:{tmp_path}")
    for source in (folder, type(folder).model_validate({"inside": source_at(moto, bucket, prefix="x/")})):
        job = new_job(MemoryStore(), source)
        attempt(job, source)
        check_account(job)
        rows = [(row["path"], row["sha256"], row["metadata"]) for row in held(job).values()]
        results.append((sorted(rows), sorted((row["path"], row["error_code"]) for row in unsuccessful(job).values())))
        assert len([*items_of(source)]) == len(rows) + len(results[-1][1])
    assert results[0] == results[1]


def test_every_kind_is_here() -> None:
    """Each kind of export is tested through the flow."""
    assert {"mbox", *EXPORTS} == INSIDE.keys()
