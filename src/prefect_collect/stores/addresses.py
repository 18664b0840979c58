"""Addresses of stores and servers: shown without secrets, checked, and the names that Prefect has for stores."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from prefect_collect.errors import InvalidLocation

SOURCE_URLS: Final = {"s3": "s3://bucket/prefix", "gs": "gs://bucket/prefix", "az": "az://container/prefix"}
"""How the URL of an object store that can be collected from is written, by its scheme; the first is the usual one."""

_PASSWORD: Final = re.compile(r":(?=[^\s/])(?!\d{1,5}(?:[/\s]|\Z)).*", re.DOTALL)
"""What follows a ":" that is neither a scheme's, nor before a port, nor punctuation of a sentence."""

_SIGNED: Final = re.compile(
    r"[?&]?x-(?:amz|goog)-(?:signature|credential|security-token)=|[?&](?:sig|signature|awsaccesskeyid|googleaccessid)=",
    re.IGNORECASE,
)
"""What a presigned URL of S3 or Google Storage, or one with a shared access signature of Azure, has in its query."""


def listed(names: Iterable[str], last: str = "and") -> str:
    """Return names as a list in words: ``a, b and c``."""
    *first, final = names
    return f"{', '.join(first)} {last} {final}" if first else final


def scheme_names(schemes: Iterable[str] = SOURCE_URLS) -> list[str]:
    """Return schemes as they begin a URL: ``s3://``."""
    return [f"{scheme}://" for scheme in schemes]


def shown(address: str) -> str:
    """The address for a message: without user and password, a query, and what follows ":" unless that is a port.

    Only what is after the last "@" is shown, because a password that was not encoded may hold any character.
    """
    _, at, rest = _SIGNED.split(address, maxsplit=1)[0].rpartition("@")
    rest = re.split("[?#]", rest, maxsplit=1)[0]
    return f"{'…@' if at else ''}{_PASSWORD.sub(':…', rest)}"


def is_signed(text: str) -> bool:
    """Whether it holds a signature: a presigned URL, or a shared access signature (SAS)."""
    return _SIGNED.search(text) is not None


def require_unsigned(text: str, field: str) -> None:
    """Raise InvalidLocation, which does not repeat it, if an address holds a signature: it would be kept with the job,
    and whoever reads that could use it."""
    if is_signed(text):
        raise InvalidLocation(
            f"{field} holds a signature (a presigned URL, or one with a SAS token), which would be kept with the job: "
            "name the place itself, as s3://bucket/prefix, and let credentials or the environment sign. "
            f"[{field}={shown(text)}]"
        )


def check_endpoint(endpoint_url: str | None) -> None:
    """Raise InvalidLocation unless it is an http(s) address of a server, without user, password and query (or None)."""
    if endpoint_url is None:
        return
    require_unsigned(endpoint_url, "endpoint_url")
    if "@" in endpoint_url or "?" in endpoint_url or "#" in endpoint_url:
        raise InvalidLocation(
            "endpoint_url must hold no user, password or query; use a credentials block or AWS_* variables. "
            f"[endpoint_url={shown(endpoint_url)}]"
        )
    if not _is_address(endpoint_url):
        raise InvalidLocation(
            "endpoint_url must be the http:// or https:// URL of a server, as http://host:port. "
            f"[endpoint_url={shown(endpoint_url)}]"
        )


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


STORE_VARIABLE: Final = "PREFECT_INTEGRATIONS_COLLECT_STORE"
"""The environment variable that names the default staging store: a directory or ``s3://bucket/prefix``."""

STORE_BLOCKS: Final = ("collect-s3-store/", "collect-directory-store/")
"""What the names of saved store blocks begin with: the slugs of `S3StoreBlock` and `DirectoryStoreBlock`."""
