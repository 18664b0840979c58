"""Which servers may be connected to, and where a redirect may lead."""

from __future__ import annotations

import ipaddress
import re
import socket
import threading
from functools import lru_cache
from typing import Any, Final
from urllib.parse import quote, urljoin, urlsplit
from urllib.request import getproxies_environment

import pycurl

from prefect_collect.connectors.errors import source_error
from prefect_collect.errors import SourceError

LONGEST_URL: Final = 16 << 10
"""The most characters of a URL."""

MOST_REDIRECTS: Final = 5
"""The redirects of one request that are followed."""

_PORTS: Final = {"http": 80, "https": 443}
_AFTER_SCHEME: Final = len("https://")
_KEPT: Final = "%/:?#[]@!$&'()*+,;=~"
_NUMBERS: Final = re.compile(r"[0-9a-fx.]+")
_UNSAFE: Final = re.compile(r"[\x00-\x20\x7f\\]")
_PLAIN: Final = re.compile(
    r"https?://[a-z0-9](?:[a-z0-9-]*(?:\.[a-z0-9-]+)*)(?::[1-9][0-9]{0,3})?/[A-Za-z0-9._~/%+=&,;!$'()*?-]*"
)
"""URLs that are sent as they are, as most are."""

_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")


def is_public(address: str) -> bool:
    """Return whether an IP address is one of the internet: not private, loopback, link-local, reserved or multicast.

    An IPv6 address that stands for an IPv4 address (mapped, NAT64, 6to4, Teredo) is what that address is.
    """
    try:
        at = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    inner: list[Any] = []
    if isinstance(at, ipaddress.IPv6Address):
        inner = [at.ipv4_mapped, at.sixtofour, *(at.teredo or ())]
        if at in _NAT64:
            inner.append(ipaddress.IPv4Address(int(at) & 0xFFFFFFFF))
            return all(is_public(str(one)) for one in inner if one is not None)
        if at.ipv4_mapped is not None:
            return is_public(str(at.ipv4_mapped))
    is_open = at.is_global and not at.is_multicast and not at.is_reserved
    return is_open and all(is_public(str(one)) for one in inner if one is not None)


def origin(url: str) -> tuple[str, str, int]:
    """Return scheme, host and port of a URL that was checked."""
    return _origin(url[: url.find("/", _AFTER_SCHEME) + 1] or url)


@lru_cache(maxsize=1024)
def _origin(url: str) -> tuple[str, str, int]:
    """Return the same of the URL of a server: the thousands of URLs of a source have few servers."""
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").rstrip("."), parts.port or _PORTS.get(parts.scheme, 0)


def shares_secrets(first: str, other: str) -> bool:
    """Return whether what is sent to the first URL in confidence may be sent to the other one.

    It may to the same scheme, host and port, and to the same host by https if the first one was http, at usual ports.
    """
    if first == other:
        return True
    one, two = origin(first), origin(other)
    return one == two or (one[1] == two[1] and (one[0], one[2], two[0], two[2]) == ("http", 80, "https", 443))


def checked_url(url: str) -> str:
    """Return an http(s) URL as it is sent, escaped where it must be. Raise ValueError, which says what is wrong."""
    if len(url) <= LONGEST_URL and _PLAIN.fullmatch(url):
        return url
    if len(url) > LONGEST_URL:
        raise ValueError(f"has more than {LONGEST_URL:,} characters")
    if _UNSAFE.search(url):
        raise ValueError("has a space, a backslash or a control character")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"is no URL: {error}") from None
    if parts.scheme not in _PORTS:
        raise ValueError("does not begin with http:// or https://")
    if not host or port == 0:
        raise ValueError("names no server")
    if "@" in parts.netloc:
        raise ValueError("contains a user or password; give them as headers")
    if not host.isascii():
        try:
            host = host.encode("idna").decode()
        except UnicodeError:
            raise ValueError("names a server that cannot be") from None
    server = f"[{host}]" if ":" in host else host
    rest = url.partition("://")[2][len(parts.netloc) :].partition("#")[0]
    if not rest.startswith("/"):
        rest = f"/{rest}"
    return f"{parts.scheme}://{server}{'' if port is None else f':{port}'}{quote(rest, safe=_KEPT)}"


