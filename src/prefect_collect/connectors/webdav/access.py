"""How a WebDAV server is reached, and how its user is proved to it."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Final

import certifi
import pycurl

from prefect_collect.connectors.errors import source_error
from prefect_collect.connectors.http.addresses import Guard
from prefect_collect.connectors.http.client import Client
from prefect_collect.connectors.http.engine import Answer, Limits, Loop, curl_error, new_handle
from prefect_collect.connectors.http.ntlm import NtlmHandle, NtlmUser, require_pyspnego
from prefect_collect.connectors.webdav.schemes import OFFERED, Authentication, scheme_of
from prefect_collect.errors import SourceError
from prefect_collect.threads.stop import Stop, current_stop

_REFUSED: Final = 30.0
"""Seconds for which an attempt does not try refused credentials again: servers lock users out who try often."""

_TOKEN: Final = re.compile(r"[\x21-\x7e]+")
_LOOK: Final = 0.2

_OF_LIBCURL: Final = {"basic": pycurl.HTTPAUTH_BASIC, "digest": pycurl.HTTPAUTH_DIGEST}
_OF_NTLM: Final = {"ntlm": "NTLM", "negotiate-ntlm": "Negotiate"}
"""The scheme of NTLM's headers."""

_VERSION_SPNEGO: Final = 1 << 8
"""CURL_VERSION_SPNEGO."""

_NTLM: Final = (
    r"The server refuses the user {user} by NTLM; check the password; write the user as DOMAIN\user or user@domain (in "
    r"the URL %5C is the backslash, %40 the @)"
)
_BASIC: Final = "or set the source's authentication to basic, which the server offers too; it sends the password itself"
_WHAT_TO_DO: Final = {
    "ntlm": f"{_NTLM}; a server or proxy that closes each connection makes NTLM impossible, too",
    "negotiate-ntlm": f"{_NTLM}; let connections be kept; for Kerberos only, kinit and set authentication to negotiate",
    "negotiate": "The server accepts no Kerberos ticket of this process; get one by kinit, or name a keytab as "
    "KRB5_CLIENT_KTNAME, and use the server's full name in the URL",
}
"""What to do when the server refuses, by the scheme."""


@dataclass(frozen=True)
class Access:
    """The settings by which a server is reached, and the key by which `connect` keeps connections.

    Attributes:
        origin: The server, as ``https://host:port``.
        host: Its name, in lower case.
        path: The percent-encoded path of the folder or file.
        place: The location, in which messages end.
        user: The user's name; "" without one.
        password: The password; None without one.
        token: A bearer token, in place of user and password.
        authentication: In which scheme the user is proved.
        ca_file: A file of certificates; None for the usual ones.
        connect_timeout: Seconds to connect.
        read_timeout: Seconds without data after which a read fails.
    """

    origin: str
    host: str
    path: str
    place: str
    user: str = ""
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    authentication: Authentication = "auto"
    ca_file: str | None = None
    connect_timeout: float = 20.0
    read_timeout: float = 60.0

    @property
    def is_private(self) -> bool:
        """Whether secrets may be sent as they are: by TLS, or to this machine itself."""
        if self.origin.startswith("https:") or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


