"""The two settings that a command needs to know whether it needs Prefect at all, whose import takes a second.

Prefect's own settings are the truth. Here they are read without Prefect only where there is little to be read: where no
server is named, and all that Prefect would look at is of a kind that cannot name one. In any other case Prefect itself
is asked. A test compares both.
"""

from __future__ import annotations

import os
import sys
import tomllib
from pathlib import Path
from typing import Any, Final

from prefect_collect.runs.imports import importing
from prefect_collect.stores.addresses import STORE_VARIABLE

_SWITCH: Final = frozenset(("true", "false", "1", "0"))
_LEVEL: Final = frozenset(("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"))

_IRRELEVANT: Final = {
    "PREFECT_CLI_COLORS": _SWITCH,
    "PREFECT_LOGGING_LEVEL": _LEVEL,
    "PREFECT_LOGGING_ROOT_LEVEL": _LEVEL,
    "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": _SWITCH,
    "PREFECT_SERVER_ANALYTICS_ENABLED": _SWITCH,
    "PREFECT_SERVER_EPHEMERAL_ENABLED": _SWITCH,
}
"""Settings that name neither a server nor a store, and the values for which Prefect raises no error."""

_HOME: Final = "PREFECT_HOME"
_OURS: Final = "PREFECT_INTEGRATIONS_COLLECT_"
_FILES: Final = (".env", "prefect.toml", "pyproject.toml")
"""Files of the working directory that Prefect reads."""


def api_url() -> str | None:
    """Return the URL of the server that is configured; None if there is none."""
    if _home() is not None:
        return None
    with importing():
        from prefect.settings import get_current_settings

    return get_current_settings().api.url


def default_store() -> str:
    """Return the location of the default staging store: the setting, else the folder ``collect`` in Prefect's home."""
    home = _home()
    if home is not None:
        return os.environ.get(STORE_VARIABLE) or str(home / "collect")
    with importing():
        from prefect.settings import get_current_settings

        from prefect_collect.runs.settings import CollectSettings

    return CollectSettings().store or str(get_current_settings().home / "collect")


def _home() -> Path | None:
    """Return `home_without_server`; None if Prefect is imported, whose settings may be others for a while."""
    return None if "prefect" in sys.modules else home_without_server()


def home_without_server() -> Path | None:
    """Return Prefect's home if it is certain that no server is configured; None if Prefect has to be asked."""
    if not all(map(_is_plain, os.environ.items())):
        return None
    home = Path(os.environ.get(_HOME, "~/.prefect")).expanduser()
    if any(_may_hold_settings(name) for name in _FILES) or not _is_plain_profile(home / "profiles.toml"):
        return None
    return home


def _is_plain(variable: tuple[str, str]) -> bool:
    """Return whether a variable of the environment is not Prefect's, or one that is understood here."""
    name, value = variable
    if not name.upper().startswith("PREFECT"):
        return True
    if name == _HOME:
        return bool(value) and not value.startswith("~")  # Prefect looks for its profiles in a folder of that name
    return (bool(value) and name.startswith(_OURS)) or value in _IRRELEVANT.get(name, ())


def _may_hold_settings(name: str) -> bool:
    """Return whether Prefect may find settings, or an error, in a file of the working directory."""
    if not os.path.lexists(name):
        return False
    if name != "pyproject.toml":
        return True
    try:
        tools: Any = _toml(Path(name)).get("tool", {})
    except (OSError, ValueError):
        return True
    return not isinstance(tools, dict) or "prefect" in tools


def _is_plain_profile(profiles: Path) -> bool:
    """Return whether the active profile is one that is understood here; without a file it is Prefect's own."""
    if not os.path.lexists(profiles):
        return True
    try:
        known = _toml(profiles)
        active: Any = known["profiles"][known["active"]]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return isinstance(active, dict) and all(value in _IRRELEVANT.get(name, ()) for name, value in active.items())


def _toml(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))