def redirected(url: str, location: str | None, followed: int, place: str) -> str:
    """Return the URL that a redirect leads to.

    Raises:
        SourceError: It leads nowhere, to another protocol than http and https, from https to http, or it is one too
            many.
    """
    if followed >= MOST_REDIRECTS:
        raise source_error("source_error", f"The server redirects more than {MOST_REDIRECTS} times", place)
    try:
        to = checked_url(urljoin(url, quote((location or "").encode("latin-1", "replace"), safe=_KEPT)))
    except ValueError as error:
        raise source_error("source_error", f"The server redirects to a URL that {error}", place) from None
    if url.startswith("https:") and not to.startswith("https:"):
        raise source_error("address_refused", "The server redirects from https to http", place)
    return to


class Guard:
    """Lets the connections of handles lead to addresses of the internet only.

    libcurl calls it with each address that a name resolved to, right before it connects there. Of what a proxy of the
    environment connects to, only addresses that are written in the URL can be judged.
    """

    def __init__(self) -> None:
        self._refused: set[str] = set()
        self._lock = threading.Lock()
        self._of_proxies: set[tuple[str, int]] | None = None

    def prepare(self, handle: pycurl.Curl) -> None:
        """Watch over a handle's connections."""
        handle.setopt(pycurl.OPENSOCKETFUNCTION, self._open)

    def require_allowed(self, url: str, place: str) -> None:
        """Raise SourceError (`address_refused`) if the URL itself names an address that is not of the internet."""
        host = origin(url)[1]
        if host == "localhost" or host.endswith(".localhost"):
            raise refused(host, place)
        literal = host.partition("%")[0] if ":" in host else _as_ipv4(host)
        if literal is not None and not is_public(literal):
            raise refused(literal, place)

    def explained(self, error: SourceError, url: str, place: str) -> SourceError:
        """Return the error of a connection that was refused here as what it is; any other error as it is."""
        if error.code != "connection_lost" or not self._refused:
            return error
        host = origin(url)[1]
        try:
            found = {str(info[4][0]) for info in socket.getaddrinfo(host, None)}
        except OSError:
            return error
        at = sorted(found & self._refused)
        return refused(at[0] if at[0] == host else f"{host}, which is {at[0]}", place) if at else error

    def _open(self, _purpose: int, address: Any) -> Any:
        family, kind, protocol, at = address
        host = at[0].decode() if isinstance(at[0], bytes) else at[0]
        if not is_public(host) and (host, at[1]) not in self._proxies():
            self._refused.add(host)
            return pycurl.SOCKET_BAD
        return socket.socket(family, kind, protocol)

    def _proxies(self) -> set[tuple[str, int]]:
        with self._lock:
            if self._of_proxies is None:
                self._of_proxies = set()
                for name, url in getproxies_environment().items():
                    if name != "no":
                        self._of_proxies |= _addresses_of(url)
            return self._of_proxies


def refused(host: str, place: str) -> SourceError:
    """Return the error of an address that is not of the internet."""
    what = f"The address leads to {host}, a private or local address; allow private addresses in the source if it may"
    return source_error("address_refused", what, place)


def _as_ipv4(host: str) -> str | None:
    """Return the IPv4 address that a host is in any notation that systems accept (``127.1``, ``0x7f000001``), or None.

    A host name may look like such a number (``beef``). It is then resolved, and the address is judged.
    """
    if not _NUMBERS.fullmatch(host):
        return None
    try:
        return socket.inet_ntoa(socket.inet_aton(host))
    except OSError:
        return None


def _addresses_of(proxy: str) -> set[tuple[str, int]]:
    try:
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        port = parts.port or 1080
        return {(str(info[4][0]), port) for info in socket.getaddrinfo(parts.hostname, port)}
    except (OSError, ValueError):
        return set()
