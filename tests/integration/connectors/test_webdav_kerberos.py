"""Folders on WebDAV servers that take Kerberos tickets."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from prefect_collect.blocks import WebDavSource
from prefect_collect.errors import SourceError
from prefect_collect.sources.listing import items_of
from tests.integration.kerberos import REALM, USER, Kerberos, Realm, realm
from tests.integration.sources.places import read
from tests.integration.webdav import WebDavServer, webdav

pytestmark = pytest.mark.integration

_NUMBERS = count()


@pytest.fixture(scope="module")
def kdc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Realm]:
    """A realm."""
    with realm(tmp_path_factory.mktemp("kdc")) as running:
        yield running


@pytest.fixture
def taking(kdc: Realm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[WebDavServer, Kerberos]]:
    """A server of the realm with ten files, in a process of which the environment names the realm."""
    for name, text in kdc.variables.items():
        monkeypatch.setenv(name, text)
    (tmp_path / "root").mkdir()
    for n in range(10):
        (tmp_path / "root" / f"f{n}").write_text(str(n))
    guard = Kerberos(tmp_path / "users", "Negotiate", ('Basic realm="x"',))
    with webdav(tmp_path / "root", guard=guard.guard) as server:
        yield server, guard


def source_of(server: WebDavServer) -> WebDavSource:
    """Return a source with a connection that no other test has made."""
    url = f"webdav://localhost:{server.port}/"
    return WebDavSource(url=url, authentication="negotiate", read_timeout=20 + next(_NUMBERS) / 1_000)


def test_a_ticket(kdc: Realm, taking: tuple[WebDavServer, Kerberos]) -> None:
    """It proves the user, on each connection, and no password is asked for."""
    server, guard = taking
    kdc.get_ticket()
    source = source_of(server)
    items = [*items_of(source)]
    assert len(items) == 10
    for item, content in source.read_many(items, 4):
        assert not isinstance(content, Exception), content
        assert b"".join(map(bytes, content.chunks)) == item.id.removeprefix("f").encode()
    assert read(source, items[0]) == items[0].id.removeprefix("f").encode()
    assert {*guard.proved.values()} == {f"{USER}@{REALM}"}
    assert {header.split()[0] for header in guard.headers} == {"Negotiate"}
    assert guard.refused == 0


def test_no_ticket(taking: tuple[WebDavServer, Kerberos], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without one, nothing is sent, and the message says how to get one."""
    server, guard = taking
    monkeypatch.setenv("KRB5CCNAME", f"FILE:{tmp_path / 'none'}")
    with pytest.raises(SourceError, match="kinit") as caught:
        [*items_of(source_of(server))]
    assert caught.value.code == "bad_credentials"
    assert guard.headers == []
