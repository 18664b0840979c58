"""Settings that are read without Prefect are those that Prefect reads."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import pytest
from prefect.context import root_settings_context

from prefect_collect.runs.prefect_settings import ConfiguredServer, plain_settings
from prefect_collect.runs.settings import CollectSettings

_PLAIN: Final[dict[str, tuple[dict[str, str], dict[str, str]]]] = {
    "nothing": ({}, {}),
    "a home": ({"PREFECT_HOME": "other"}, {}),
    "what commands set themselves": ({"PREFECT_LOGGING_LEVEL": "CRITICAL", "PREFECT_CLI_COLORS": "false"}, {}),
    "a store": ({"PREFECT_INTEGRATIONS_COLLECT_STORE": "/there"}, {}),
    "a project that is not Prefect's": ({}, {"pyproject.toml": "[tool.ruff]\nline-length = 120\n"}),
    "the profile that Prefect makes": (
        {},
        {"home/profiles.toml": 'active = "mine"\n[profiles.mine]\nPREFECT_SERVER_EPHEMERAL_ENABLED = "true"\n'},
    ),
    "a server in another profile": (
        {},
        {"home/profiles.toml": 'active = "a"\n[profiles.a]\n[profiles.b]\nPREFECT_API_URL = "http://b/api"\n'},
    ),
}

_SERVED: Final[dict[str, tuple[dict[str, str], dict[str, str]]]] = {
    "a variable": ({"PREFECT_API_URL": "http://a/api"}, {}),
    "an address of https below a path": ({"PREFECT_API_URL": "https://prefect.example.org:8443/a-b/api"}, {}),
    "an address of IPv6, and a key": ({"PREFECT_API_URL": "http://[::1]:4200/api", "PREFECT_API_KEY": "pnu_1"}, {}),
    "the active profile": (
        {},
        {"home/profiles.toml": 'active = "b"\n[profiles.b]\nPREFECT_API_URL = "http://b/api"\n'},
    ),
    "a variable before the profile, which has the login": (
        {"PREFECT_API_URL": "http://a/api"},
        {
            "home/profiles.toml": 'active = "b"\n[profiles.b]\nPREFECT_API_URL = "http://b/api"\n'
            'PREFECT_API_AUTH_STRING = "admin:pass"\n'
        },
    ),
    "certificates, which http does not need": (
        {"PREFECT_API_URL": "http://a/api", "SSL_CERT_FILE": "/there.pem"}, {},
    ),
}  # fmt: skip

_NAMED: Final[dict[str, tuple[dict[str, str], dict[str, str]]]] = {
    "a variable with a password": ({"PREFECT_API_URL": "http://me:secret@a/api"}, {}),
    "Prefect Cloud": ({"PREFECT_API_URL": "https://api.prefect.cloud/api/accounts/a/workspaces/b"}, {}),
    "a port that there is not": ({"PREFECT_API_URL": "http://a:99999/api", "PREFECT_API_KEY": "pnu_1"}, {}),
    "port 0": ({"PREFECT_API_URL": "http://a:0/api"}, {}),
    "a proxy": ({"PREFECT_API_URL": "http://a/api", "http_proxy": "http://b:3128"}, {}),
    "certificates": ({"PREFECT_API_URL": "https://a/api", "SSL_CERT_FILE": "/there.pem"}, {}),
    "headers": ({"PREFECT_API_URL": "http://a/api", "PREFECT_CLIENT_CUSTOM_HEADERS": '{"X-A": "b"}'}, {}),
    "a variable in small letters": ({"prefect_api_url": "http://a/api"}, {}),
    "a variable of JSON": ({"PREFECT_API": '{"url": "http://a/api"}'}, {}),
    "a profile by name": (
        {"PREFECT_PROFILE": "b"},
        {"home/profiles.toml": 'active = "a"\n[profiles.a]\n[profiles.b]\nPREFECT_API_URL = "http://b/api"\n'},
    ),
    "profiles elsewhere": (
        {"PREFECT_PROFILES_PATH": "mine.toml"},
        {"mine.toml": 'active = "b"\n[profiles.b]\nPREFECT_API_URL = "http://b/api"\n'},
    ),
    "a home by a tilde": (
        {"PREFECT_HOME": "~/there"},
        {"~/there/profiles.toml": 'active = "b"\n[profiles.b]\nPREFECT_API_URL = "http://b/api"\n'},
    ),
    ".env": ({}, {".env": "PREFECT_API_URL=http://a/api\n"}),
    "prefect.toml": ({}, {"prefect.toml": '[api]\nurl = "http://a/api"\n'}),
    "pyproject.toml": ({}, {"pyproject.toml": '[tool.prefect.api]\nurl = "http://a/api"\n'}),
}

_OTHER: Final[dict[str, tuple[dict[str, str], dict[str, str]]]] = {
    "a store in prefect.toml": ({}, {"prefect.toml": '[integrations.collect]\nstore = "/there"\n'}),
    "a store in the active profile": (
        {},
        {"home/profiles.toml": 'active = "b"\n[profiles.b]\nPREFECT_INTEGRATIONS_COLLECT_STORE = "/there"\n'},
    ),
    "an active profile that is not there": ({}, {"home/profiles.toml": 'active = "b"\n[profiles.a]\n'}),
    "a value that Prefect refuses": ({"PREFECT_LOGGING_LEVEL": "LOUD"}, {}),
    "an address that Prefect refuses": ({"PREFECT_API_URL": "http://[1:2]/api"}, {}),
    "one that it refuses in the active profile": (
        {},
        {"home/profiles.toml": 'active = "b"\n[profiles.b]\nPREFECT_API_URL = "http://[1:2]/api"\n'},
    ),
}


@pytest.fixture
def _folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the variables and write the files that the case names, in an empty folder, with the home in `home`."""
    variables, files = request.param
    monkeypatch.chdir(tmp_path)
    for name in [
        name for name in os.environ if name.upper().startswith(("PREFECT", "SSL_")) or "proxy" in name.lower()
    ]:
        monkeypatch.delenv(name)
    for name, value in {"PREFECT_HOME": str(tmp_path / "home"), **variables}.items():
        monkeypatch.setenv(name, value)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)


