"""The fields of a WebDAV source: what is refused, and where a URL leads."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from prefect_collect.blocks import WebDavSource, source_from
from prefect_collect.errors import InvalidLocation


@pytest.mark.parametrize(
    ("url", "origin", "path", "user"),
    [
        ("webdavs://host", "https://host", "/", ""),
        ("webdav://Host:8080/a%20b/", "http://host:8080", "/a%20b/", ""),
        ("davs://ann%40x.org@host/dav", "https://host", "/dav", "ann@x.org"),
        (r"webdavs://CORP%5Cann@host/x", "https://host", "/x", r"CORP\ann"),
        (r"webdavs://CORP\ann@host/x", "https://host", "/x", r"CORP\ann"),
        ("dav://[::1]:80/x", "http://[::1]:80", "/x", ""),
    ],
)
def test_a_url(url: str, origin: str, path: str, user: str) -> None:
    """The scheme says whether there is TLS; the user and the port may be left out."""
    source = source_from(url)
    assert isinstance(source, WebDavSource)
    access = source._access()
    assert (access.origin, access.path, access.user) == (origin, path, user)
    assert source.location() == url


@pytest.mark.parametrize(
    "url",
    [
        "webdavs://", "webdavs:///x", "webdavs://host:0/x", "webdavs://host:99999/", "webdavs://host/x?y",
        "webdavs://host/x#y", "webdavs://host/%00", "webdavs://host/a/../b", "webdavs://host/%2E%2E/b", "https://host/x",
        "webdavs://a@b@host/x", "webdavs://ho st/x", "webdavs://host/a%0Ab", "webdavs://host/a//b",
        "webdavs://host/a%2Fb",
    ],
)  # fmt: skip
def test_a_wrong_url(url: str) -> None:
    """What is no URL of a folder is refused, and the message names the field."""
    with pytest.raises(InvalidLocation, match=r"^url .*\[url="):
        WebDavSource(url=url)


def test_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Secrets are of the block or the environment, not of the URL; a password needs a user; none is shown."""
    with pytest.raises(InvalidLocation, match="password") as caught:
        WebDavSource(url="webdavs://ann:hush@host/x")
    assert "hush" not in str(caught.value)
    with pytest.raises(InvalidLocation, match="needs a user"):
        WebDavSource(url="webdavs://host/x", password=SecretStr("hush"))
    with pytest.raises(InvalidLocation, match="exclude each other"):
        WebDavSource(url="webdavs://ann@host/x", password=SecretStr("hush"), token=SecretStr("hush"))
    source = WebDavSource(url="webdavs://ann@host/x", password=SecretStr("hush"))
    assert source._access().password == "hush"
    assert "hush" not in repr(source) + str(source) + repr(source._access())
    monkeypatch.setenv("WEBDAV_PASSWORD", "of the environment")
    assert WebDavSource(url="webdavs://host/x")._access().password is None
    assert WebDavSource(url="webdavs://ann@host/x")._access().password == "of the environment"
    monkeypatch.setenv("WEBDAV_TOKEN", "token")
    access = WebDavSource(url="webdavs://ann@host/x")._access()
    assert (access.token, access.password) == ("token", None)
    assert source._access().token is None


def test_authentication(monkeypatch: pytest.MonkeyPatch) -> None:
    """A chosen scheme excludes a token, also that of the environment; a Kerberos ticket also a password."""
    url = "webdavs://ann@host/x"
    for chosen, secret in (("ntlm", "token"), ("negotiate", "token"), ("negotiate", "password")):
        with pytest.raises(InvalidLocation, match=rf"\[authentication={chosen}\]"):
            WebDavSource.model_validate({"url": url, "authentication": chosen, secret: "hush"})
    monkeypatch.setenv("WEBDAV_PASSWORD", "of the environment")
    monkeypatch.setenv("WEBDAV_TOKEN", "token")
    access = {name: WebDavSource(url=url, authentication=name)._access() for name in ("ntlm", "negotiate")}
    assert {each.token for each in access.values()} == {None}
    assert (access["ntlm"].password, access["negotiate"].password) == ("of the environment", None)


def test_options_of_other_locations() -> None:
    """Options of other kinds of sources are refused."""
    for option in ({"region": "eu"}, {"anonymous": True}, {"follow_symlinks": True}, {"allow_private": True}):
        with pytest.raises(InvalidLocation, match=next(iter(option))):
            source_from("webdavs://host/x", **option)
