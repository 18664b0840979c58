"""Builds a group of bags: a folder with the bags as one file each, and lists over all of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from copy import copy
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from prefect_collect.errors import JobCanceled
from prefect_collect.formats import FORMATS
from prefect_collect.formats.bag_options import VOLUME_BYTES
from prefect_collect.packages.bags.listing import list_items
from prefect_collect.packages.bags.tag_files import TagFiles, tag_names
from prefect_collect.packages.bags.tar import build_tar, build_tar_zst
from prefect_collect.packages.bags.zip import build_zip
from prefect_collect.packages.building.agent import AGENT, agent_version
from prefect_collect.packages.building.order import PackageInput, PackagePlace
from prefect_collect.packages.building.replacing import FolderLeft, Marker, refusal
from prefect_collect.packages.building.rows import read_rows
from prefect_collect.packages.building.spec import Built
from prefect_collect.packages.building.tag_file import TagFile, hashed, temporary_folder
from prefect_collect.packages.contents.hash_lines import hash_line
from prefect_collect.packages.groups.volumes import Volume, volumes_of
from prefect_collect.packages.seals import GROUP_SEAL
from prefect_collect.stores import Blob, DirectoryStore, Store
from prefect_collect.threads.abandoned import current_fence
from prefect_collect.threads.stop import Stop

DESCRIPTION: Final = FORMATS["bagit-group"].description
"""The list of the bags."""

SEAL: Final = GROUP_SEAL
"""The SHA-256 of every list of the group; its own is the group's fingerprint."""

VERSION: Final = 1

_BUILDERS: Final[dict[str, Callable[..., Built]]] = {
    "zip": partial(build_zip, keeps_headers=False),
    "tar": build_tar,
    "tar.zst": build_tar_zst,
}


def build_group(given: PackageInput, place: PackagePlace, stop: Stop | None = None) -> Built:
    """Write the bags of the good items, and then the lists of the group, into the folder of its `place`.

    The seal is written last, and only then the marker is removed that names the job of its owner. Where the place
    allows to replace, what an earlier attempt of that job left is built again: a group with a fingerprint that it
    delivered, or a folder with its marker, if no other file is in it; a group that is identical to the new one is kept.
    Anything else is never touched.

    Raises:
        PackageExists: The folder holds something that this job did not write.
        PackageError: There would be too many bags.
        CorruptSegment: A segment changed after it was checked.
        StoreError: A store failed.
        JobCanceled: `stop` was set to cancel; what was written has been removed again.
    """
    stop = Stop() if stop is None else stop
    group, destination, key = _Group(given), place.destination, place.key
    marker = None if place.owner is None else Marker(destination, key, place.owner.job_id)
    kept = _make_room(group, place, marker, stop)
    if kept is not None:
        return kept
    try:
        for volume in group.volumes:
            stop.require_going()
            group.build(volume, destination, key, stop)
        with temporary_folder() as temporary:
            files = group.lists(temporary)
            for file in files:
                stop.require_going()
                blob = _put(destination, f"{key}/{file.name}", file)
        if marker is not None:
            marker.remove()
        return group.result(key, blob, files[-1].hashes["sha256"])
    except JobCanceled:
        if marker is not None:
            _remove(group, destination, key, marker)
            with current_fence().passing():
                destination.delete(f"{key}/")
        raise


def _make_room(group: _Group, place: PackagePlace, marker: Marker | None, stop: Stop) -> Built | None:
    """Set the marker in an empty folder, or in one from which what the same job left is removed.

    Return the group that is there, if it is the one that would be built.
    """
    destination, key, owner = place.destination, place.key, place.owner
    if next(iter(destination.list(f"{key}/")), None) is None:
        if marker is not None:
            marker.set(alone=True)
        return None
    if not place.replace or owner is None or marker is None:
        raise refusal(destination, key)
    left = FolderLeft(destination, key, SEAL)
    unfinished = marker.name in left.sizes
    if not unfinished and left.fingerprint not in owner.fingerprints:
        return _kept(group, left, destination, key, stop)
    if not unfinished:
        other = left.others(group.names(marker))
        if other is not None:
            raise refusal(destination, key, other)
        marker.set(alone=False)
    _remove(group, destination, key, marker)
    return None


def _kept(group: _Group, left: FolderLeft, destination: Store, key: str, stop: Stop) -> Built:
    """Return the group that is there, if it is the one that would be built, which takes room for one bag.

    Raise PackageExists if it is another one.
    """
    sizes: dict[str, int] = {}
    with temporary_folder() as temporary:
        scratch = DirectoryStore(temporary / "bags")
        for volume in group.volumes:
            name = f"{volume.base}.{group.given.spec.bag.volumes}"
            if name not in left.sizes:
                raise refusal(destination, key)
            group.build(volume, scratch, "made", stop)
            sizes[name] = group.built[-1].blob.size
            scratch.remove([f"made/{name}"])
        files = group.lists(temporary)
        sizes |= {file.name: file.size for file in files}
    if (left.sizes, left.fingerprint) != (sizes, files[-1].hashes["sha256"]):
        raise refusal(destination, key)
    return group.result(key, destination.stat(f"{key}/{SEAL}"), left.fingerprint)


