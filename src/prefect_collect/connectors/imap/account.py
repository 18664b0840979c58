"""Whose mailbox is read, and how its server is reached."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

IMAPS_PORT: Final = 993
IMAP_PORT: Final = 143


@dataclass(frozen=True)
class Account:
    """A mailbox's server, user and secret.

    Attributes:
        host: The server's name or address.
        port: Its port.
        user: The user's name.
        password: The password; None if a token is used.
        token: An OAuth 2.0 access token, for XOAUTH2.
        tls: Encrypt from the first byte; otherwise by STARTTLS, without which nothing secret is sent, except to this
            machine itself.
        connections: The most connections to the server at once, of all that use this account in the process.
        connect_timeout: Seconds to connect and log in.
        read_timeout: Seconds without data after which a read fails.
    """

    host: str
    port: int
    user: str
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    tls: bool = True
    connections: int = 4
    connect_timeout: float = 20.0
    read_timeout: float = 60.0

    @property
    def place(self) -> str:
        """The account's URL, in which messages end."""
        scheme, usual = ("imaps", IMAPS_PORT) if self.tls else ("imap", IMAP_PORT)
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{self.user}@{host}{'' if self.port == usual else f':{self.port}'}"
