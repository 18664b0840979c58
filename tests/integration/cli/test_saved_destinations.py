"""Saved destinations on the command line, existing and missing. Jobs and commands share this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from prefect_collect.blocks import DirectoryStoreBlock
from prefect_collect.stores.addresses import STORE_BLOCKS
from tests.integration.cli.conftest import Done
from tests.integration.jobs.every_status import Desk, opened_desk
from tests.integration.prefect_server import PrefectServer
from tests.integration.shared_server import job_ids

pytestmark = pytest.mark.integration


@pytest.fixture
def desk(used_server: PrefectServer, tmp_path: Path) -> Iterator[Desk]:
    """A desk, which brings jobs to every status."""
    with opened_desk(tmp_path / "desk") as desk:
        yield desk


def test_a_saved_destination_that_is_not_there(
    desk: Desk, here: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A saved block that Prefect does not have is refused before there is a job; no folder of that name is made."""
    monkeypatch.chdir(desk.folder)
    collection = desk.collected()
    before = job_ids()
    for slug in STORE_BLOCKS:
        for name in (f"{slug}no-such-block", slug):
            for command in (
                ["collect", desk.root, "--export-to", name],
                ["draft", desk.root, "--export-to", name],
                ["export", collection.id, "--to", name],
            ):
                done = here(*command, "--store", desk.store)
                assert (done.code, done.out) == (2, "")
                assert "Prefect has no such block" in done.error
                assert f"[destination={name}]" in done.error
        assert not Path(slug).exists()
    assert job_ids() - before == set()


def test_a_saved_destination(desk: Desk, here: Callable[..., Done], monkeypatch: pytest.MonkeyPatch) -> None:
    """Packages go to the saved block's place, for an export made with its collection, and for one made afterwards."""
    monkeypatch.chdir(desk.folder)
    DirectoryStoreBlock(path=str(desk.out)).save("packages", overwrite=True)
    name, store = "collect-directory-store/packages", ("--store", desk.store, "--json")
    made = here("collect", desk.root, "--limit", "1", "--export-to", name, *store)
    assert made.code == 0, made.err
    [first] = desk.out.glob("*.zip")
    export = made.json["export"]
    assert (export["kind"], export["status"], export["succeeded"]) == ("export", "Successfully completed", 1)
    assert here("verify", export["package"]).code == 0
    exported = here("export", made.json["job_id"], "--to", name, "--format", "directory", *store)
    assert exported.code == 0, exported.err
    assert {path.name for path in desk.out.iterdir()} == {first.name, first.stem}
    assert not Path(name).exists()
