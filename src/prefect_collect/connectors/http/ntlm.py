"""NTLM over HTTP: handles whose connection is proved to be the user's by an exchange of messages.

libcurl spoke NTLM until 8.19; since 8.20 it does not unless it is built for it (pycurl's wheels are not), and it is to
be removed. So pyspnego makes the messages, and libcurl sends them as headers. NTLM proves a connection, not a request:
each handle has a connection of its own, which no other handle uses.
"""

from __future__ import annotations

import ssl
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import pycurl

from prefect_collect.connectors.errors import source_error
from prefect_collect.connectors.http.engine import SteppedHandle

_HELD: Final = 64 << 10
"""Bytes of a refusal that are kept until it is known whether the exchange goes on."""

_MOST: Final = 4
"""The most messages of an exchange; NTLM has two, in Negotiate up to three."""

_LOST: Final = 2
"""How often a request may begin its exchange again, as the server has closed the connection within it."""


@dataclass(frozen=True)
class NtlmUser:
    r"""Who is to be proved to which server.

    Attributes:
        host: The server's name.
        user: The user, as ``DOMAIN\user`` or ``user@domain``, or without a domain.
        password: The password.
        scheme: The scheme of the header: ``NTLM``, or ``Negotiate`` for a server that takes NTLM within it only.
    """

    host: str
    user: str
    password: str = field(repr=False)
    scheme: str = "NTLM"

    def exchange(self) -> Any:
        """Return a new exchange of messages (`spnego.ContextProxy`)."""
        import spnego

        plain = self.scheme == "NTLM"
        return spnego.client(
            self.user,
            self.password,
            hostname=self.host,
            service="HTTP",
            protocol="ntlm" if plain else "negotiate",
            options=spnego.NegotiateOptions.use_ntlm if plain else spnego.NegotiateOptions.use_negotiate,
        )


def require_pyspnego(place: str, otherwise: str = "") -> None:
    """Raise SourceError (`program_missing`) if pyspnego is not installed; its message also says what else to do."""
    try:
        import spnego  # noqa: F401
    except ImportError as error:
        what = "NTLM needs pyspnego: pip install 'prefect-collect[ntlm]'"
        raise source_error("program_missing", f"{what}; {otherwise}" if otherwise else what, place) from error


class NtlmHandle(SteppedHandle):
    """A handle that answers the server's challenges; what its request's callbacks get is the last answer.

    For each request, its URL is set first, then its header lines and its callbacks.
    """

    def __init__(self, user: NtlmUser) -> None:
        super().__init__()
        own = pycurl.CurlShare()
        own.setopt(pycurl.SH_SHARE, pycurl.LOCK_DATA_CONNECT)
        super().setopt(pycurl.SHARE, own)
        super().setopt(pycurl.OPT_CERTINFO, 1)
        super().setopt(pycurl.SSL_SESSIONID_CACHE, 0)  # in a resumed session the server sends no certificate
        self._user = user
        self._exchange: Any = None
        self._is_proved = self._is_under_way = False
        self._lines: list[str] = []
        self._take_line: Callable[[bytes], Any] = bytes
        self._take_data: Callable[[bytes], Any] = len
        self._status = 0
        self._challenge: str | None = None
        self._held: list[bytes] = []
        self._sent = self._lost = 0
        self._certificate: str | None = None

    def setopt(self, option: int, value: Any) -> None:
        """Set an option; the header lines begin a request."""
        if option == pycurl.HTTPHEADER:
            self._is_proved = self._is_proved and not self._is_under_way  # else the connection was closed within it
            self._is_under_way, self._lost, self._lines = True, 0, value
            if self._is_proved:
                self._send(None)
            else:
                self._begin()
        elif option == pycurl.HEADERFUNCTION:
            self._take_line = value
            super().setopt(option, self._line)
        elif option == pycurl.WRITEFUNCTION:
            self._take_data = value
            super().setopt(option, self._data)
        else:
            super().setopt(option, value)

    def goes_on(self, *, failed: bool) -> bool:
        """Return whether the next message of the exchange is to be sent, now that an answer has ended."""
        if self.getinfo(pycurl.NUM_CONNECTS):  # of a connection that was there already, libcurl names no certificates
            found = self.getinfo(pycurl.INFO_CERTINFO)
            self._certificate = dict(found[0]).get("Cert") if found else None
        message = None if failed or self._status != 401 else self._following()
        if message is not None:
            self._send(message)
            return True
        for piece in self._held:
            self._take_data(piece)
        self._held = []
        self._is_proved = not failed and self._status not in (0, 401)
        self._is_under_way, self._exchange = False, None
        return False

    def _following(self) -> bytes | None:
        """Return the message that follows a refusal; None if it is the server's last word."""
        if self._challenge is None:
            return None
        was_lost = self._sent > 1 and self._lost < _LOST and self.getinfo(pycurl.NUM_CONNECTS)
        if self._sent == 0 or was_lost:
            self._lost += self._sent > 0
            self._exchange, self._sent = self._user.exchange(), 0
            return self._step(None)
        is_last = not self._challenge or self._sent == _MOST or self._exchange.complete
        return None if is_last else self._step(self._challenge)

    def _step(self, challenge: str | None) -> bytes | None:
        try:
            token = None if challenge is None else b64decode(challenge, validate=True)
            message: bytes | None = self._exchange.step(token, channel_bindings=self._binding())
        except Exception:  # the challenge is the server's: whatever is wrong with it, the refusal stands
            return None
        return message

    def _begin(self) -> None:
        self._exchange, self._sent = self._user.exchange(), 0
        self._send(self._step(None))

    def _send(self, message: bytes | None) -> None:
        """Prepare the request with a message of the exchange, or with none on a connection that is proved."""
        self._status, self._challenge, self._held = 0, None, []
        self._sent = 0 if message is None else self._sent + 1
        more = [] if message is None else [f"Authorization: {self._user.scheme} {b64encode(message).decode()}"]
        super().setopt(pycurl.HTTPHEADER, [*self._lines, *more])

    def _line(self, line: bytes) -> None:
        self._take_line(line)
        if line.startswith(b"HTTP/"):
            words = line.split(None, 2)
            self._status = int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
            self._challenge = None
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"www-authenticate":
            for each in value.decode("latin-1").split(","):  # several may be in one header
                scheme, _, token = each.strip().partition(" ")
                if scheme.lower() == self._user.scheme.lower():
                    self._challenge = token.strip()

    def _data(self, data: bytes) -> int | None:
        if self._status != 401 or self._challenge is None:
            given: int | None = self._take_data(data)
            return given
        if sum(map(len, self._held)) < _HELD:
            self._held.append(data)
        return None

    def _binding(self) -> Any:
        """Return what binds the exchange to the TLS connection (RFC 5929, tls-server-end-point); None without TLS.

        Servers with Extended Protection ask for it, so that what is sent to one of them proves nothing to another.
        """
        pem = self._certificate if self._sent else None  # what is sent first may go over another connection
        if not pem:
            return None
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes
        from spnego.channel_bindings import GssChannelBindings

        certificate = x509.load_pem_x509_certificate(pem.encode())
        stated = certificate.signature_hash_algorithm
        weak = stated is None or isinstance(stated, (hashes.MD5, hashes.SHA1))
        digest = hashes.Hash(hashes.SHA256() if weak or stated is None else stated)
        digest.update(ssl.PEM_cert_to_DER_cert(pem.strip()))
        return GssChannelBindings(application_data=b"tls-server-end-point:" + digest.finalize())
