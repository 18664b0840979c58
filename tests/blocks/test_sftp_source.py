"""The fields of an SFTP source: what is refused, and where a URL leads."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from prefect_collect.blocks import SftpSource, source_from
from prefect_collect.connectors.sftp import _ciphers
from prefect_collect.connectors.sftp._ssh import Address, command
from prefect_collect.errors import InvalidLocation


def place(url: str) -> tuple[Address, bytes]:
    """Return the address and the path of a URL."""
    access = SftpSource(url=url)._connection()._access
    return access.address, access.path


@pytest.mark.parametrize(
    ("url", "address", "path"),
    [
        ("sftp://host", Address("host"), b"/"),
        ("sftp://host/", Address("host"), b"/"),
        ("sftp://ann@host.example:2222/srv/mail", Address("host.example", "ann", 2222), b"/srv/mail"),
        ("sftp://DOMAIN%5Cann@host/x", Address("host", "DOMAIN\\ann"), b"/x"),
        ("sftp://host/~/mail", Address("host"), b"mail"),
        ("sftp://host/~", Address("host"), b"."),
        ("sftp://host/~ann", Address("host"), b"/~ann"),
        ("sftp://host/My%20Files/a%25%3F%23", Address("host"), b"/My Files/a%?#"),
        ("sftp://host/My Files", Address("host"), b"/My Files"),
        ("sftp://host/%FF", Address("host"), b"/\xff"),
        ("sftp://[::1]:22/x", Address("::1", None, 22), b"/x"),
    ],
)
def test_a_url(url: str, address: Address, path: bytes) -> None:
    """User and port may be left out; the path is absolute, or relative to the home; escapes are bytes."""
    assert place(url) == (address, path)
    assert SftpSource(url=url).location() == url


@pytest.mark.parametrize(
    "url",
    [
        "sftp://", "sftp:///x", "sftp://-oProxyCommand=x/x", "sftp://-l@host/x", "sftp://a b@host/x", "sftp://h st/x",
        "sftp://host:0/x", "sftp://host:99999/x", "sftp://host/x?y", "sftp://host/x#y", "sftp://host/%00", "http://host/x",
        "sftp://a;b@host/x", "sftp://%24(id)@host/x", "sftp://a@b@host/x", "host:/x",
    ],
)  # fmt: skip
def test_a_wrong_url(url: str) -> None:
    """What ssh could take for an option or a command, and what is no URL of SFTP, is refused."""
    with pytest.raises(InvalidLocation, match=r"^url .*\[url="):
        SftpSource(url=url)


def test_a_password_in_the_url() -> None:
    """A password in a URL is refused, and not repeated."""
    with pytest.raises(InvalidLocation, match="password") as caught:
        SftpSource(url="sftp://ann:hush@host/x")
    assert "hush" not in str(caught.value)


def test_secrets() -> None:
    """A key and a password exclude each other; neither is shown."""
    with pytest.raises(InvalidLocation, match="exclude each other"):
        SftpSource(url="sftp://host/x", private_key=SecretStr("hush"), password=SecretStr("hush"))
    source = SftpSource(url="sftp://host/x", password=SecretStr("hush"))
    assert "hush" not in repr(source) + str(source) + repr(source._connection()._access)


def test_options_of_other_locations() -> None:
    """Options of buckets are refused; links can be followed."""
    assert source_from("sftp://host/x", follow_symlinks=True, name="n") == SftpSource(
        url="sftp://host/x", follow_symlinks=True, name="n"
    )
    with pytest.raises(InvalidLocation, match="region"):
        source_from("sftp://host/x", region="eu")
    with pytest.raises(InvalidLocation, match="anonymous"):
        source_from("sftp://host/x", anonymous=True)


def test_the_command() -> None:
    """Host keys are never accepted by themselves, nothing is forwarded, and connections are kept alive."""
    words = command(Address("host", "ann", 2222), connect_timeout=20, read_timeout=60, config=Path("/x"))
    assert words[1:3] == ["-F", "/x"]
    assert words[-4:] == ["-l", "ann", "-p", "2222"]
    for option in ("StrictHostKeyChecking=yes", "ForwardAgent=no", "ServerAliveInterval=15", "ConnectTimeout=20"):
        assert option in words


def test_the_ciphers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """AES-GCM comes first, before all that ssh offers by itself, unless the configuration chooses ciphers, or the
    processor has no AES instructions.
    """
    cpu, config = tmp_path / "cpuinfo", tmp_path / "config"
    monkeypatch.setattr(_ciphers, "_CPU", cpu)
    config.write_text("Host chosen\n  Ciphers aes256-ctr,aes128-gcm@openssh.com\n")
    begun = tuple(command(Address("host"), connect_timeout=20, read_timeout=60, config=config))
    usual = set(_ciphers._ciphers((*begun, "-G", "--", "host")))
    assert "aes128-gcm@openssh.com" in usual
    for flags, host, has_options in (("fpu aes", "host", True), ("fpu aes", "chosen", False), ("fpu", "host", False)):
        cpu.write_text(f"flags\t\t: {flags} vme\n")
        for cached in (_ciphers._has_aes, _ciphers.cipher_options):
            cached.cache_clear()
        options = _ciphers.cipher_options(begun, host)
        assert bool(options) == has_options
        if options:
            offered = options[1].removeprefix("Ciphers=").split(",")
            assert offered[:2] == ["aes128-gcm@openssh.com", "aes256-gcm@openssh.com"]
            assert set(offered) == usual
    for cached in (_ciphers._has_aes, _ciphers.cipher_options):
        cached.cache_clear()
