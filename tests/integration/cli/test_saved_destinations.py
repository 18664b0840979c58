"""Saved destinations on the command line, existing and missing. Jobs and commands share this process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from prefect_collect import jobs
from prefect_collect.blocks import DirectoryStoreBlock
from prefect_collect.cli import run
from prefect_collect.statuses import JobKind
from prefect_collect.stores.addresses import STORE_BLOCKS
from tests.integration.jobs.every_status import Desk, opened_desk
from tests.integration.prefect_server import PrefectServer

pytestmark = pytest.mark.integration


@pytest.fixture
def desk(used_server: PrefectServer, tmp_path: Path) -> Iterator[Desk]:
    """A desk, which brings jobs to every status."""
    with opened_desk(tmp_path / "desk") as desk:
        yield desk


@pytest.mark.parametrize("slug", STORE_BLOCKS)
def test_a_saved_destination_that_is_not_there(
    slug: str, desk: Desk, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A saved block that Prefect does not have is refused before there is a job; no folder of that name is made."""
    monkeypatch.chdir(desk.folder)
    collection = desk.collected()
    before = {job.id for job in jobs.list_jobs(20)}
    capsys.readouterr()
    for name in (f"{slug}no-such-block", slug):
        for command in (
            ["collect", str(desk.root), "--export-to", name],
            ["draft", str(desk.root), "--export-to", name],
            ["export", collection.id, "--to", name],
        ):
            assert run([*command, "--store", desk.store]) == 2
            out, err = capsys.readouterr()
            assert (out, len(err.splitlines())) == ("", 1)
            assert "Prefect has no such block" in err
            assert f"[destination={name}]" in err
    assert {job.id for job in jobs.list_jobs(20)} == before
    assert not Path(slug).exists()


def test_a_saved_destination(desk: Desk, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Packages go to the saved block's place, for an export made with its collection, and for one made afterwards."""
    monkeypatch.chdir(desk.folder)
    DirectoryStoreBlock(path=str(desk.out)).save("packages", overwrite=True)
    name = "collect-directory-store/packages"
    source, store = str(desk.root), ["--store", desk.store]
    assert run(["collect", source, "--limit", "1", "--export-to", name, *store]) == 0, capsys.readouterr().err
    [first] = desk.out.glob("*.zip")
    [collection] = [job for job in jobs.list_jobs(5, desk.store) if job.kind is JobKind.COLLECTION]
    assert run(["export", collection.id, "--to", name, "--format", "directory", *store]) == 0, capsys.readouterr().err
    assert {path.name for path in desk.out.iterdir()} == {first.name, first.stem}
    assert not Path(name).exists()