@pytest.mark.parametrize("_folder", _PLAIN.values(), ids=_PLAIN, indirect=True)
@pytest.mark.usefixtures("_folder")
def test_where_no_server_can_be_named_prefect_is_not_needed() -> None:
    """The home is Prefect's own, and Prefect finds no server there and no store but that of the environment."""
    plain = plain_settings()
    settings = root_settings_context().settings
    assert plain is not None
    assert (plain.home, plain.server) == (settings.home, None)
    assert settings.api.url is None
    assert CollectSettings().store in (None, "/there")


@pytest.mark.parametrize("_folder", _SERVED.values(), ids=_SERVED, indirect=True)
@pytest.mark.usefixtures("_folder")
def test_a_server_that_is_simply_named_is_known_without_prefect() -> None:
    """Its address and the login are those that Prefect finds, and no `repr` shows the login."""
    plain = plain_settings()
    settings = root_settings_context().settings
    assert plain is not None
    assert plain.home == settings.home
    assert settings.api.url is not None
    assert plain.server == ConfiguredServer(
        settings.api.url,
        None if settings.api.key is None else settings.api.key.get_secret_value(),
        None if settings.api.auth_string is None else settings.api.auth_string.get_secret_value(),
    )
    assert not any(secret in repr(plain) for secret in ("pnu_1", "admin:pass"))


@pytest.mark.parametrize("_folder", _NAMED.values(), ids=_NAMED, indirect=True)
@pytest.mark.usefixtures("_folder")
def test_prefect_is_asked_wherever_it_finds_a_server() -> None:
    """Each way in which Prefect can be told of a server is left to Prefect."""
    assert plain_settings() is None
    assert root_settings_context().settings.api.url is not None


@pytest.mark.parametrize("_folder", _OTHER.values(), ids=_OTHER, indirect=True)
@pytest.mark.usefixtures("_folder")
def test_prefect_is_asked_about_what_is_not_understood() -> None:
    """Stores that files name, and settings about which Prefect has something to say, are left to Prefect."""
    assert plain_settings() is None
