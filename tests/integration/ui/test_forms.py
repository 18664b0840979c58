"""Jobs started by a person from the forms of the deployments in Prefect's UI."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client

from prefect_collect.blocks import FileSource
from prefect_collect.flows.names import COLLECTION_FLOW, DEPLOYMENT
from tests.integration.prefect_server import PrefectServer
from tests.integration.servers import _end, _ending_with_us
from tests.integration.ui.browser import Browser

pytestmark = pytest.mark.integration

_SERVE = "from prefect_collect.deployments.serving import serve; serve()"


@pytest.fixture
def serving(prefect: PrefectServer, tmp_path: Path, browser: Browser) -> Iterator[UUID]:
    """The id of the collection deployment, which is served by a process of its own."""
    log = tmp_path / "serve.log"
    with log.open("wb") as output:
        command = _ending_with_us([sys.executable, "-c", _SERVE])
        process = subprocess.Popen(command, env=prefect.environment(), stdout=output, stderr=output)
    try:

        def deployed() -> UUID | None:
            assert process.poll() is None, log.read_text()
            with get_client(sync_client=True) as client:
                found = [one for one in client.read_deployments() if one.name == DEPLOYMENT]
                flows = {one.flow_id: client.read_flow(one.flow_id).name for one in found}
            return next((one.id for one in found if flows[one.flow_id] == COLLECTION_FLOW), None)

        yield browser.wait(deployed, lambda: f"the deployments: {log.read_text()}")
    finally:
        _end(process)


def test_a_person_picks_a_source_by_name_and_starts_a_collection(
    serving: UUID, browser: Browser, tmp_path: Path
) -> None:
    """Fields have titles; a saved source is picked by its name; the run collects what the form says, and is shown."""
    root = tmp_path / "case files"
    root.mkdir()
    for name in ("one.txt", "two.txt", "three.pdf"):
        (root / name).write_text(name)
    FileSource(root=root).save("case-files", overwrite=True)
    FileSource(root=tmp_path).save("everything", overwrite=True)
    browser.open_form(serving)
    fields = browser.fields()
    assert [field for field in fields if "_" in field] == []
    assert fields[0] == "Source"
    browser.pick_block("Source", "File Source", "case-files")
    browser.add("Include", "*.txt")
    browser.fill("Store", str(tmp_path / "store"))
    browser.choose("On empty", "fail")
    browser.screenshot("form-collection", height=1400)
    run = browser.submit()
    browser.wait_for_status("Successfully completed")
    assert len(list((tmp_path / "store" / str(run)).rglob("*.zip"))) == 1
    with get_client(sync_client=True) as client:
        message = client.read_flow_run(run).state.message  # type: ignore[union-attr]
    assert "2 of 2 items" in str(message)