class Login:
    """The client of a source, with the user's credentials in the scheme that the server asks for."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._scheme: str | None = None
        self._refusal: tuple[Stop, float, SourceError] | None = None
        bundle = access.ca_file or os.environ.get("SSL_CERT_FILE") or certifi.where()
        limits = (access.connect_timeout, access.read_timeout, bundle)
        guard = Guard()
        self._bare = Limits(*limits)
        self.client = Client(
            Limits(*limits, self._authenticate, self._handle),
            Limits(*limits, guard.prepare),
            guard,
            f"{access.origin} {access.user}",
        )
        self.lines: tuple[str, ...] = ()
        if access.token is not None:
            self.lines = (f"Authorization: Bearer {access.token}",)

    def _handle(self) -> pycurl.Curl:
        if self._scheme not in _OF_NTLM:
            return pycurl.Curl()
        access = self._access
        return NtlmHandle(NtlmUser(access.host, access.user, access.password or "", _OF_NTLM[self._scheme]))

    def _authenticate(self, handle: pycurl.Curl) -> None:
        if self._scheme == "negotiate":
            handle.setopt(pycurl.HTTPAUTH, pycurl.HTTPAUTH_NEGOTIATE)
            handle.setopt(pycurl.USERPWD, ":")  # libcurl then takes the ticket
        elif self._scheme in _OF_LIBCURL:
            handle.setopt(pycurl.HTTPAUTH, _OF_LIBCURL[self._scheme])
            handle.setopt(pycurl.USERNAME, self._access.user.encode())
            handle.setopt(pycurl.PASSWORD, (self._access.password or "").encode())

    def find_out(self, url: str) -> None:
        """Ask the server, once, in which scheme it wants a password. Raise SourceError if it must not have it."""
        access = self._access
        if access.token is not None and _TOKEN.fullmatch(access.token) is None:
            raise source_error("bad_credentials", "The token has characters that no token has", access.place)
        if access.token is not None and not access.is_private:
            said = "The token is not sent without TLS; use webdavs://"
            raise source_error("bad_credentials", said, access.place)
        if access.token is not None or self._scheme is not None:
            return
        if access.authentication == "negotiate":
            if not pycurl.version_info()[4] & _VERSION_SPNEGO:
                what = "Kerberos needs a libcurl with GSS-API, as pycurl's wheels have it; this one has none"
                raise source_error("program_missing", what, access.place)
            self._scheme = "negotiate"
            return
        if access.password is None:
            if access.authentication != "auto":
                said = f"There is no password for {access.authentication}; set the user in the URL, and the password"
                raise source_error("bad_credentials", said, access.place)
            return
        try:
            offered = self._offered(url)
            found = scheme_of(access.authentication, offered, is_private=access.is_private)
        except ValueError as error:
            raise source_error("bad_credentials", str(error), access.place) from None
        if found in _OF_NTLM:
            require_pyspnego(access.place, _BASIC if access.authentication == "auto" and "basic" in offered else "")
        self._scheme = found

    def _offered(self, url: str) -> set[str]:
        """Return the schemes that the server names in its answer to a request without credentials."""
        answer = Answer()
        handle = new_handle(self._bare, 16 << 10)
        handle.setopt(pycurl.URL, url)
        handle.setopt(pycurl.CUSTOMREQUEST, "PROPFIND")
        handle.setopt(pycurl.HTTPHEADER, ["Depth: 0"])
        handle.setopt(pycurl.HEADERFUNCTION, answer.lines.append)
        handle.setopt(pycurl.WRITEFUNCTION, lambda data: 0 if answer.body else answer.body.append(data))
        stop, loop = current_stop(), Loop()
        loop.add(handle)
        try:
            ended: list[tuple[int, str] | None] = []
            while not ended:
                stop.require_going()
                ended = [failure for _, failure in loop.step(_LOOK)]
        finally:
            loop.remove(handle)
            loop.close()
        if ended[0] is not None and not answer.lines:
            raise curl_error(*ended[0], self._access.place)
        lines = [line.decode("latin-1").strip().lower() for line in answer.lines]
        return {
            scheme
            for line in lines
            if line.startswith("www-authenticate:")
            for scheme in OFFERED
            if f" {scheme} " in f"{line.replace(',', ' ').replace(':', ' ')} "
        }

    def require_accepted(self) -> None:
        """Raise the refusal of the credentials, if this attempt has met it a short time ago."""
        known = self._refusal
        if known is not None and known[0] is current_stop() and monotonic() < known[1]:
            raise SourceError(str(known[2]), code=known[2].code, http_status=known[2].http_status)

    def note(self, error: object) -> None:
        """Remember an error if it says that the credentials are refused."""
        if isinstance(error, SourceError) and error.code == "bad_credentials":
            self._refusal = current_stop(), monotonic() + _REFUSED, error

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Remember a refusal of the credentials within the `with` block, and say of which."""
        try:
            yield
        except SourceError as error:
            explained = self._explained(error)
            self.note(explained)
            if explained is error:
                raise
            raise explained from error

    def _explained(self, error: SourceError) -> SourceError:
        """Return the refusal of what libcurl or pyspnego sent as what it is; any other error as it is."""
        if error.code != "bad_credentials" or self._scheme not in _WHAT_TO_DO:
            return error
        what = _WHAT_TO_DO[self._scheme].format(user=self._access.user)
        status = error.http_status
        return source_error(
            "bad_credentials", what + (f" (HTTP {status})" if status else ""), self._access.place, status
        )
