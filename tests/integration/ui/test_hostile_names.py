"""Names are data in Prefect's UI: no name becomes an element, address or script, in either of the UI's versions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    LogFilter,
    LogFilterFlowRunId,
)

from prefect_collect import collect, export, jobs
from prefect_collect.blocks.file_source import FileSource
from prefect_collect.errors import SourceError
from prefect_collect.escaping import one_line
from prefect_collect.sources import Content, Item
from prefect_collect.statuses import JobStatus
from tests.integration.prefect_server import PrefectServer
from tests.integration.ui.browser import Browser
from tests.support.hostile_names import MARKER, NAMES, UNSEEN

pytestmark = pytest.mark.integration

ALL = [*NAMES, *UNSEEN]
TITLE = " ".join(name for name in [*NAMES, *UNSEEN] if "://" not in name).replace("\0", "")
"""The job's name. Prefect's own log page makes a link of each ``http://…`` in a line, which shows where it leads; a
name with NUL would be refused.
"""

STAGED = b"as it was staged"
"""The bytes of the items that the export finds changed."""

_FOREIGN = """
const marker = arguments[0], found = [];
const addresses = ['href', 'src', 'srcset', 'action', 'formaction', 'data', 'style', 'xlink:href'];
for (const one of document.querySelectorAll('*')) {
  for (const attribute of one.attributes) {
    const value = attribute.value.toLowerCase();
    const bad = attribute.name.startsWith('on') || addresses.includes(attribute.name);
    if (bad && (value.includes(marker) || value.startsWith('javascript:') || value.startsWith('mailto:')))
      found.push(one.outerHTML.slice(0, 200));
  }
  if (['SCRIPT', 'STYLE', 'IFRAME', 'OBJECT', 'EMBED'].includes(one.tagName) && one.textContent.includes(marker))
    found.push(one.outerHTML.slice(0, 200));
  if (one.tagName === 'IMG' && one.closest('[data-testid=markdown-display], .artifact-data-view'))
    found.push(one.outerHTML.slice(0, 200));
}
if (window[marker] !== undefined) found.push('a script ran');
return found;
"""
"""Finds what a name has become on a page: addresses, handlers, scripts, styles and pictures that hold the marker."""


class Hostile(FileSource):
    """A folder whose files have hostile names: no file called "….txt" can be read, every file called "….bin" can."""

    _block_type_name = "Hostile Names"
    _block_type_slug = "hostile-names"

    def items(self) -> Iterator[Any]:
        """Return the files, the n-th file with the n-th name."""
        for found in super().items():
            number = found.path[:3] if isinstance(found, Item) else ""
            folder = "held/" if isinstance(found, Item) and found.path.endswith(".bin") else ""
            yield replace(found, path=folder + ALL[int(number)]) if number.isdigit() else found

    def read_many(self, items: Iterable[Item], concurrency: int) -> Iterator[tuple[Item, Content | Exception]]:
        """Fail to read the "….txt" files, with a message that holds the name."""
        chosen = list(items)
        for item in chosen:
            if item.id.endswith(".txt"):
                yield item, SourceError(f"It cannot be read: {item.path} [item={item.path}]", code="access_denied")
        yield from super().read_many([item for item in chosen if not item.id.endswith(".txt")], concurrency)


@pytest.fixture
def job(prefect: PrefectServer, tmp_path: Path) -> UUID:
    """A Partially completed collection of such files, whose own name is hostile too."""
    root = tmp_path / "tree"
    root.mkdir()
    for number in range(len(ALL)):
        (root / f"{number:03}.txt").write_text("x")
        (root / f"{number:03}.bin").write_bytes(STAGED)
    (root / "good.dat").write_text("good")
    state = collect(
        source=Hostile(name="hostile", root=root), name=TITLE, store=str(tmp_path / "staging"), return_state=True
    )
    found = jobs.get(state.state_details.flow_run_id)
    assert found.status is JobStatus.PARTIALLY_COMPLETED, found.message
    assert found.result is not None
    assert (found.result.counts.failed, found.result.counts.succeeded) == (len(ALL), len(ALL) + 1)
    return UUID(found.id)


@pytest.fixture
def exported(job: UUID, tmp_path: Path) -> UUID:
    """A Partially completed export of it, also with a hostile name, which finds the items with such names changed."""
    for segment in (tmp_path / "staging" / str(job) / "segments").rglob("*.zip"):
        segment.write_bytes(segment.read_bytes().replace(STAGED, STAGED.upper()))
    state: Any = export(job, tmp_path / "out", name=TITLE, store=tmp_path / "staging", return_state=True)
    found = jobs.get(state.state_details.flow_run_id)
    assert found.status is JobStatus.PARTIALLY_COMPLETED, found.message
    assert found.result is not None
    assert (found.result.counts.failed, found.result.counts.succeeded) == (len(ALL), 1)
    return UUID(found.id)


def artifacts(job: UUID) -> dict[str, UUID]:
    """Return the ids of the job's artifacts by their key without the job's id."""
    only = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[job]))
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(artifact_filter=only, limit=50)
    return {str(one.key).removesuffix(f"-{job}"): one.id for one in found}


def shown(browser: Browser) -> str:
    """Return all text of the page, with runs of spaces as one."""
    text = browser.driver.execute_script("return document.body.textContent")
    return " ".join(str(text).split())


def assert_harmless(browser: Browser, *texts: str) -> None:
    """Wait for the texts, and assert that no name has become anything but text on the page."""
    wanted = [" ".join(text.split()) for text in texts]
    browser.wait(
        lambda: all(text in shown(browser) for text in wanted),
        lambda: f"{[text for text in wanted if text not in shown(browser)]} on {browser.driver.current_url}",
    )
    assert browser.driver.execute_script(_FOREIGN, MARKER) == [], browser.driver.current_url


@pytest.mark.timeout(400)
def test_no_element_comes_of_a_name(job: UUID, exported: UUID, prefect: PrefectServer, browser: Browser) -> None:
    """Page, errors, report and progress of a job, its run's page and its log show hostile names unchanged, for a
    collection and for its export.
    """
    found, of_export = artifacts(job), artifacts(exported)
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(job)
        logged = client.read_logs(LogFilter(flow_run_id=LogFilterFlowRunId(any_=[job])))
    assert run.name == one_line(TITLE)
    assert logged
    assert [line.message for line in logged if line.message != one_line(line.message)] == []
    assert found.keys() >= {"job", "errors", "report"}
    names, title = [one_line(name) for name in ALL], one_line(TITLE)
    for version, ui in {"second": browser.ui, "first": browser.ui.removesuffix("/v2")}.items():
        browser.driver.get(f"{ui}/artifacts/artifact/{found['errors']}")
        assert_harmless(browser, *names)
        browser.screenshot(f"hostile-errors-{version}", height=2500)
        browser.driver.get(f"{ui}/artifacts/artifact/{found['job']}")
        assert_harmless(browser, title)
        browser.screenshot(f"hostile-page-{version}", height=1500)
    for page, text in {
        f"artifacts/artifact/{found['report']}": "errors.csv",
        "artifacts": f"job-{job}",
        f"runs/flow-run/{job}": title,
        f"artifacts/artifact/{of_export['errors']}": names[0],
        f"artifacts/artifact/{of_export['job']}": title,
        f"runs/flow-run/{exported}": title,
    }.items():
        browser.driver.get(f"{browser.ui}/{page}")
        assert_harmless(browser, text)
