"""The blocks' logos: PNG files of this package, which a Prefect server started by `serve` shows without a network.

Prefect's UI loads a logo from the URL that is registered with a block's type, and Prefect's client takes http and https
URLs only (not data:, nor a path). So `serve` puts the files among those of the UI that its server serves, and the types
are registered with that address. Where the server does not serve them (one that was started otherwise, Prefect Cloud),
a logo's address is the one that Prefect's own blocks have, on the internet.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Final

from pydantic import HttpUrl

_FILES: Final = Path(__file__).with_name("logos")
_FOLDER: Final = "prefect-collect-logos"
_SECONDS: Final = 30.0
"""How long the server may take to say whether it serves the logos; one that has just started is slow."""


class Logo:
    """A block's `_logo_url`: looked up on the block class, it is the address at which the logo can be seen."""

    def __init__(self, file: str, elsewhere: str) -> None:
        self._file = file
        self._elsewhere = elsewhere

    def __get__(self, block: object, block_class: type[Any]) -> HttpUrl:
        """Return the address at the configured server if that serves the logo, else the one on the internet."""
        from prefect.settings import get_current_settings

        ui = get_current_settings().ui_url
        here = None if ui is None else f"{ui.rstrip('/')}/{_FOLDER}/{self._file}"
        return HttpUrl(self._elsewhere if here is None or not _is_image(here) else here)


def put_logos(ui: Path) -> None:
    """Copy the logos into the folder of UI files that a running Prefect server serves.

    Args:
        ui: the server's PREFECT_UI_STATIC_DIRECTORY; it has a folder for each version of the UI.
    """
    for page in ui.glob("*/index.html"):
        shutil.copytree(_FILES, page.with_name(_FOLDER), dirs_exist_ok=True)


def _is_image(url: str) -> bool:
    import httpx

    try:
        answer = httpx.head(url, timeout=_SECONDS)
    except httpx.HTTPError:
        return False
    return answer.is_success and answer.headers.get("content-type", "").startswith("image/")
