"""The block of a mailbox: its URL, its search keys, its secrets."""

from __future__ import annotations

import pickle

import pytest
from pydantic import SecretStr

from prefect_collect.blocks import ImapSource, source_from
from prefect_collect.errors import InvalidLocation


@pytest.mark.parametrize(
    ("url", "account", "folder"),
    [
        ("imaps://ann@host", ("ann", "host", 993, True), ""),
        ("imaps://ann@host/", ("ann", "host", 993, True), ""),
        ("imap://ann@host:1143/INBOX/2024", ("ann", "host", 1143, False), "INBOX/2024"),
        ("imaps://ann@x.example@mail.x.example/Caf%C3%A9", ("ann@x.example", "mail.x.example", 993, True), "Café"),
        ("imaps://ann%40x.example@[::1]/%5CSent", ("ann@x.example", "::1", 993, True), "\\Sent"),
    ],
)
def test_urls(url: str, account: tuple[object, ...], folder: str) -> None:
    """User, server and folder are taken from the URL, which is the source's location."""
    source = ImapSource(url=url, password=SecretStr("hush"))
    found = source._account()
    assert (found.user, found.host, found.port, found.tls) == account
    assert (source._folder, source.location()) == (folder, url)
    assert found.place.startswith(url[: url.index("://")])


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://host", "must begin with imaps:// or imap://"),
        ("imaps://host/INBOX", "must name a user and a server"),
        ("imaps://ann@/INBOX", "must name a user and a server"),
        ("imaps://ann:hush-hush@host/INBOX", "must not contain a password"),
        ("imaps://ann@host:port/INBOX", "must be a URL"),
        ("imaps://ann@host/INBOX#1", "must name a user"),
    ],
)
def test_urls_that_cannot_be_used(url: str, said: str) -> None:
    """A URL that names no mailbox, or has a password in it, is refused, and no message repeats the password."""
    with pytest.raises(InvalidLocation, match=said) as caught:
        ImapSource(url=url)
    assert "hush" not in str(caught.value)
    assert str(caught.value).startswith("url ")


def test_search_keys() -> None:
    """Search keys are a field, or the query of the URL (RFC 5092); they are part of the location."""
    keys = 'FROM ann@x.example SUBJECT "annual report"'
    source = ImapSource(url="imaps://ann@host/INBOX", search=keys)
    again = ImapSource(url=source.location())
    assert (again.search, again.url, again.location()) == (keys, source.url, source.location())
    with pytest.raises(InvalidLocation, match="search is in the URL too"):
        ImapSource(url=source.location(), search="SEEN")


@pytest.mark.parametrize("search", ["SEEN)", "(SEEN", 'FROM "x', "FROM {3}", "FROM x\r\nC9 DELETE INBOX", "FROM Jörg"])
def test_search_keys_that_cannot_be_used(search: str) -> None:
    """Search keys cannot end their command, open a literal, or hold other text than ASCII."""
    with pytest.raises(InvalidLocation, match="search must be search keys"):
        ImapSource(url="imaps://ann@host", search=search)


def test_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Secrets show nowhere; without one in the block they come from the environment, a token before a password."""
    source = ImapSource(url="imaps://ann@host", password=SecretStr("hush-hush"))
    assert "hush" not in f"{source!r}{source}{source._account()!r}{source.location()}"
    assert pickle.loads(pickle.dumps(source)) == source
    assert source._account().password == "hush-hush"
    with pytest.raises(InvalidLocation, match="password and token exclude"):
        ImapSource(url="imaps://ann@host", password=SecretStr("a"), token=SecretStr("b"))
    bare = ImapSource(url="imaps://ann@host")
    assert (bare._account().password, bare._account().token) == (None, None)
    monkeypatch.setenv("IMAP_PASSWORD", "one")
    assert (bare._account().password, bare._account().token) == ("one", None)
    monkeypatch.setenv("IMAP_ACCESS_TOKEN", "two")
    assert (bare._account().password, bare._account().token) == (None, "two")
    assert source._account().token is None


def test_by_its_location() -> None:
    """The command line's URL gives the source; options of other sources are refused."""
    source = source_from("imaps://ann@host/INBOX", name="ann")
    assert isinstance(source, ImapSource)
    assert source.name == "ann"
    assert source_from("imaps://ann@host/INBOX").name == "ann@host-INBOX"
    for option in ({"region": "x"}, {"anonymous": True}, {"follow_symlinks": True}, {"endpoint_url": "http://h"}):
        with pytest.raises(InvalidLocation, match="goes with"):
            source_from("imaps://ann@host", **option)
