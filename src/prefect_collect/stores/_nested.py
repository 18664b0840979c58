"""Whether one place lies in another: folders by their file systems, prefixes by their buckets and servers."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from enum import StrEnum
from typing import Any, Final
from urllib.parse import urlsplit

from prefect_collect.stores._base import Store
from prefect_collect.stores._directory import DirectoryStore
from prefect_collect.stores._mounts import is_below, mounts, place_of

_AWS: Final = (".amazonaws.com", ".amazonaws.com.cn")


class Lies(StrEnum):
    """The place of a store relative to a source."""

    INSIDE = "inside"
    """The store is a folder in the source."""
    AT = "at"
    """The store is the source's root."""
    AROUND = "around"
    """The source is a folder in the store."""


def folder_lies(folder: str | os.PathLike[str], root: str | os.PathLike[str]) -> tuple[Lies, list[bytes]] | None:
    """Return the place of `folder` relative to the folder `root`, and the paths below `root` at which it lies inside.

    Links are resolved, and a folder that is mounted in several places counts as the same in all of them. The first
    path is the one to which the name `folder` leads. None if the two are apart.
    """
    store, source = (os.path.realpath(os.fsencode(path)) for path in (folder, root))
    table = mounts()
    place = place_of(store, table)
    whole = _below(place, place_of(source, table))
    if whole == b"":
        return Lies.AT, []
    if whole is None and _below(place_of(source, table), place) is not None:
        return Lies.AROUND, []
    paths = [] if whole is None else [whole]
    for mount in table:
        if mount.point == source or not is_below(mount.point, source):
            continue
        point = mount.point[len(source.rstrip(b"/")) + 1 :]
        here = mount.device, os.path.normpath(mount.root)
        if (rest := _below(place, here)) is not None:
            paths.append(point + b"/" + rest if rest else point)
        elif _below(here, place) is not None:
            paths.append(point)
    named = store[len(source.rstrip(b"/")) + 1 :] if is_below(store, source) else b""
    paths = sorted(dict.fromkeys(paths), key=lambda path: path != named)
    return (Lies.INSIDE, paths) if paths else None


def _below(place: tuple[bytes, bytes], other: tuple[bytes, bytes]) -> bytes | None:
    """Return the path from `other` to `place`; None if `place` does not lie below `other`."""
    if place[0] != other[0] or not is_below(place[1], other[1]):
        return None
    return place[1][len(other[1].rstrip(b"/")) + 1 :]


def prefix_lies(folder: str, prefix: str) -> Lies | None:
    """Return the place of a bucket's folder ("" or ending in "/") relative to its keys that begin with `prefix`."""
    if prefix.rstrip("/") == folder.rstrip("/"):
        return Lies.AT
    if folder.startswith(prefix):
        return Lies.INSIDE
    if not prefix.startswith(folder):
        return None
    return Lies.AROUND if "/" in prefix[len(folder) :] else Lies.AT


def same_server(one: str, other: str) -> bool:
    """Return whether two URLs lead to one S3 server: AWS counts as one, others are compared by address and port."""
    hosts = [urlsplit(url).hostname or "" for url in (one, other)]
    if any(host.endswith(_AWS) for host in hosts):
        return all(host.endswith(_AWS) for host in hosts)
    return bool(_addresses(one) & _addresses(other))


def store_lies(store: Store, other: Store) -> bool:
    """Return whether `store` is the other store, or lies in it."""
    if isinstance(store, DirectoryStore) and isinstance(other, DirectoryStore):
        found = folder_lies(store.root, other.root)
        return found is not None and found[0] is not Lies.AROUND
    outer: Any = other
    if not hasattr(outer, "scheme"):  # a folder
        return False
    folder = folder_in_bucket(store, outer.scheme, outer.bucket, lambda: str(outer.endpoint))
    return folder is not None and folder.startswith(outer.folder)


def folder_in_bucket(store: Store, scheme: str, bucket: str, endpoint: Callable[[], str]) -> str | None:
    """Return the folder of a store in that bucket on the server at `endpoint()`; None if it is elsewhere.

    An account of Azure is named in the host of its address, or in the path.
    """
    inner: Any = store
    if (getattr(inner, "scheme", ""), getattr(inner, "bucket", "")) != (scheme, bucket):  # a folder has neither
        return None
    one, two = endpoint(), inner.endpoint
    is_same = same_server(one, two) and (scheme != "az" or _path(one) == _path(two))
    return str(inner.folder) if is_same else None


def _path(url: str) -> str:
    return urlsplit(url).path.strip("/")


def _addresses(url: str) -> set[tuple[str, int]]:
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    try:
        return {(str(found[4][0]), port) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    except OSError:
        return {(host, port)}
