"""The settings that a command needs to know whether it needs Prefect at all, whose import takes a second.

Prefect's own settings are the truth. Here they are read without Prefect only where there is little to be read: where
the environment or the active profile names no more than the server's address and how to log in, and all else that
Prefect would look at cannot change that. In any other case Prefect itself is asked. A test compares both.
"""

from __future__ import annotations

import os
import re
import sys
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from prefect_collect.runs.imports import importing
from prefect_collect.stores.addresses import STORE_VARIABLE

_SWITCH: Final = frozenset(("true", "false", "1", "0"))
_LEVEL: Final = frozenset(("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"))

_IRRELEVANT: Final = {
    "PREFECT_CLI_COLORS": _SWITCH,
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": _LEVEL,
    "PREFECT_LOGGING_LEVEL": _LEVEL,
    "PREFECT_LOGGING_ROOT_LEVEL": _LEVEL,
    "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": _SWITCH,
    "PREFECT_SERVER_ANALYTICS_ENABLED": _SWITCH,
    "PREFECT_SERVER_EPHEMERAL_ENABLED": _SWITCH,
}
"""Settings that name neither a server nor a store, and the values for which Prefect raises no error."""

_ADDRESS: Final = re.compile(r"https?://(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?(?:/[A-Za-z0-9_-]+)*/api")
"""The usual address of a server of one's own. That of Prefect Cloud is left to Prefect, as is one with a password."""

_LOGIN: Final = re.compile(r"[!-~]+")

_URL: Final = "PREFECT_API_URL"
_SERVER: Final = {
    _URL: _ADDRESS,
    "PREFECT_API_KEY": _LOGIN,
    "PREFECT_API_AUTH_STRING": _LOGIN,
}
"""Settings of the server, and the values that are understood here."""

_PROXIES: Final = frozenset(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"))
_CERTIFICATES: Final = frozenset(("SSL_CERT_FILE", "SSL_CERT_DIR"))
"""Variables that say how a server is reached; those of proxies may be in small letters."""

_HOME: Final = "PREFECT_HOME"
_OURS: Final = "PREFECT_INTEGRATIONS_COLLECT_"
_FILES: Final = (".env", "prefect.toml", "pyproject.toml")
"""Files of the working directory that Prefect reads."""


@dataclass(frozen=True)
class ConfiguredServer:
    """The server that the settings name.

    Attributes:
        url: The address of its API.
        key: The API key; None if there is none.
        auth_string: User and password, as ``user:password``, which go before the key; None if there are none.
    """

    url: str
    key: str | None = field(default=None, repr=False)
    auth_string: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class PlainSettings:
    """Settings that are certain without Prefect: its home, and its server, or None if none is configured."""

    home: Path
    server: ConfiguredServer | None


def api_url() -> str | None:
    """Return the URL of the server that is configured; None if there is none."""
    plain = known_without_prefect()
    if plain is not None:
        return None if plain.server is None else plain.server.url
    with importing():
        from prefect.settings import get_current_settings

    return get_current_settings().api.url


def default_store() -> str:
    """Return the location of the default staging store: the setting, else the folder ``collect`` in Prefect's home."""
    plain = known_without_prefect()
    if plain is not None:
        return os.environ.get(STORE_VARIABLE) or str(plain.home / "collect")
    with importing():
        from prefect.settings import get_current_settings

        from prefect_collect.runs.settings import CollectSettings

    return CollectSettings().store or str(get_current_settings().home / "collect")


def known_without_prefect() -> PlainSettings | None:
    """Return `plain_settings`; None if Prefect is imported, as a program may have changed its settings for a while."""
    return None if "prefect" in sys.modules else plain_settings()


def plain_settings() -> PlainSettings | None:
    """Return the settings if they are certain; None if Prefect has to be asked."""
    if not all(map(_is_plain, os.environ.items())):
        return None
    home = Path(os.environ.get(_HOME, "~/.prefect")).expanduser()
    profile = _plain_profile(home / "profiles.toml")
    if profile is None or any(map(_may_hold_settings, _FILES)):
        return None
    url, key, auth_string = (os.environ.get(name) or profile.get(name) for name in _SERVER)
    if url is not None and _is_reached_specially(url):
        return None
    return PlainSettings(home, None if url is None else ConfiguredServer(url, key, auth_string))


def _is_reached_specially(url: str) -> bool:
    """Return whether the environment names a proxy, or certificates for an address of https."""
    return any(name.upper() in _PROXIES or (name in _CERTIFICATES and url.startswith("https:")) for name in os.environ)


def _is_plain(variable: tuple[str, str]) -> bool:
    """Return whether a variable of the environment is not Prefect's, or one that is understood here."""
    name, value = variable
    if not name.upper().startswith("PREFECT"):
        return True
    if name == _HOME:
        return bool(value) and not value.startswith("~")  # Prefect looks for its profiles in a folder of that name
    return (bool(value) and name.startswith(_OURS)) or _is_understood(name, value)


def _is_understood(name: str, value: Any) -> bool:
    """Return whether the value of a setting of Prefect is one that is understood here."""
    if name in _SERVER:
        is_usual = isinstance(value, str) and _SERVER[name].fullmatch(value) is not None
        return is_usual and (name != _URL or _has_host_and_port(value))
    return value in _IRRELEVANT.get(name, ())


def _has_host_and_port(url: str) -> bool:
    """Return whether the address has a host, and a port that exists: the system takes a higher one for another."""
    try:
        address = urlsplit(url)
        return bool(address.hostname) and address.port != 0
    except ValueError:
        return False


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


def _plain_profile(profiles: Path) -> dict[str, Any] | None:
    """Return the active profile's settings if all are understood here, else None; without a file there are none."""
    if not os.path.lexists(profiles):
        return {}
    try:
        known = _toml(profiles)
        active: Any = known["profiles"][known["active"]]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    plain = isinstance(active, dict) and all(_is_understood(name, value) for name, value in active.items())
    return active if plain else None


def _toml(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))