def _remove(group: _Group, destination: Store, key: str, marker: Marker) -> None:
    """Remove what an attempt of this job wrote, except for the marker. Raise PackageExists if there is another file."""
    left = FolderLeft(destination, key, SEAL)
    other = left.others(group.names(marker))
    if other is not None:
        raise refusal(destination, key, other)
    with current_fence().passing():
        destination.remove(f"{key}/{name}" for name in left.sizes if name != marker.name)


def _put(destination: Store, key: str, file: TagFile) -> Blob:
    writer = destination.writer(key)
    try:
        for chunk in file.chunks():
            writer.write(chunk)
        return writer.commit()
    finally:
        writer.abort()


@dataclass(slots=True)
class _Group:
    """The bags of a group and its lists."""

    given: PackageInput
    volumes: list[Volume] = field(default_factory=list)
    built: list[Built] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.volumes = volumes_of(self.given.manifest, self.given.spec)

    def names(self, marker: Marker) -> Iterator[set[str]]:
        """Yield the names of all files that an attempt of this export may have written."""
        yield {marker.name, DESCRIPTION, SEAL, *tag_names(self.given.spec)}
        yield {f"{volume.base}.{self.given.spec.bag.volumes}" for volume in self.volumes}

    def build(self, volume: Volume, destination: Store, key: str, stop: Stop) -> None:
        """Build one bag."""
        count = f"{len(self.built) + 1} of {len(self.volumes)}"
        info = {**self.given.spec.info, "Bag-Group-Identifier": self.given.spec.job_id, "Bag-Count": count}
        # The lists over all tell which items are duplicates: the other one may be in another bag.
        spec = replace(self.given.spec, base=volume.base, info=info, custody=None, deduplicate=None)
        kind, alone = self.given.spec.bag.volumes, copy(self.given.checked)
        alone.duplicates = None
        part = PackageInput(volume.of(self.given.manifest), _nothing, alone, self.given.staging, spec)
        built = _BUILDERS[kind](
            part, PackagePlace(destination, f"{key}/{volume.base}.{kind}"), stop, first=volume.start
        )
        self.built.append(built)

    def lists(self, folder: Path) -> list[TagFile]:
        """Write the lists over all bags, and return them; the seal is the last one."""
        with closing(TagFiles(folder, self.given.spec)) as tags:
            for volume in self.volumes:
                self._list(volume, tags)
            tags.list_missing(self.given.not_delivered)
            (folder / DESCRIPTION).write_text(json.dumps(self._described(), indent=1) + "\n", encoding="utf-8")
            files = tags.lists(DESCRIPTION)
        lines = (hash_line(file.hashes["sha256"], file.name) for file in sorted(files, key=lambda file: file.name))
        (folder / SEAL).write_text("".join(lines), encoding="utf-8", newline="\n")
        return [*files, hashed(SEAL, folder / SEAL)]

    def result(self, key: str, blob: Blob, fingerprint: str) -> Built:
        """Return the description of the group that was built."""
        items, size = sum(one.items for one in self.built), sum(one.bytes for one in self.built)
        return Built(key, blob, items, size, fingerprint, {}, self._warnings())

    def _warnings(self) -> tuple[str, ...]:
        """Return the warning of bags that are larger than was asked for."""
        most = self.given.spec.bag.volume_bytes or VOLUME_BYTES
        large = [volume.base for volume, built in zip(self.volumes, self.built, strict=True) if built.blob.size > most]
        if not large:
            return ()
        named = ", ".join(large[:3]) + (f" and {len(large) - 3:,} more" if len(large) > 3 else "")
        return (
            f"{len(large):,} of {len(self.built):,} bags are larger than the {most:,} bytes that were asked for, as an "
            f"item is with its headers and the bag's lists: {named}.",
        )

    def _list(self, volume: Volume, tags: TagFiles) -> None:
        """Add the items of a bag to the lists."""
        part = volume.of(self.given.manifest)
        tags.root = f"{volume.base}/data/"
        for rows in read_rows(part, self.given.checked.names, volume.start):
            good = [row for row in rows if self.given.checked.is_good(row.number)]
            digests = [self.given.checked.sha512(row.number) for row in good] if self.given.spec.sha512 else []
            tags.deliver([r.path for r in good], [r.size for r in good], [r.sha256 for r in good], digests)
        list_items(tags, part, _nothing, self.given.checked, {}, volume.start)

    def _described(self) -> dict[str, Any]:
        """Return what group.json says."""
        bags = [
            {
                "file": f"{volume.base}.{self.given.spec.bag.volumes}", "folder": volume.base, "size": built.blob.size,
                "fingerprint": built.fingerprint, "items": built.items, "bytes": built.bytes,
            }
            for volume, built in zip(self.volumes, self.built, strict=True)
        ]  # fmt: skip
        return {
            "bag_group": VERSION,
            "tool": f"{AGENT} {agent_version()}",
            "identifier": self.given.spec.job_id,
            "chain_of_custody": self.given.spec.custody is not None,
            "bags": bags,
        }


def _nothing(columns: list[str]) -> Iterator[Any]:
    """Return no batches: what was not collected is listed over all bags."""
    return iter(())
