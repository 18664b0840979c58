"""Names that are HTML, Markdown, scripts, right-to-left or 4,096 bytes long are data on every page of the console."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from prefect_collect import FileSource, collect, export, jobs
from prefect_collect.console.access import Access, Grant
from prefect_collect.console.app import create_app
from prefect_collect.console.guard import Place
from prefect_collect.console.roles import Role
from prefect_collect.console.server import ConsoleOptions, running_console
from prefect_collect.escaping import csv_cell, one_line
from prefect_collect.flows.auto_exports import AutoExport
from prefect_collect.job_folder.acting import acting_as
from prefect_collect.statuses import JobStatus
from tests.integration.console.console_client import ConsoleClient
from tests.integration.console.every_page import Page, addresses
from tests.integration.prefect_server import PrefectServer
from tests.integration.served.console_browser import AXE, serious
from tests.integration.served.test_auto_exports import export_of
from tests.integration.ui import hostile_jobs
from tests.integration.ui.browser import Browser, running_browser
from tests.support.hostile_names import MARKER, NAMES, UNSEEN

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

LONG = ["evil/" + "é" * 2045 + "!", "evil" + "W" * 4092, "<b>evil" + "\u05d0\u05d1 \u0627\u0628 " * 400]
RAW = ["evil caf\udce9", "\u202eevil \u2067\u05e9\u05dc\u05d5\u05dd.pdf"]
ALL = [*NAMES, *UNSEEN, *LONG, *RAW]
ONE = "<img src=x onerror=window.evil=1> **evil** [l](javascript:evil) \"'& \u202e\u05d0 <script>window.evil=1</script>"
USER = Grant("<b>evil</b> \u05d0\"'&", Role.OPERATE, "evil-token-of-20-characters")
_SAFE_NAME = re.compile(
    r"(inline|attachment); filename=\"[ !#-.0-9;=@-\[\]-{}~]+\"; filename\*=UTF-8''[\w!#$&+.^`|~%-]+", re.ASCII
)


class Hostile(hostile_jobs.Hostile):
    """A folder whose files have these names."""

    _block_type_name = "Hostile Pages"
    _block_type_slug = "hostile-pages"

    names = ALL


@dataclass
class Made:
    """Jobs of every kind whose names are hostile, and a console, with the addresses of its pages."""

    collection: jobs.Job
    app: object
    addresses: list[str]
    others: list[str]
    """The jobs whose pages have no more than those of the rest."""


@pytest.fixture(scope="module")
def made(prefect_server: PrefectServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """A Partially completed collection and export; a draft with an export to follow; a saved source with a schedule."""
    base = tmp_path_factory.mktemp("names") / ONE.replace("/", "")
    root = base / "root"
    hostile_jobs.write_files(root, len(ALL))
    source = Hostile(name="\u05e9\u05dc\u05d5\u05dd evil " + "x" * 90, root=root)
    store, auto = str(base / "store"), AutoExport(destination=str(base / "out"), name=ONE)
    with prefect_server.used(), acting_as(USER.user):
        state = collect(source=source, store=store, name=" ".join([ONE, *LONG]), custodian=ONE, return_state=True)
        collection = jobs.get(str(state.state_details.flow_run_id))
        assert collection.status is JobStatus.PARTIALLY_COMPLETED, collection.message
        segments = {path: path.read_bytes() for path in Path(store, collection.id, "segments").rglob("*.zip")}
        for path, content in segments.items():
            path.write_bytes(content.replace(hostile_jobs.STAGED, hostile_jobs.STAGED.upper(), 5))
        state = export(collection.id, str(base / "out"), name=ONE, store=store, return_state=True)
        for path, content in segments.items():
            path.write_bytes(content)
        exported = jobs.get(str(state.state_details.flow_run_id))
        assert exported.status is JobStatus.PARTIALLY_COMPLETED, exported.message
        plain = FileSource(name="\u05e9\u05dc\u05d5\u05dd evil", root=root)
        plain.save("evil-names")
        draft = jobs.draft_collection(plain, name=ONE, store=store, custodian=ONE, auto_export=auto)
        scheduled = jobs.schedule_collection(plain, name=ONE, store=store, cron="0 3 * * *")
        app = create_app(Access([USER]), Place(frozenset({"console.test"})))
        ids: list[object] = [collection.id, exported.id, draft.id, export_of(draft).id]
        rows: list[object] = [0, len(ALL) - 1, len(ALL)]
        values: dict[str, list[object]] = {
            "job_id": ids,
            "row": rows,
            "number": [1],
            "form": ["csv", "parquet"],
            "name": ["console.css"],
        }
        yield Made(collection, app, addresses(app, values), [str(one) for one in ids[2:]])
        jobs.delete_schedule(scheduled.id)


def test_no_name_becomes_an_element(made: Made) -> None:
    """Each page, dialog and menu of each job has only what the templates have, shows the names as text, and shows what
    cannot be seen, or turns the writing direction, as an escape. Files have safe names; JSON is JSON.
    """
    user, kinds, wrong = ConsoleClient(made.app, USER), Counter[str](), list[object]()
    for address in made.addresses:
        answer = user.get(address)
        kind = answer.headers.get("content-type", "").partition(";")[0]
        kinds[kind] += 1
        if answer.status_code >= 500 or answer.headers["x-content-type-options"] != "nosniff":
            wrong.append((address, answer.status_code, answer.text[-500:]))
        if kind == "text/html":
            page = Page(answer.text)
            if page.problems or (MARKER not in page.text and "/plot" not in address):
                wrong.append((address, page.problems[:5]))
        if kind == "application/json":
            json.loads(answer.content)
        saved = answer.headers.get("content-disposition")
        if saved is not None and not _SAFE_NAME.fullmatch(saved):
            wrong.append((address, saved))
    assert wrong == []
    assert kinds["text/html"] > 20
    assert kinds["application/json"] > 5


def test_names_are_shown_whole(made: Made) -> None:
    """Every name is on the pages of items and errors, whole; JSON and CSV have it exactly."""
    user, page = ConsoleClient(made.app, USER), f"/jobs/{made.collection.id}"
    numbers = range(1, 4)
    items = "".join(Page(user.get(f"{page}/items?page={number}").text).text for number in numbers)
    errors = "".join(Page(user.get(f"{page}/errors?page={number}").text).text for number in numbers)
    assert [name for name in ALL if one_line(f"held/{name}") not in items] == []
    assert [name for name in ALL if one_line(name) not in errors] == []
    kept = [name.encode("utf-8", "backslashreplace").decode() for name in ALL]
    rows = list(csv.DictReader(io.StringIO(user.get(f"{page}/errors.csv").content.decode("utf-8-sig"), newline="")))
    assert sorted(row["path"] for row in rows) == sorted(csv_cell(name) for name in kept)


@dataclass(frozen=True)
class Seen:
    """What Chromium has seen of a page, or of a dialog on it, at one size of its window."""

    place: str
    too_wide: list[str]
    script_ran: bool
    findings: list[str]


_TOO_WIDE = """
const page = document.scrollingElement, found = [];
for (const one of [page, ...document.querySelectorAll('dialog[open], :popover-open')])
  if (one.scrollWidth > one.clientWidth + 1) found.push(`${one.tagName} ${one.scrollWidth} > ${one.clientWidth}`);
