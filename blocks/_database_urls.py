"""The URLs of databases: which there are, and what of them may be stored with a job."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final
from urllib.parse import unquote, unquote_plus

from prefect_collect.errors import InvalidLocation
from prefect_collect.stores.addresses import SOURCE_URLS, listed, require_unsigned, shown

DIALECTS: Final = {
    "postgresql": "postgresql", "postgres": "postgresql", "mysql": "mysql", "mariadb": "mariadb", "sqlite": "sqlite",
}  # fmt: skip
"""SQLAlchemy's dialect for each scheme of a URL."""

DATABASE_URLS: Final = [url for scheme, url in SOURCE_URLS.items() if scheme in DIALECTS]
"""How the URLs of databases are written."""

_SECRET: Final = re.compile("pass|pwd|secret|token", re.IGNORECASE)
"""What is in the names of a URL's options by which a secret would be stored with the job."""

_HOST: Final = re.compile(r"(?:\[[^\]]*\]|[^:]*)(?::\d+)?")


def checked_url(url: str) -> str:
    """Return a URL of a database, without a password; SQLite's path is made absolute.

    Raises:
        InvalidLocation: The URL cannot be used, or has what may not be stored with a job.
    """
    require_unsigned(url, "url")
    scheme, is_url, rest = url.partition("://")
    if not is_url or scheme not in DIALECTS:
        raise InvalidLocation(f"url must be {listed(DATABASE_URLS, 'or')}. [url={shown(url)}]")
    if "#" in rest or "\0" in unquote(rest):
        raise InvalidLocation(f"url must not contain # or NUL; write %23 for #. [url={shown(url)}]")
    if scheme == "sqlite":
        if not rest.startswith("/") or len(rest) < 2 or "?" in rest:
            raise InvalidLocation(f"url must name a file, as {SOURCE_URLS['sqlite']}. [url={shown(url)}]")
        return f"sqlite:///{Path(os.path.abspath(os.path.expanduser(rest[1:])))}"
    authority, slash, path = rest.partition("/")
    if "@" in path:
        raise InvalidLocation(
            "url has @ after its server; write / and @ in a password as %2F and %40, or give it as password. "
            f"[url={shown(url)}]"
        )
    _, at, host = authority.rpartition("@")
    if _HOST.fullmatch(host) is None:
        raise InvalidLocation(f"url has a port that is no number. [url={shown(url)}]")
    database, _, options = path.partition("?")
    if not slash or not database or "/" in database or not (host or at or scheme.startswith("postgres")):
        raise InvalidLocation(f"url must name a database, as {SOURCE_URLS['postgresql']}. [url={shown(url)}]")
    for option in re.split("[&;]", options):
        name = unquote_plus(option.partition("=")[0])
        if _SECRET.search(name):
            raise InvalidLocation(
                f"url must not contain a secret in its options, such as {name[:40]!r}, as it is stored with each job; "
                "give the user's password as the field password or in the environment, others in a SQLAlchemy "
                f"Connector block. [url={shown(url)}]"
            )
    return url
