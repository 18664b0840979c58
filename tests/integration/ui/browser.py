"""Prefect's UI as a user sees it: Chromium, driven by its own driver, on the pages of a real server.

Each call waits for what a user would wait to see, and its error names what was missing.

    with running_browser(prefect_server.ui) as browser:
        browser.open_run(run.id)
        browser.retry()
        browser.wait_for_status("Queued")
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId
from selenium import webdriver
from selenium.common.exceptions import (
    ElementClickInterceptedException,
    ElementNotInteractableException,
    StaleElementReferenceException,
)
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.remote.webelement import WebElement

SCREENSHOTS = "PREFECT_COLLECT_SCREENSHOTS"
"""The environment variable with the folder of screenshots; without it none are taken."""

_PATIENCE = 120.0
_WIDTH, _HEIGHT = 1400, 1000
_FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--disable-component-extensions-with-background-pages",
    f"--window-size={_WIDTH},{_HEIGHT}",
    # Otherwise the UI sends statistics and loads logos from the network.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]
# The graph of a run is redrawn sixty times a second, and what waits or opens is animated, which takes more than a core
# without a graphics card.
_FEWER_FRAMES = """
window.requestAnimationFrame = callback => setTimeout(() => callback(performance.now()), 500);
window.cancelAnimationFrame = clearTimeout;
document.addEventListener('DOMContentLoaded', () => {
  const style = document.createElement('style');
  style.textContent = '*, *::before, *::after {animation: none !important; transition: none !important}';
  document.head.append(style);
});
"""
_VISIBLE = """
const found = document.evaluate(arguments[0], document, null, XPathResult.ORDERED_NODE_SNAPSHOT_TYPE, null);
for (let n = 0; n < found.snapshotLength; n++) {
  const one = found.snapshotItem(n);
  if (one.checkVisibility({opacityProperty: true, visibilityProperty: true}) && one.getClientRects().length) return one;
}
return null;
"""
"""Finds the first visible element, in one call of the driver: each takes 20 ms of CPU time."""

_CLICKABLE = f"""
const one = (function () {{{_VISIBLE}}})(arguments[0]);
if (one === null || one.matches(':disabled')) return null;
one.scrollIntoView({{block: 'center'}});
return one;
"""
"""Finds the first visible element, if it is not disabled, and brings it into view."""

# The page was redrawn, or something covers it: a loading sign, or a dialog that is opening or closing.
_NOT_YET = (StaleElementReferenceException, ElementClickInterceptedException, ElementNotInteractableException)
T = TypeVar("T")


@contextmanager
def running_browser(ui: str) -> Iterator[Browser]:
    """Start Chromium for the UI at that address, with an empty profile; skip the test if Chromium is not installed."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("chromium and chromedriver are not installed (Debian: chromium, chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as profile:
        # Without screenshots a quarter of the size is drawn, as drawing takes much time without a graphics card.
        drawn = [] if SCREENSHOTS in os.environ else ["--force-device-scale-factor=0.25"]
        for flag in [*_FLAGS, *drawn, f"--user-data-dir={profile}"]:
            options.add_argument(flag)
        started = webdriver.Chrome(options=options, service=Service(driver))
        try:
            started.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": _FEWER_FRAMES})
            yield Browser(started, ui)
        finally:
            started.quit()


class Browser:
    """A user's clicks and views in Prefect's UI."""

    def __init__(self, driver: WebDriver, ui: str) -> None:
        self.driver = driver
        self.ui = ui

    # The Runs page

    def open_runs(self, search: str = "") -> None:
        """Open the Runs page, with the runs whose names hold `search`.

        It shows, and keeps showing, the runs until the start of the second in which it is opened: that one has to be
        later than all that were made before this call.
        """
        now = int(time.time())
        self.wait(lambda: int(time.time()) > now, lambda: "the next second")
        self.go(f"runs?flow-run-search={search}")
        self.see("//h1[.='Runs'] | //*[@aria-label='breadcrumb']//*[.='Runs']")

    def statuses(self) -> dict[str, str]:
        """Return the names and states of the runs on the Runs page, as the page has them."""
        links = self.driver.find_elements(By.XPATH, "//a[contains(@href, '/runs/flow-run/')]")
        return {link.text: link.find_element(By.XPATH, _CARD_BADGE).text for link in links}

    def wait_for_statuses(self, wanted: dict[str, str]) -> None:
        """Wait until the Runs page shows those states for those runs."""
        shown: dict[str, str] = {}

        def there() -> bool:
            nonlocal shown
            shown = self.statuses()
            return wanted.items() <= shown.items()

        self.wait(there, lambda: f"the Runs page to show {wanted}; it shows {shown}")

    # A run's page

    def open_run(self, run_id: UUID | str) -> None:
        """Open the page of a flow run, from one that is not the page of a run: that stays until the other has come."""
        self.go("settings")
        self.gone(_MENU)
        self.go(f"runs/flow-run/{run_id}")
        self.see(_MENU)

    def status(self) -> str:
        """Return the state's name in the head of a run's page."""
        return self.see(_HEAD_BADGE).text

    def wait_for_status(self, *names: str) -> str:
        """Wait until a run's page shows one of these states, and return it."""
        return self.wait(
            lambda: name if (name := self.status()) in names else "",
            lambda: f"the state {' or '.join(names)}; it is {self.status()}",
        )

    def choices(self) -> list[str]:
        """Open the menu of a run's page, for the next choice, and return its entries."""
        self.click(_MENU)
        self.see(_ITEM)
        return [item.text for item in self.driver.find_elements(By.XPATH, _ITEM)]

    def resume(self) -> None:
        """Click Resume and confirm."""
        self._choose("Resume", "Resume")

    def cancel(self) -> None:
        """Click Cancel and confirm."""
        self._choose("Cancel", "Cancel Flow Run")

    def retry(self) -> None:
        """Click Retry and confirm."""
        self._choose("Retry", "Retry")

    def delete(self) -> None:
        """Click Delete and confirm."""
        self._choose("Delete", "Delete")

    def _choose(self, item: str, confirm: str) -> None:
        if not self.driver.find_elements(By.XPATH, _ITEM):
            self.click(_MENU)
        self.click(f"{_ITEM}[normalize-space()='{item}']")
        self.click(f"{_DIALOG}//button[normalize-space()='{confirm}']")
        self.gone(_DIALOG)

    # The form of a deployment

    def open_form(self, deployment_id: UUID | str) -> None:
        """Open the form that starts a run of a deployment."""
        self.driver.get(f"{self.ui}/deployments/deployment/{deployment_id}/run")
        self.see("//h3[normalize-space()='Parameters']")

    def fields(self) -> list[str]:
        """Return the titles of the form's fields, in their order."""
        self.see(f"{_FIELD}//label")
        return [label.text for label in self.driver.find_elements(By.XPATH, f"{_FIELD}//label")]

    def pick_block(self, field: str, kind: str, name: str) -> None:
        """Pick a saved block by its name; `kind` is the block type's name."""
        self.click(f"{_field(field)}//*[@role='tab'][normalize-space()='{kind}']")
        self.click(f"{_field(field)}//button[@aria-label='Select a block']")
        self.click(f"//*[@role='option'][normalize-space()='{name}']")
        self.see(f"{_field(field)}//button[@aria-label='Select a block'][normalize-space()='{name}']")

    def fill(self, field: str, text: str) -> None:
        """Type into a field."""
        into = self.see(f"({_field(field)}//textarea | {_field(field)}//input)[1]")
        into.send_keys(Keys.CONTROL, "a")
        into.send_keys(text)

    def add(self, field: str, text: str) -> None:
        """Add an entry to a list."""
        self.click(f"{_field(field)}//button[normalize-space()='Add item']")
        self.see(f"({_field(field)}//textarea)[last()]").send_keys(text)

    def choose(self, field: str, option: str) -> None:
        """Choose one of a field's options."""
        self.click(f"{_field(field)}//button[@aria-haspopup='listbox']")
        self.click(f"//*[@role='option'][normalize-space()='{option}']")
        self.gone("//*[@role='option']")

    def submit(self, deployment: UUID) -> UUID:
        """Press Submit, open the page of the new run, and return its id.

        The notice that links to the run may be gone before it is seen.
        """
        only = DeploymentFilter(id=DeploymentFilterId(any_=[deployment]))
        with get_client(sync_client=True) as client:
            before = {run.id for run in client.read_flow_runs(deployment_filter=only)}
            self.click("//button[@type='submit']")

            def made() -> UUID | None:
                runs = client.read_flow_runs(deployment_filter=only)
                return next((run.id for run in runs if run.id not in before), None)

            run_id = self.wait(made, lambda: f"a run; the page says: {self.see('//main').text[-500:]}")
        self.open_run(run_id)
        return run_id

    # Any page

    def go(self, page: str) -> None:
        """Go to a page of the UI, as its links do: loading the UI anew takes five seconds of CPU time."""
        address = f"{self.ui}/{page}"
        if self.driver.current_url.startswith(self.ui):
            self.driver.execute_script("history.pushState({}, '', arguments[0])", address)
        else:
            self.driver.get(address)

    def go_in_first_ui(self, page: str) -> None:
        """Go to a page of the older UI (V1), which looks at the address only when it is told that it has changed."""
        address = f"{self.ui.removesuffix('/v2')}/{page}"
        if self.driver.current_url.startswith(self.ui):
            self.driver.get(address)
        else:
            self.driver.execute_script("history.pushState({}, '', arguments[0])", address)
            self.driver.execute_script("dispatchEvent(new PopStateEvent('popstate'))")

    def see(self, xpath: str) -> WebElement:
        """Wait until an element is visible, and return it."""

        def visible() -> WebElement | None:
            found: WebElement | None = self.driver.execute_script(_VISIBLE, xpath)
            return found

        return self.wait(visible, lambda: f"{xpath} on {self.driver.current_url}")

    def gone(self, xpath: str) -> None:
        """Wait until there is no such element."""
        self.wait(lambda: not self.driver.find_elements(By.XPATH, xpath), lambda: f"{xpath} to go away")

    def click(self, xpath: str) -> None:
        """Click an element as soon as it can be clicked."""

        def clicked() -> bool:
            found: WebElement | None = self.driver.execute_script(_CLICKABLE, xpath)
            if found is not None:
                found.click()
            return found is not None

        self.wait(clicked, lambda: f"{xpath} to be clicked on {self.driver.current_url}")

    def wait(self, condition: Callable[[], T | None], what: Callable[[], str]) -> T:
        """Wait for a condition, and return its value; raise AssertionError that names what was not seen."""
        deadline, pause = time.monotonic() + _PATIENCE, 0.1
        while True:
            with suppress(*_NOT_YET):
                if found := condition():
                    return found
            assert time.monotonic() < deadline, f"waited {_PATIENCE:.0f} s for {what()}"
            time.sleep(pause)  # the condition is polled: a page says nothing by itself
            pause = min(1.5 * pause, 1.5)

    def screenshot(self, name: str, *, width: int = _WIDTH, height: int = _HEIGHT, rows: int | None = None) -> None:
        """Take a picture of the page as NAME.png, if `SCREENSHOTS` names a folder; each part of it from its start.

        Args:
            name: The file's name without its ending.
            width: The width of the window.
            height: Its height.
            rows: Only so many rows of pixels from the top; None for all.
        """
        folder = os.environ.get(SCREENSHOTS)
        if folder is None:
            return
        Path(folder).mkdir(parents=True, exist_ok=True)
        self.driver.set_window_size(width, height)
        self.driver.execute_script("document.querySelectorAll('*').forEach(one => { one.scrollTo(0, 0) })")
        clip = {} if rows is None else {"clip": {"x": 0, "y": 0, "width": width, "height": rows, "scale": 1}}
        picture = self.driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "png", **clip})
        (Path(folder) / f"{name}.png").write_bytes(b64decode(picture["data"]))
        self.driver.set_window_size(_WIDTH, _HEIGHT)


_CARD_BADGE = "ancestor::*[.//*[contains(@class, 'bg-state-')]][1]//*[contains(@class, 'bg-state-')]"
_HEAD_BADGE = "(//nav[@aria-label='breadcrumb']/following-sibling::div//*[contains(@class,'bg-state-')])[1]"
_MENU = "//nav[@aria-label='breadcrumb']/../following-sibling::button[@aria-haspopup='menu']"
_ITEM = "//*[@role='menuitem']"
_DIALOG = "//*[@role='dialog' or @role='alertdialog']"
_FIELD = "//form//div[contains(concat(' ', @class, ' '), ' group ')]"


def _field(title: str) -> str:
    """Return the XPath of the field of a form with that title, optional or not."""
    label = f"label[normalize-space()='{title}' or normalize-space()='{title} (Optional)']"
    return f"//{label}/ancestor::div[contains(concat(' ', @class, ' '), ' group ')][1]"
