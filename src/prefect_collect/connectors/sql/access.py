"""Which database is read, what of it, and how."""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from urllib.parse import unquote

from prefect_collect.connectors.errors import source_error
from prefect_collect.errors import SourceError

KINDS = {"postgresql": "PostgreSQL", "mysql": "MariaDB", "mariadb": "MariaDB", "sqlite": "SQLite"}
"""The databases that can be read, by SQLAlchemy's name of their dialect."""


@dataclass(frozen=True)
class Access:
    """A database, and what of it is read.

    Attributes:
        url: SQLAlchemy's URL, without a password.
        place: The location, in which messages end.
        password: The password; None for the driver's own way (`.pgpass`).
        arguments: More arguments of the driver's `connect`, as JSON.
        tables: The tables to read, as ``orders`` or ``public.orders``, with ``*`` and ``?``; empty for all.
        views: Read views too.
        query: A query whose rows are read instead of tables.
        rows: The rows of a slice.
        connections: The most connections at once that read, in each process.
        connect_timeout: Seconds to connect.
        read_timeout: Seconds in which the database gives nothing, after which a read fails.
    """

    url: str
    place: str
    password: str | None = field(default=None, repr=False)
    arguments: str = field(default="{}", repr=False)
    tables: tuple[str, ...] = ()
    views: bool = False
    query: str = ""
    rows: int = 100_000
    connections: int = 4
    connect_timeout: float = 20.0
    read_timeout: float = 600.0

    @property
    def dialect(self) -> str:
        """SQLAlchemy's name of the database's dialect."""
        return self.url.partition(":")[0].partition("+")[0]

    def takes(self, name: tuple[str, ...], *, is_view: bool) -> bool:
        """Return whether a table or view is read; a view that is named needs no `views`."""
        if not self.tables:
            return self.views or not is_view
        return any(matches(pattern, name) for pattern in self.tables)

    def missing(self, names: list[tuple[str, ...]]) -> list[str]:
        """Return the tables that are to be read, and are not among the names that the database has."""
        plain = [pattern for pattern in self.tables if not set(pattern) & set("*?[")]
        return [pattern for pattern in plain if not any(matches(pattern, name) for name in names)]

    def error(self, code: str, message: str, path: str = "") -> SourceError:
        """Return an error whose message ends in the location, and a path below it."""
        return source_error(code, message, f"{self.place.rstrip('/')}/{path}" if path else self.place)

    def snapshot_ended(self) -> SourceError:
        """Return the error of a read whose snapshot is no longer there."""
        return self.error(
            "changed_during_read", "The snapshot in which the tables were listed has ended; a retry takes a new one"
        )


def matches(pattern: str, name: tuple[str, ...]) -> bool:
    """Return whether a pattern is of a table's name, with or without its schema."""
    return fnmatchcase(name[-1], pattern) or fnmatchcase(".".join(name), pattern)


def without_password(url: str) -> tuple[str, str | None]:
    """Return a URL without a password, and the password; None if the URL has none."""
    scheme, is_url, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    user, at, host = authority.rpartition("@")
    name, colon, password = user.partition(":")
    if not is_url or scheme == "sqlite" or not colon:
        return url, None
    return f"{scheme}://{name}{at}{host}{slash}{path}", unquote(password)
