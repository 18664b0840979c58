"""Builds a file set: as one ZIP file that is composed of ranges of the segments, or as a folder of files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from dataclasses import replace as changed
from pathlib import Path
from typing import Final

import pyarrow as pa

from prefect_collect.codes import Failure
from prefect_collect.documents.files import DOCUMENT_FILES
from prefect_collect.job_folder.manifest_rules import Batches
from prefect_collect.packages.building.check import Checked
from prefect_collect.packages.building.folder import build_folder
from prefect_collect.packages.building.folder_contents import FolderForm
from prefect_collect.packages.building.placing import place_file
from prefect_collect.packages.building.replacing import Owner
from prefect_collect.packages.building.rows import Row, read_rows
from prefect_collect.packages.building.spec import Built, PackageSpec
from prefect_collect.packages.building.tag_file import PackageFile, temporary_folder
from prefect_collect.packages.building.zip_layout import ZipLayout
from prefect_collect.packages.file_sets.lists import EXCEPTIONS, ITEMS, SEAL, SetLists
from prefect_collect.packages.file_sets.plan import SetPlan
from prefect_collect.stores import Blob, Store
from prefect_collect.threads.stop import Stop

_FORM: Final = FolderForm(payload="", empty="", seal=SEAL, last=SEAL)

WITH_ORIGINAL: Final = Failure(
    "store_unavailable",
    "The item that has the same bytes could not be written, so neither is delivered; retry the export. [duplicate]",
)

Planner = Callable[[Batches, Checked, Store, PackageSpec, Path, Stop], SetPlan]
"""Makes the plan of a package; what it writes goes into the folder."""


@dataclass(frozen=True, slots=True)
class FileSet:
    """A format of file sets.

    Attributes:
        plan: Makes the plan of a package.
        description: The file that says how the package is made.
        own: The names of the lists that only this format has.
        payload: How the names of the other files begin.
    """

    plan: Planner
    description: str
    own: tuple[str, ...]
    payload: tuple[str, ...]

    def build_zip(
        self,
        manifest: Batches,
        not_delivered: Batches,
        checked: Checked,
        staging: Store,
        destination: Store,
        key: str,
        spec: PackageSpec,
        *,
        owner: Owner | None = None,
        replace: bool = False,
        stop: Stop | None = None,
    ) -> Built:
        """Compose the package of the good items at `key`, as `build_zip` does for a bag.

        Raises:
            PackageExists: The name holds something that this job did not build.
            PackageError: The package cannot be made of these items.
            CorruptSegment: A segment changed after it was checked.
            StoreError: A store failed.
            JobCanceled: `stop` was set to cancel; then there is no new package.
        """
        stop = Stop() if stop is None else stop
        with temporary_folder() as folder:
            plan = self.plan(manifest, checked, staging, spec, folder, stop)
            with (
                closing(SetLists(folder, spec, plan, self.description)) as lists,
                open(folder / "central", "w+b") as central,
            ):
                lists.fill(manifest, not_delivered, checked, {})
                files = lists.finish()
                layout = ZipLayout(spec, checked, central)
                for rows in own_rows(manifest, checked, plan):
                    stop.require_going()
                    layout.add(rows)
                blob, fingerprint = place_file(
                    layout, files, staging, destination, key, (spec.base, SEAL), owner=owner, replace=replace, stop=stop
                )
        return Built(key, blob, lists.items, lists.bytes, fingerprint, plan.refused)

    def build_folder(
        self,
        manifest: Batches,
        not_delivered: Batches,
        checked: Checked,
        staging: Store,
        destination: Store,
        key: str,
        spec: PackageSpec,
        *,
        owner: Owner | None = None,
        replace: bool = False,
        threads: int | None = None,
        progress: Callable[[int, int], None] | None = None,
        stop: Stop | None = None,
    ) -> Built:
        """Write the package of the good items into the folder `key`, as `build_folder` does; its seal is written last.

        Raises:
            PackageExists: The folder holds something that this job did not write.
            PackageError: The package cannot be made of these items.
            StoreError: A store failed.
            JobCanceled: `stop` was set to cancel; what was written has been removed again.
        """
        stop = Stop() if stop is None else stop
        with temporary_folder() as folder:
            plan = self.plan(manifest, checked, staging, spec, folder, stop)
            contents = _Contents(manifest, not_delivered, checked, spec, plan, self)
            built = build_folder(
                contents, staging, destination, key, owner=owner, replace=replace, threads=threads, progress=progress,
                stop=stop,
            )  # fmt: skip
        return changed(built, failed={**plan.refused, **built.failed})


def own_rows(manifest: Batches, checked: Checked, plan: SetPlan) -> Iterator[list[Row]]:
    """Yield the items that are files of their own, with their paths in the package."""
    start = 0
    for rows, places in zip(read_rows(manifest), plan.places(), strict=True):
        paths = _own_paths(places)
        yield [
            changed(row, path=path)
            for row in rows
            if checked.is_good(row.number) and row.number not in plan.refused
            if (path := paths[row.number - start]) is not None
        ]
        start += len(rows)


def _own_paths(places: pa.RecordBatch) -> Sequence[str | None]:
    return [path if own else None for path, own in zip(*(places[n].to_pylist() for n in ("path", "own")), strict=True)]


@dataclass(frozen=True, slots=True)
class _Contents:
    """What the folder of a package holds."""

    manifest: Batches
    not_delivered: Batches
    checked: Checked
    spec: PackageSpec
    plan: SetPlan
    kind: FileSet
    form: FolderForm = _FORM

    @property
    def job_id(self) -> str:
        """The collection's id."""
        return self.spec.job_id

    @property
    def known(self) -> Mapping[str, Blob]:
        """The segments that were recognised by their ETags."""
        return self.checked.known

    @contextmanager
    def lists(self) -> Iterator[SetLists]:
        """Yield lists to fill, in a temporary folder."""
        with (
            temporary_folder() as temporary,
            closing(SetLists(temporary, self.spec, self.plan, self.kind.description)) as lists,
        ):
            yield lists

    def fill(
        self, lists: SetLists, failed: Mapping[int, Failure], deliver: Callable[[list[Row]], None]
    ) -> tuple[Sequence[PackageFile], Mapping[int, Failure]]:
        """Deliver the items that are files of their own, and list all."""
        for rows in own_rows(self.manifest, self.checked, self.plan):
            deliver(rows)
        # What is left out because another item has its bytes fails with that one: a retry delivers either.
        whole = {**failed, **dict.fromkeys(self.checked.release([*failed], every=True), WITH_ORIGINAL)}
        lists.fill(self.manifest, self.not_delivered, self.checked, whole)
        return lists.finish(), whole

    def names(self) -> Iterator[set[str]]:
        """Yield the names of all files that an attempt of this export may have written."""
        yield {self.kind.description, EXCEPTIONS, ITEMS, SEAL, *DOCUMENT_FILES, *self.kind.own}
        yield {file.name for file in self.plan.files}
        for name in self.plan.more_names():
            yield {name}
        for places in self.plan.places():
            yield {path for path in places["path"].to_pylist() if path is not None}

    def is_payload(self, name: str) -> bool:
        """Return whether a file is removed before a package is written over an earlier one."""
        return name.startswith(self.kind.payload)
