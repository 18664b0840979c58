"""Adds a version to the object of a data source; files that an earlier version has are shared, not written again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from prefect_collect.codes import Failure
from prefect_collect.documents.files import DOCUMENT_FILES
from prefect_collect.errors import JobCanceled, PackageError
from prefect_collect.job_folder.manifest_rules import Batches
from prefect_collect.packages.building.agent import AGENT, agent_version
from prefect_collect.packages.building.check import Checked
from prefect_collect.packages.building.metadata_lines import METADATA
from prefect_collect.packages.building.order import PackageInput, PackagePlace
from prefect_collect.packages.building.payload import Payload, put_file
from prefect_collect.packages.building.rows import Row, read_rows
from prefect_collect.packages.building.spec import Built, PackageSpec
from prefect_collect.packages.building.tag_file import PackageFile, TagFile, temporary_folder
from prefect_collect.packages.file_sets.building import WITH_ORIGINAL, own_rows
from prefect_collect.packages.file_sets.lists import EXCEPTIONS, ITEMS, SEAL, SetLists
from prefect_collect.packages.file_sets.plan import PlaceWriter, SetPlan
from prefect_collect.packages.ocfl.inventory import next_version
from prefect_collect.packages.ocfl.names import DESCRIPTION, INVENTORY, ITEMS_FOLDER
from prefect_collect.packages.ocfl.storage_root import require_storage_root
from prefect_collect.packages.ocfl.stored import StoredObject
from prefect_collect.packages.ocfl.unchanged import (
    created_of,
    message_of,
    require_continuing,
    shared_rows,
    without_unchanged,
)
from prefect_collect.stores import Store
from prefect_collect.threads.pool import Pool
from prefect_collect.threads.stop import Stop


def build_ocfl(given: PackageInput, place: PackagePlace, stop: Stop | None = None) -> Built:
    """Add a version with the good items to the object in the folder of its `place`, whose key is its id.

    The destination becomes a storage root if it is empty. If the last version has the same files, none is added. Where
    the place allows to replace, what an interrupted attempt of its owner's job left of a version is replaced.

    Raises:
        PackageExists: The destination or the object's folder holds something that does not belong there.
        PackageError: The object cannot be continued, was changed meanwhile, or has a version of a later collection; or
            it does not have what an incremental collection found unchanged.
        StoreError: A store failed.
        JobCanceled: `stop` was set to cancel; what was written has been removed again.
    """
    stop = Stop() if stop is None else stop
    spec, checked, destination = given.spec, given.checked, place.destination
    require_storage_root(destination)
    stored = StoredObject(destination, place.key, "" if place.owner is None else place.owner.job_id)
    stored.read()
    require_continuing(given, stored)
    with temporary_folder() as folder:
        plan = _plan(given.manifest, checked, folder)
        stored.make_room(_names(plan), replace=place.replace)
        payload = Payload(given, destination, f"{stored.folder}/content/", stop)
        version = _Version(stored, payload)
        try:
            with closing(SetLists(folder, spec, plan, DESCRIPTION)) as lists:
                with Pool(payload.threads, "package") as pool:
                    for rows in own_rows(given.manifest, checked, plan):
                        stop.require_going()
                        version.deliver(rows, pool)
                released = checked.release([*payload.failed], every=True)
                failed = {**payload.failed, **dict.fromkeys(released, WITH_ORIGINAL)}
                if given.unchanged is None:
                    lists.fill(given.manifest, given.not_delivered, checked, failed)
                else:
                    shared = map(version.share, shared_rows(given.unchanged))
                    lists.fill(given.manifest, without_unchanged(given.not_delivered), checked, failed, shared)
                for file in lists.finish():
                    stop.require_going()
                    version.add_list(file, given.staging, destination, stop)
            stop.require_going()
            remark = version.finish(_said(spec), failed, version.fixity(given))
        except JobCanceled:
            stored.remove_version()
            raise
        blob = destination.stat(f"{place.key}/{INVENTORY}")
        return Built(place.key, blob, lists.items, lists.bytes, stored.fingerprint(), failed, remark=remark)


@dataclass(slots=True)
class _Version:
    """The version that is being written."""

    stored: StoredObject
    payload: Payload
    places: dict[str, str] = field(default_factory=dict)
    """A content path of each hash, of earlier versions and of this one."""
    manifest: dict[str, list[str]] = field(default_factory=dict)
    state: dict[str, str] = field(default_factory=dict)
    _numbers: dict[int, str] = field(default_factory=dict)
    """The logical path of each row."""

    def __post_init__(self) -> None:
        if self.stored.inventory is not None:
            self.places = {digest: paths[0] for digest, paths in self.stored.inventory.manifest.items()}

    def deliver(self, rows: Sequence[Row], pool: Pool) -> None:
        """Write those rows' items whose bytes are not in the object yet."""
        fresh: list[Row] = []
        same: list[tuple[Row, int]] = []
        first: dict[str, int] = {}
        for row in rows:
            digest = row.sha256.hex()
            self.state[row.path], self._numbers[row.number] = digest, row.path
            if digest in first:
                same.append((row, first[digest]))
            elif digest in self.places:
                if digest not in self.manifest:
                    self.stored.require_content(self.places[digest], row.size)
            else:
                first[digest] = row.number
                fresh.append(row)
        self.payload.write(fresh, pool)
        for row in fresh:
            if row.number not in self.payload.failed:
                self._place(row.path, row.sha256.hex())
        for row, original in same:
            if original in self.payload.failed:
                self.payload.failed[row.number] = WITH_ORIGINAL

    def share(self, given: tuple[pa.RecordBatch, pa.RecordBatch]) -> tuple[pa.RecordBatch, pa.RecordBatch]:
        """Take up items whose bytes an earlier version has; return them. Raise PackageError if a path is taken."""
        items, places = given
        for path, digest in zip(places["path"].to_pylist(), items["sha256"].to_pylist(), strict=True):
            if path in self.state:
                raise PackageError(f"An unchanged item has the path of another; collect without since. [{path}]")
            self.state[path] = digest.hex()
        return given

    def add_list(self, file: PackageFile, staging: Store, destination: Store, stop: Stop) -> None:
        """Write a list, if its bytes are not in the object yet. Raise PackageError if they should be, and are not."""
        digest = file.hashes["sha256"]
        self.state[file.name] = digest
        if digest not in self.places:
            put_file(staging, destination, f"{self.stored.folder}/content/{file.name}", file, stop, replace=False)
            self._place(file.name, digest)
        elif digest not in self.manifest:
            self.stored.require_content(self.places[digest], file.size)

    def fixity(self, given: PackageInput) -> dict[str, dict[str, str]]:
        """Return the further hashes that collections computed of the content, by their names and content paths."""
        names: list[str] = [*given.spec.hashes]
        found: dict[str, dict[str, str]] = {name: {} for name in names}
        for items in (given.manifest, given.unchanged) if names else ():
            for batch in () if items is None else items(["sha256", *names]):
                places = [self.places.get(digest.hex()) for digest in batch["sha256"].to_pylist()]
                for name in names:
                    of = zip(places, batch[name].to_pylist(), strict=True)
                    found[name].update((place, digest.hex()) for place, digest in of if place and digest)
        return found

    def finish(
        self, said: Mapping[str, Any], failed: Mapping[int, Failure], fixity: Mapping[str, Mapping[str, str]]
    ) -> str:
        """Commit the version without the items that failed, unless it is just the last one; say which one it is."""
        for number in failed:
            if number in self._numbers:
                del self.state[self._numbers[number]]
        before = self.stored.inventory
        if before is not None and self.state == before.state(before.head):
            self.stored.remove_version()
            return f"The object has just these files as its version v{before.head}, so none was added."
        version = next_version(before, self.stored.key, self.manifest, self.state, said, fixity)
        self.stored.commit(version)
        return f"The export is version v{version.head} of the object."

    def _place(self, path: str, digest: str) -> None:
        self.places[digest] = f"v{self.stored.next}/content/{path}"
        self.manifest[digest] = [self.places[digest]]


