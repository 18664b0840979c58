"""Jobs whose items and names are hostile, and what is looked for on the pages of Prefect's UI that show them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
)

from prefect_collect import collect, export, jobs
from prefect_collect.blocks.file_source import FileSource
from prefect_collect.errors import SourceError
from prefect_collect.sources import Content, Item
from prefect_collect.statuses import JobStatus
from tests.integration.ui.browser import Browser
from tests.support.hostile_names import MARKER, NAMES, UNSEEN

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

    names: ClassVar[list[str]] = ALL
    _block_type_name = "Hostile Names"
    _block_type_slug = "hostile-names"

    def items(self) -> Iterator[Any]:
        """Return the files, the n-th file with the n-th name."""
        for found in super().items():
            if isinstance(found, Item) and found.path[:3].isdigit():
                folder = "held/" if found.path.endswith(".bin") else ""
                found = replace(found, path=folder + self.names[int(found.path[:3])])
            yield found

    def read_many(self, items: Iterable[Item], concurrency: int) -> Iterator[tuple[Item, Content | Exception]]:
        """Fail to read the "….txt" files, with a message that holds the name."""
        chosen = list(items)
        for item in chosen:
            if item.id.endswith(".txt"):
                yield item, SourceError(f"It cannot be read: {item.path} [item={item.path}]", code="access_denied")
        yield from super().read_many([item for item in chosen if not item.id.endswith(".txt")], concurrency)


def write_files(root: Path, number: int) -> None:
    """Make a folder with so many pairs of files that `Hostile` renames."""
    root.mkdir(parents=True)
    for each in range(number):
        (root / f"{each:03}.txt").write_text("x")
        (root / f"{each:03}.bin").write_bytes(STAGED)


def hostile_collection(tmp_path: Path) -> UUID:
    """Return a Partially completed collection of such files, whose own name is hostile too."""
    root = tmp_path / "tree"
    write_files(root, len(ALL))
    (root / "good.dat").write_text("good")
    state = collect(
        source=Hostile(name="hostile", root=root), name=TITLE, store=str(tmp_path / "staging"), return_state=True
    )
    found = jobs.get(state.state_details.flow_run_id)
    assert found.status is JobStatus.PARTIALLY_COMPLETED, found.message
    assert found.result is not None
    assert (found.result.counts.failed, found.result.counts.succeeded) == (len(ALL), len(ALL) + 1)
    return UUID(found.id)


def hostile_export(job: UUID, tmp_path: Path) -> UUID:
    """Return a Partially completed export of it, also with a hostile name, which finds those items changed."""
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


def _missing(browser: Browser, texts: Iterable[str]) -> list[str]:
    """Return the texts that the page does not show."""
    page = shown(browser)
    return [text for text in texts if " ".join(text.split()) not in page]


def assert_harmless(browser: Browser, *texts: str) -> None:
    """Wait for the texts, and assert that no name has become anything but text on the page."""
    browser.wait(lambda: not _missing(browser, texts), lambda: f"{_missing(browser, texts)} on the page")
    assert browser.driver.execute_script(_FOREIGN, MARKER) == [], browser.driver.current_url


def open_and_assert_harmless(browser: Browser, page: str, *texts: str) -> None:
    """Open a page of the UI from one that shows none of the texts, and `assert_harmless`."""
    browser.go("settings")
    browser.wait(lambda: _missing(browser, texts), lambda: "the settings")
    browser.go(page)
    assert_harmless(browser, *texts)
