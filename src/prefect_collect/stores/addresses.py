"""Addresses of stores and servers, shown without secrets and checked, and the names of stores in Prefect."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from prefect_collect.errors import InvalidLocation

BUCKET_URLS: Final = {"s3": "s3://bucket/prefix", "gs": "gs://bucket/prefix", "az": "az://container/prefix"}
"""How the URL of an object store that can be collected from is written, by its scheme; the first is the usual one."""

SOURCE_URLS: Final = {
    **BUCKET_URLS,
    "sftp": "sftp://user@host/path",
    "webdavs": "webdavs://user@host/path",
    "imaps": "imaps://user@host/folder",
    "postgresql": "postgresql://user@host/database",
    "mysql": "mysql://user@host/database",
    "mariadb": "mariadb://user@host/database",
    "sqlite": "sqlite:////path/to/file.db",
    "urls": "urls:///path/list.jsonl",
    "rclone": "rclone://REMOTE/path",
}
"""How the URL of every kind of source that has one is written, by its scheme."""

INSIDE: Final = {
    "mbox": "the messages of mbox files",
    "vault": "the files and messages of an export of Google Vault",
    "slack": "the messages of an export of Slack, by channel and day",
    "purview": "the files of an export of Microsoft Purview",
}
"""What may lie inside files, by what is written before their location: ``mbox:/srv/mail``."""

_PASSWORD: Final = re.compile(r":(?=[^\s/])(?!\d{1,5}(?:[/\s]|\Z)).*", re.DOTALL)
"""What follows a ":" that belongs neither to a scheme, nor to a port, nor to the punctuation of a sentence."""

_URL: Final = re.compile(r"[a-z][a-z0-9+.-]+:/", re.IGNORECASE)
"""How a URL begins, also one of whose slashes `Path` has left one."""

_ALMOST_URL: Final = re.compile(r"([a-z][a-z0-9+.-]*)(?::/?(?!/)|//+)", re.IGNORECASE)
"""How a URL begins whose colon or slashes are not all there: ``s3:/``, ``s3:`` or ``s3//``."""

_SCHEMES: Final = frozenset({*SOURCE_URLS, "file", "http", "https", "ftp", "imap", "webdav"})
"""The schemes by which a URL is distinguished from a folder with a colon in its name."""

_SIGNED: Final = re.compile(
    r"[?&]?x-(?:amz|goog)-(?:signature|credential|security-token)=|[?&](?:sig|signature|awsaccesskeyid|googleaccessid)=",
    re.IGNORECASE,
)
"""The query parameters of presigned URLs of S3 and Google Storage, and of shared access signatures of Azure."""


def listed(names: Iterable[str], last: str = "and") -> str:
    """Return names as a list in words: ``a, b and c``."""
    *first, final = names
    return f"{', '.join(first)} {last} {final}" if first else final


def scheme_names(schemes: Iterable[str] = BUCKET_URLS) -> list[str]:
    """Return schemes as they begin a URL: ``s3://``."""
    return [f"{scheme}://" for scheme in schemes]


def shown(address: str) -> str:
    """Return an address for a message: without user, password, query, and anything after ":" that is not a port.

    Only the part after the last "@" is shown, because a password that was not encoded may contain any character.
    """
    _, at, rest = _SIGNED.split(address, maxsplit=1)[0].rpartition("@")
    rest = re.split("[?#]", rest, maxsplit=1)[0]
    return f"{'…@' if at else ''}{_PASSWORD.sub(':…', rest)}"


def is_signed(text: str) -> bool:
    """Return whether a text contains a signature: a presigned URL, or a shared access signature (SAS)."""
    return _SIGNED.search(text) is not None


def require_unsigned(text: str, field: str) -> None:
    """Raise InvalidLocation if an address contains a signature; the message does not repeat the signature.

    The address is stored with the job, so every reader of the job could use the signature.
    """
    if is_signed(text):
        raise InvalidLocation(
            f"{field} contains a signature (a presigned URL or a SAS token), which would be stored with the job; give "
            "the address itself, as s3://bucket/prefix, and let credentials or the environment sign. "
            f"[{field}={shown(text)}]"
        )


def local_path(path: str | os.PathLike[str], field: str) -> Path:
    """Return the path of a local file or folder. Raise InvalidLocation for a URL, of which a path would make a folder.

    A relative folder that is called as a scheme is written with ``./`` before it.
    """
    text = os.fspath(path)
    require_unsigned(text, field)
    if _URL.match(text) or meant_url(text):
        raise InvalidLocation(f"{field} must be a path on this machine, not a URL. [{field}={shown(text)}]")
    return Path(text)


def meant_url(text: str) -> str:
    """Return the URL that a text was meant as whose colon or slashes are wrong, without secrets; "" if it was not."""
    found = _ALMOST_URL.match(text)
    rest = "" if found is None else text[found.end() :]
    if found is None or not rest or found[1].lower() not in _SCHEMES:
        return ""
    scheme = found[1].lower()
    if ":" not in found[0] and (scheme not in BUCKET_URLS or os.path.lexists(found[1])):  # a folder, and what is in it
        return ""
    return f"{scheme}://{'/' if scheme == 'file' else ''}{shown(rest)}"


def meant_block(reference: str, types: Callable[[], Iterable[str]]) -> str:
    """Return the saved block that a reference was meant as whose type is mistyped; "" if it was not.

    Args:
        reference: What was typed.
        types: Returns the types of blocks; it is called for what may be a reference only.
    """
    slug, slash, name = reference.partition("/")
    if not (slash and name) or "/" in name or not slug[:1].isalpha():
        return ""
    alike = get_close_matches(slug.lower(), list(types()), n=1, cutoff=0.8)
    return f"{alike[0]}/{name}" if alike else ""


def require_meant(location: str, field: str = "location") -> None:
    """Raise InvalidLocation for a location that was meant as a URL or a saved store block, and would become a folder.

    A folder of such a name is written with ``./`` before it; one that exists is taken for what is written as a block.
    """
    meant = meant_url(location)
    if not meant and not os.path.lexists(location):
        meant = meant_block(location, lambda: [prefix.rstrip("/") for prefix in STORE_BLOCKS])
        meant = "" if meant == location else meant
    if meant:
        raise InvalidLocation(
            f"Did you mean {meant}? For a local folder of that name write ./{shown(location)}. "
            f"[{field}={shown(location)}]"
        )


def check_endpoint(endpoint_url: str | None) -> None:
    """Raise InvalidLocation unless the URL is None or a server's http(s) address without user, password and query."""
    if endpoint_url is None:
        return
    require_unsigned(endpoint_url, "endpoint_url")
    if "@" in endpoint_url or "?" in endpoint_url or "#" in endpoint_url:
        raise InvalidLocation(
            "endpoint_url must not contain a user, password or query; use a credentials block or AWS_* variables. "
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
"""The environment variable that names the default staging store: a directory or the URL of a bucket's prefix."""

STORE_BLOCKS: Final = ("collect-s3-store/", "collect-directory-store/", "collect-cloud-store/")
"""The prefixes of the names of saved store blocks: of `S3StoreBlock`, `DirectoryStoreBlock` and `CloudStoreBlock`."""

DESTINATIONS: Final = (
    "a folder, s3://bucket/prefix (gs:// and az:// alike), or a saved store block "
    f"({listed([f'{prefix}NAME' for prefix in STORE_BLOCKS], 'or')})"
)
"""What the destination of an export may be, in the words of help and forms."""
