"""The blocks' logos: PNG files of this package, which a Prefect server started by `serve` shows without the internet.

Prefect's UI loads a logo from the URL that is registered with the block type, and Prefect's client accepts only http
and https URLs (no data: URL, no path). So `serve` copies the files to the UI's files that its server serves, and the
types are registered with that address. If the server does not serve them (because it was started in another way, or is
Prefect Cloud), the address is that of a logo of Prefect's own blocks, on the internet.
"""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path
from typing import Any, Final

from pydantic import HttpUrl

_FILES: Final = Path(__file__).with_name("logos")
_FOLDER: Final = "prefect-collect-logos"
_SECONDS: Final = 30.0
"""Seconds that the server may take to answer whether it serves the logos; one that has just started is slow."""


class Logo:
    """A block's `_logo_url`: a descriptor that returns, on the block class, the address of the logo."""

    def __init__(self, file: str, fallback: str) -> None:
        self._file = file
        self._fallback = fallback

    def __get__(self, block: object, block_class: type[Any]) -> HttpUrl:
        """Return the address on the configured server if it serves the logo, else the one on the internet."""
        from prefect.settings import get_current_settings

        ui = get_current_settings().ui_url
        here = None if ui is None else f"{ui.rstrip('/')}/{_FOLDER}/{self._file}"
        return HttpUrl(here if here is not None and _is_served(here) else self._fallback)


def put_logos(ui: Path) -> None:
    """Copy the logos into the folder of UI files that a running Prefect server serves.

    Args:
        ui: The server's PREFECT_UI_STATIC_DIRECTORY, which has a folder for each version of the UI.
    """
    for page in ui.glob("*/index.html"):
        shutil.copytree(_FILES, page.with_name(_FOLDER), dirs_exist_ok=True)


def _is_served(url: str) -> bool:
    import httpx

    try:
        return _is_image(url)
    except httpx.HTTPError:
        return False


@cache
def _is_image(url: str) -> bool:
    """Return whether there is an image at the URL. An answer is kept: each job that saves its source asks."""
    import httpx

    # Without TLS, no certificates are read, which takes longer than the answer.
    answer = httpx.head(url, timeout=_SECONDS, verify=not url.startswith("http://"))
    return answer.is_success and answer.headers.get("content-type", "").startswith("image/")
