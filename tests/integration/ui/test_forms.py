"""Jobs started by a person from the forms of the deployments in Prefect's UI."""

from __future__ import annotations

from pathlib import Path

import pytest

from prefect_collect import jobs
from prefect_collect.blocks import FileSource
from tests.integration.prefect_server import PrefectServer
from tests.integration.ui.browser import Browser
from tests.integration.ui.conftest import Served

pytestmark = pytest.mark.integration


def test_a_person_picks_a_source_by_name_and_starts_a_collection(
    prefect: PrefectServer, served: Served, browser: Browser, tmp_path: Path
) -> None:
    """Fields have titles; a saved source is picked by its name; the run collects what the form says, and is shown."""
    root = tmp_path / "case files"
    root.mkdir()
    for name in ("one.txt", "two.txt", "three.pdf"):
        (root / name).write_text(name)
    FileSource(root=root).save("case-files", overwrite=True)
    FileSource(root=tmp_path).save("everything", overwrite=True)
    browser.open_form(served.collection)
    fields = browser.fields()
    assert [field for field in fields if "_" in field] == []
    assert fields[0] == "Source"
    browser.pick_block("Source", "File Source", "case-files")
    browser.add("Include", "*.txt")
    browser.fill("Store", str(tmp_path / "store"))
    browser.choose("On empty", "fail")
    browser.screenshot("form-collection", height=1400)
    run = browser.submit(served.collection)
    browser.wait_for_status("Successfully completed")
    result = jobs.get(run).result
    assert result is not None
    assert (result.counts.found, result.counts.succeeded) == (2, 2)