if (found.length)
  for (const one of document.querySelectorAll('body *'))
    if (one.getBoundingClientRect().right > page.clientWidth + 1 && !one.closest('.scroll'))
      found.push(one.outerHTML.slice(0, 80));
return found.slice(0, 5);
"""


_DIALOGS = "return [...document.querySelectorAll('aside [aria-haspopup=dialog]')].map(one => one.textContent)"


@pytest.fixture(scope="module")
def seen(made: Made) -> list[Seen]:
    """Every page, and every dialog and menu of a job's page: wide and light, narrow and dark.

    All of axe-core's rules look at the narrow ones; the light ones can only differ in their colours.
    """
    user = ConsoleClient(made.app, USER)
    chosen = [one for one in made.addresses if not any(other in one for other in made.others)]
    opened = {one: answer for one in chosen if (answer := user.get(one)).status_code == 200}
    pages = [one for one, answer in opened.items() if answer.text.startswith("<!doctype html>")] + ["/no-page"]
    found = []
    with running_console(ConsoleOptions(port=0, grants=(USER,)), print) as url, running_browser(url) as browser:
        browser.driver.get(f"{url}/login?token={USER.token}")
        for page in pages:
            _show(browser, 400, "dark")
            browser.driver.get(f"{url}{page}")
            found += [_seen(browser, f"{page} dark", None)]
            found += [_seen(browser, f"{page} {step} dark", None) for step in _opened(browser)]
            _show(browser, 1280, "light")
            found += [_seen(browser, f"{page} light", ["color-contrast"])]
    return found


def _show(browser: Browser, width: int, scheme: str) -> None:
    """Have the window that width, and the user that preference of colours."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 0.25, "mobile": False}
    browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    scheme_of = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme_of})


def _opened(browser: Browser) -> Iterator[str]:
    """Open each dialog of a job's page, and the menu of its row, one after the other."""
    for step in browser.driver.execute_script(_DIALOGS):
        browser.click(f"//aside//button[.='{step}']")
        browser.see("//dialog[@open]//h2")
        yield step
        browser.click("//dialog//button[@data-close]")
        browser.gone("//dialog[@open]")
    if browser.driver.find_elements("css selector", "aside article"):
        browser.click("//tbody//button[@aria-haspopup='menu']")
        browser.see("//*[@id='menu']//*[@role='menuitem']")
        yield "menu"


def _seen(browser: Browser, place: str, rules: list[str] | None) -> Seen:
    run = browser.driver.execute_script
    return Seen(place, run(_TOO_WIDE), run("return 'evil' in window"), serious(browser, rules))


def test_no_script_runs_and_no_page_is_too_wide(seen: list[Seen]) -> None:
    """Chromium executes nothing of a name, and no page or dialog needs to be scrolled sideways, at 400 pixels too."""
    assert len(seen) > 20
    assert [one.place for one in seen if one.script_ran] == []
    assert [(one.place, one.too_wide) for one in seen if one.too_wide] == []


@pytest.mark.skipif(not AXE.exists(), reason="axe-core is not installed (make test does, with npm)")
def test_every_page_is_accessible(seen: list[Seen]) -> None:
    """axe-core finds nothing serious on any page, dialog or menu, wide and narrow, in light and in dark."""
    assert [(one.place, one.findings) for one in seen if one.findings] == []
