"""Which of two places lies in the other: folders by their file systems, prefixes by their buckets and servers."""

from __future__ import annotations

import os
import socket
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

from prefect_collect.stores._base import Store
from prefect_collect.stores._directory import DirectoryStore
from prefect_collect.stores._mounts import is_below, mounts, place_of

_AWS: Final = (".amazonaws.com", ".amazonaws.com.cn")


class Lies(StrEnum):
    """Where a store lies, seen from a source."""

    INSIDE = "inside"
    """In a folder of the source, which may hold other things too."""
    AT = "at"
    """At the source's own root."""
    AROUND = "around"
    """The source is a folder of the store."""


def folder_lies(folder: str | os.PathLike[str], root: str | os.PathLike[str]) -> tuple[Lies, list[bytes]] | None:
    """Where `folder` lies, seen from the folder `root`; and, if inside, under which paths below `root` (the first is
    the one that its own name leads to).

    Links are resolved, and a folder that is mounted in several places is the same in all of them. None if they are
    apart.
    """
    store, source = (os.path.realpath(os.fsencode(path)) for path in (folder, root))
    table = mounts()
    place = place_of(store, table)
    whole = _below(place, place_of(source, table))
    if whole == b"":
        return Lies.AT, []
    if whole is None and _below(place_of(source, table), place) is not None:
        return Lies.AROUND, []
    ways = [] if whole is None else [whole]
    for mount in table:
        if mount.point == source or not is_below(mount.point, source):
            continue
        point = mount.point[len(source.rstrip(b"/")) + 1 :]
        here = mount.device, os.path.normpath(mount.root)
        if (rest := _below(place, here)) is not None:
            ways.append(point + b"/" + rest if rest else point)
        elif _below(here, place) is not None:
            ways.append(point)
    named = store[len(source.rstrip(b"/")) + 1 :] if is_below(store, source) else b""
    ways = sorted(dict.fromkeys(ways), key=lambda way: way != named)
    return (Lies.INSIDE, ways) if ways else None


def _below(place: tuple[bytes, bytes], other: tuple[bytes, bytes]) -> bytes | None:
    """The path from `other` to `place`; None if it does not lie there."""
    if place[0] != other[0] or not is_below(place[1], other[1]):
        return None
    return place[1][len(other[1].rstrip(b"/")) + 1 :]


def prefix_lies(folder: str, prefix: str) -> Lies | None:
    """Where the folder ("" or ending in "/") of a bucket lies, seen from the keys of that bucket that begin with
    `prefix`."""
    if prefix.rstrip("/") == folder.rstrip("/"):
        return Lies.AT
    if folder.startswith(prefix):
        return Lies.INSIDE
    if not prefix.startswith(folder):
        return None
    return Lies.AROUND if "/" in prefix[len(folder) :] else Lies.AT


def same_server(one: str, other: str) -> bool:
    """Whether two addresses are of one server that keeps buckets: AWS is one, others are told apart by address and
    port."""
    hosts = [urlsplit(url).hostname or "" for url in (one, other)]
    if any(host.endswith(_AWS) for host in hosts):
        return all(host.endswith(_AWS) for host in hosts)
    return bool(_addresses(one) & _addresses(other))


def store_lies(store: Store, other: Store) -> bool:
    """Whether a store is another one, or lies in it."""
    if isinstance(store, DirectoryStore) and isinstance(other, DirectoryStore):
        found = folder_lies(store.root, other.root)
        return found is not None and found[0] is not Lies.AROUND
    if isinstance(store, DirectoryStore) or isinstance(other, DirectoryStore):
        return False
    from prefect_collect.stores._s3 import S3Store

    if not isinstance(store, S3Store) or not isinstance(other, S3Store) or store.bucket != other.bucket:
        return False
    return store.folder.startswith(other.folder) and same_server(store.endpoint, other.endpoint)


def _addresses(url: str) -> set[tuple[str, int]]:
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    try:
        return {(str(found[4][0]), port) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    except OSError:
        return {(host, port)}