def _plan(manifest: Batches, checked: Checked, folder: Path) -> SetPlan:
    """Return the places of all items: each is a file of its own."""
    writer = PlaceWriter(folder / "places")
    for rows in read_rows(manifest, checked.names):
        by_number = sorted((row.number, row.path) for row in rows)
        writer.add([{"path": f"{ITEMS_FOLDER}{path}", "own": True} for _, path in by_number])
    return SetPlan(writer.finish(), lambda folder: _NoLists())


class _NoLists:
    """This format has no lists that only it has."""

    def add(self, batch: pa.RecordBatch, places: pa.RecordBatch, given: Sequence[bool]) -> None:
        """Do nothing."""

    def finish(self) -> tuple[list[TagFile], dict[str, Any]]:
        """Return none."""
        return [], {}

    def close(self) -> None:
        """Do nothing."""


def _names(plan: SetPlan) -> Iterator[set[str]]:
    """Yield the names of all files that an attempt of this export may have written into the version's folder."""
    yield {f"content/{name}" for name in (DESCRIPTION, EXCEPTIONS, ITEMS, METADATA, SEAL, *DOCUMENT_FILES)}
    for places in plan.places():
        yield {f"content/{path}" for path in places["path"].to_pylist() if path is not None}


def _said(spec: PackageSpec) -> dict[str, Any]:
    """Return what is said of the version, which is the same in each attempt."""
    return {
        "created": created_of(spec),
        "message": message_of(spec),
        "user": {"name": f"{AGENT} {agent_version()}".strip()},
    }
