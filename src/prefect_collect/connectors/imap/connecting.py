"""Connecting to an IMAP server, with TLS."""

from __future__ import annotations

import socket
import ssl

from prefect_collect.connectors.errors import source_error
from prefect_collect.connectors.imap.account import Account
from prefect_collect.connectors.imap.wire import Wire
from prefect_collect.errors import SourceError


def connected(account: Account) -> Wire:
    """Return a new connection to the account's server; nothing has been received. Raise SourceError."""
    try:
        raw = socket.create_connection((account.host, account.port), account.connect_timeout)
    except OSError as error:
        raise _unreachable(error, account) from error
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return Wire(encrypted(raw, account) if account.tls else raw, account.place, account.read_timeout)


def encrypted(raw: socket.socket, account: Account) -> socket.socket:
    """Return the connection within TLS, to a server whose certificate is trusted. Raise SourceError."""
    raw.settimeout(account.connect_timeout)
    try:
        return ssl.create_default_context().wrap_socket(raw, server_hostname=account.host)
    except (OSError, ValueError) as error:
        raw.close()
        raise _unreachable(error, account) from error


def _unreachable(error: Exception, account: Account) -> SourceError:
    if isinstance(error, ssl.SSLCertVerificationError):
        why = f"The server's certificate is not trusted: {error.verify_message}"
        return source_error("connection_lost", f"{why}; SSL_CERT_FILE can name another authority", account.place)
    if isinstance(error, TimeoutError):
        return source_error("timeout", "The server cannot be reached in time", account.place)
    why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return source_error("connection_lost", f"The server cannot be reached: {why}", account.place)
