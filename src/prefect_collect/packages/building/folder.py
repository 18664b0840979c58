"""Builds a package as a folder of files, one for each item, whatever its lists are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from typing import Final

from prefect_collect.errors import (
    JobCanceled,
)
from prefect_collect.packages.building.folder_contents import FolderContents
from prefect_collect.packages.building.order import PackagePlace
from prefect_collect.packages.building.payload import Payload, put_file
from prefect_collect.packages.building.replacing import FolderLeft, Marker, refusal
from prefect_collect.packages.building.spec import Built
from prefect_collect.packages.building.tag_file import fingerprint_of
from prefect_collect.stores import DirectoryStore, Store
from prefect_collect.threads.abandoned import current_fence
from prefect_collect.threads.pool import Pool
from prefect_collect.threads.stop import Stop

_REMOVED_AT_ONCE: Final = 1000


def build_folder(contents: FolderContents, place: PackagePlace, stop: Stop | None = None) -> Built:
    """Write the package into the folder at its `place`, with the items as `Payload` writes them.

    An item that cannot be written fails as an item (in `Built.failed`): ``path_collision`` if its name is taken (on
    file systems that ignore case), ``segment_corrupt``, or the store's own code if its name is not possible there. The
    lists list what is missing; the `last` list is written last, and only then the marker is removed that names the
    job of its owner. Where the place allows to replace, what an earlier attempt of that job left is replaced: a package
    with a fingerprint that it delivered, or a folder with its marker, if no other file is in it; a package that is
    identical to the new one is kept. Anything else is never touched.

    Raises:
        PackageExists: The folder holds something that this job did not write.
        StoreError: A store failed.
        JobCanceled: `stop` was set to cancel; what was written has been removed again.
    """
    stop = Stop() if stop is None else stop
    destination, key, owner = place.destination, place.key, place.owner
    folder = f"{key}/"
    marker = None if owner is None else Marker(destination, key, owner.job_id)
    over = next(iter(destination.list(folder)), None) is not None
    if over:
        if not place.replace or owner is None or marker is None:
            raise refusal(destination, key)
        left = FolderLeft(destination, key, contents.form.seal)
        unfinished = marker.name in left.sizes
        if not unfinished and left.fingerprint not in owner.fingerprints:
            return _kept(contents, left, destination, key)
        other = left.others(_names(contents, marker))
        if other is not None:
            raise refusal(destination, key, other)
        if not unfinished:
            marker.set(alone=False)
        # Each list is replaced where it is: the marker must exist until everything else here is deleted.
        _remove_payload(contents, destination, folder, left)
    elif marker is not None:
        marker.set(alone=True)
    payload = Payload(contents.given, destination, f"{folder}{contents.form.payload}", stop)
    try:
        with contents.lists() as lists:
            with Pool(payload.threads, "package") as pool:
                files, failed = contents.fill(lists, payload.failed, lambda rows: payload.write(rows, pool))
            last = next(file for file in files if file.name == contents.form.last)
            for file in files:
                if file is not last:
                    stop.require_going()
                    put_file(contents.given.staging, destination, folder + file.name, file, stop, replace=over)
            if contents.form.empty and not lists.items and isinstance(destination, DirectoryStore):
                with current_fence().passing():  # RFC 8493, 2.1.2: it may be empty
                    os.makedirs(destination.locate(f"{folder}{contents.form.empty}"), exist_ok=True)
            stop.require_going()
            blob = put_file(contents.given.staging, destination, folder + last.name, last, stop, replace=over)
            built = Built(key, blob, lists.items, lists.bytes, fingerprint_of(files, contents.form.seal), failed)
    except JobCanceled:
        _remove(contents, destination, key, marker)
        raise
    if marker is not None:
        marker.remove()
    return built


def _names(contents: FolderContents, marker: Marker) -> Iterator[set[str]]:
    yield {marker.name}
    yield from contents.names()


def _remove(contents: FolderContents, destination: Store, key: str, marker: Marker | None) -> None:
    """Remove a half-written package, unless its folder also holds a file of another writer."""
    if (
        marker is None
        or (left := FolderLeft(destination, key, contents.form.seal)).others(_names(contents, marker)) is not None
    ):
        return
    _remove_payload(contents, destination, f"{key}/", left)
    with current_fence().passing():
        destination.delete(f"{key}/")


def _kept(contents: FolderContents, left: FolderLeft, destination: Store, key: str) -> Built:
    """Return the existing package if it is the one that would be built. Raise PackageExists if not."""
    sizes: dict[str, int] = {}
    with contents.lists() as lists:
        files, _ = contents.fill(
            lists, {}, lambda rows: sizes.update({f"{contents.form.payload}{row.path}": row.size for row in rows})
        )
        sizes |= {file.name: file.size for file in files}
        if (left.sizes, left.fingerprint) != (sizes, fingerprint_of(files, contents.form.seal)):
            raise refusal(destination, key)
        blob = destination.stat(f"{key}/{contents.form.last}")
        return Built(key, blob, lists.items, lists.bytes, left.fingerprint, {})


def _remove_payload(contents: FolderContents, destination: Store, folder: str, left: FolderLeft) -> None:
    """Remove the folders of the payload, a part at a time, so that a cancel does not wait for all of it."""
    fence = current_fence()
    payload = [name for name in left.sizes if contents.is_payload(name)]
    names = iter(payload)
    while some := [f"{folder}{name}" for name in islice(names, _REMOVED_AT_ONCE)]:
        with fence.passing():
            destination.remove(some)
    for top in sorted({contents.form.payload or "", *(f"{name.partition('/')[0]}/" for name in payload)} - {""}):
        with fence.passing():
            destination.delete(f"{folder}{top}")
