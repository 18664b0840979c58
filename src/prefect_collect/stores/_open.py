"""Opening the store at a location: a path or a URL as a user writes it."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from prefect_collect.errors import InvalidLocation
from prefect_collect.stores import azure_access, gcs_access
from prefect_collect.stores._base import Store
from prefect_collect.stores._directory import DirectoryStore
from prefect_collect.stores.addresses import BUCKET_URLS, listed, require_meant, require_unsigned, shown
from prefect_collect.stores.azure_access import AzureAccess
from prefect_collect.stores.buckets import split_bucket
from prefect_collect.stores.gcs_access import GcsAccess

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):/")
_ALLOWED: Final = f"A store is a directory, or {listed(BUCKET_URLS.values(), 'or')}"


def open_store(
    location: str | os.PathLike[str],
    *,
    endpoint_url: str | None = None,
    single_writer: bool = False,
    access: GcsAccess | AzureAccess | None = None,
) -> Store:
    """Return the store at a path, a ``file://`` URL or the URL of a bucket's prefix; nothing is read or created yet.

    Credentials for S3 come from the environment, and so do others that are not given.

    Args:
        location: The path, ``s3://bucket/prefix``, ``gs://bucket/prefix`` or ``az://container/prefix``.
        endpoint_url: The address of a server other than the service's own.
        single_writer: The user's assurance that nothing else writes there, for S3 servers that ignore conditional
            creates.
        access: The credentials for ``gs://`` or ``az://``.

    Raises:
        InvalidLocation: The location is no store's, or contains a secret.
        UsageError: The library of the service is not installed.
    """
    text = os.fspath(location)
    if not text or "\0" in text:
        why = ", and a path cannot contain the NUL character (U+0000); leave it out." if text else "."
        raise InvalidLocation(f"{_ALLOWED}{why} [location={shown(text)!r}]")
    require_unsigned(text, "location")
    require_meant(text)
    scheme = _SCHEME.match(text)
    if scheme is None:
        if "://" in text:
            raise InvalidLocation(f"{_ALLOWED} [location={shown(text)}]")
        return DirectoryStore(Path(text).expanduser())
    if scheme[1].lower() == "file":
        host, slash, path = text[len("file:") :].removeprefix("//").partition("/")
        if host not in ("", "localhost") or not slash:
            raise InvalidLocation(f"A file:// URL must name a local path, as file:///path [location={shown(text)}]")
        return DirectoryStore(unquote(f"/{path}"))
    kind = scheme[1].lower()
    if kind not in BUCKET_URLS:
        raise InvalidLocation(f"{_ALLOWED}, not {scheme[1]}:// [location={scheme[1]}://…]")
    if not text.lower().startswith(f"{kind}://"):
        raise InvalidLocation(f"{_ALLOWED} [location={shown(text)}]")
    rest = text.partition("://")[2]
    if kind == "s3":
        from prefect_collect.stores._s3 import S3Store

        bucket, prefix = split_bucket(rest)
        return S3Store(bucket, prefix, endpoint_url=endpoint_url, single_writer=single_writer)
    bucket, _, prefix = rest.partition("/")
    if kind == "gs":
        gcs_access.require_library()
        from prefect_collect.stores._gcs import GcsStore

        given = access if isinstance(access, GcsAccess) else None
        return GcsStore(bucket, prefix, access=given, endpoint_url=endpoint_url)
    azure_access.require_library()
    from prefect_collect.stores._azure import AzureStore

    return AzureStore(
        bucket, prefix, access=access if isinstance(access, AzureAccess) else None, endpoint_url=endpoint_url
    )
