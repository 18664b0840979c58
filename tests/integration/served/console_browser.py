"""Chromium at the console, as a user who is logged in sees it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prefect_collect import jobs
from prefect_collect.console.access import Grant
from prefect_collect.console.roles import Role
from prefect_collect.console.server import ConsoleOptions, running_console
from tests.integration.prefect_server import PrefectServer
from tests.integration.ui.browser import Browser, running_browser

ANNA = Grant("anna", Role.OPERATE, "anna-token-of-20-characters")
AXE = Path(__file__).parents[3] / ".venv" / "npm" / "node_modules" / "axe-core" / "axe.min.js"
"""Where `make test` puts axe-core, which needs npm."""

_RUN = "axe.run(document, arguments[0] ? {runOnly: arguments[0]} : {}).then(arguments[1])"


@contextmanager
def console_browser(served: PrefectServer, downloads: Path | None = None) -> Iterator[Browser]:
    """Yield Chromium, logged in to a console over the server; what it downloads is saved in that folder."""
    options = ConsoleOptions(port=0, grants=(ANNA,))
    with served.used(), running_console(options, print) as url, running_browser(url) as browser:
        if downloads is not None:
            downloads.mkdir(exist_ok=True)
            saving = {"behavior": "allow", "downloadPath": str(downloads)}
            browser.driver.execute_cdp_cmd("Browser.setDownloadBehavior", saving)
        browser.driver.get(f"{url}/login?token={ANNA.token}")
        browser.see("//h1[.='Jobs']")
        yield browser


def row(job: jobs.Job) -> str:
    """Return the XPath of a job's row."""
    return f"//tr[.//a[@id='open-{job.id}']]"


def shows(job: jobs.Job, text: str) -> str:
    """Return the XPath of a job's row that shows a text."""
    return f"{row(job)}[contains(normalize-space(), '{text}')]"


def confirm(browser: Browser, step: str) -> None:
    """Confirm a step that was clicked, if the page asks."""
    if step == "Cancel":
        browser.driver.switch_to.alert.accept()
    if step == "Delete":
        browser.click("//dialog//button[normalize-space()='Delete']")


def open_menu(browser: Browser, job: jobs.Job) -> None:
    """Open the menu of a job's row."""
    browser.click(f"{row(job)}//button")
    browser.see("//*[@id='menu']//*[@role='menuitem']")


def choose(browser: Browser, job: jobs.Job, step: str) -> None:
    """Take a step from the menu of a job's row, and confirm it if the page asks."""
    open_menu(browser, job)
    browser.click(f"//*[@id='menu']//*[@role='menuitem'][normalize-space()='{step}']")
    confirm(browser, step)


def saved(browser: Browser, downloads: Path, suffix: str) -> Path:
    """Return the file with that suffix as soon as Chromium has saved it: at first an empty file has its name."""
    return browser.wait(
        lambda: next((one for one in downloads.glob(f"*{suffix}") if one.stat().st_size), None),
        lambda: f"a download of {suffix}; there are {[one.name for one in downloads.iterdir()]}",
    )


def serious(browser: Browser, rules: list[str] | None = None) -> list[str]:
    """Return axe-core's serious and critical findings on the page, by all of its rules or by these only.

    There are none if axe-core is not installed: what else the tests do does not depend on it.
    """
    if not AXE.exists():
        return []
    if not browser.driver.execute_script("return 'axe' in window"):
        browser.driver.execute_script(AXE.read_text(encoding="utf-8"))
    found: dict[str, Any] = browser.driver.execute_async_script(_RUN, rules)
    return [
        f"{one['id']}: {json.dumps(node['target'])}"
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]
