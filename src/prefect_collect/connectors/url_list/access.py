"""How the URLs of a list are reached."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Access:
    """The settings of a source, and the key by which `connect` keeps connections.

    Attributes:
        list_url: Where the list is: a path, or an http(s) URL.
        place: The source's location, in which messages end.
        headers: The header lines for each server, by its name in lower case.
        look_first: Ask for size, time and ETag of each URL while the list is read.
        allow_private: Allow addresses that are not of the internet.
        ca_file: A file of certificates; None for the usual ones.
        connect_timeout: Seconds to connect.
        read_timeout: Seconds without data after which a read fails.
    """

    list_url: str = field(repr=False)
    place: str
    headers: tuple[tuple[str, tuple[str, ...]], ...] = field(default=(), repr=False)
    look_first: bool = True
    allow_private: bool = False
    ca_file: str | None = None
    connect_timeout: float = 20.0
    read_timeout: float = 60.0
