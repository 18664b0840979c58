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
from prefect_collect.packages.building.metadata_lines import METADATA
from prefect_collect.packages.building.order import PackageInput, PackagePlace
from prefect_collect.packages.building.placing import Going, place_file, step_by_step
from prefect_collect.packages.building.rows import Row, read_rows
from prefect_collect.packages.building.spec import Built
from prefect_collect.packages.building.tag_file import PackageFile, temporary_folder
from prefect_collect.packages.building.zip_layout import ZipLayout
from prefect_collect.packages.file_sets.lists import EXCEPTIONS, ITEMS, SEAL, SetLists
from prefect_collect.packages.file_sets.plan import SetPlan
from prefect_collect.threads.stop import Stop

_FORM: Final = FolderForm(payload="", empty="", seal=SEAL, last=SEAL)

WITH_ORIGINAL: Final = Failure(
    "store_unavailable",
    "The item that has the same bytes could not be written, so neither is delivered; retry the export. [duplicate]",
)

Planner = Callable[[PackageInput, Path, Stop], SetPlan]
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

    def build_zip(self, given: PackageInput, place: PackagePlace, stop: Stop | None = None) -> Built:
        """Compose the package of the good items, as `build_zip` does for a bag.

        Raises:
            PackageExists: The name holds something that this job did not build.
            PackageError: The package cannot be made of these items.
            CorruptSegment: A segment changed after it was checked.
            StoreError: A store failed.
            JobCanceled: `stop` was set to cancel; then there is no new package.
        """
        stop = Stop() if stop is None else stop
        with temporary_folder() as folder:
            plan = self.plan(given, folder, stop)
            with (
                closing(SetLists(folder, given.spec, plan, self.description)) as lists,
                open(folder / "central", "w+b") as central,
            ):
                layout = ZipLayout(given.spec, given.checked, central)
                for rows in own_rows(given.manifest, given.checked, plan):
                    stop.require_going()
                    layout.add(rows)

                def files(going: Going) -> list[PackageFile]:
                    manifest, missing = step_by_step(given.manifest, going), step_by_step(given.not_delivered, going)
                    lists.fill(manifest, missing, given.checked, {})
                    return lists.finish()

                blob, fingerprint = place_file(layout, files, given.staging, place, (given.spec.base, SEAL), stop)
        return Built(place.key, blob, lists.items, lists.bytes, fingerprint, plan.refused)

    def build_folder(self, given: PackageInput, place: PackagePlace, stop: Stop | None = None) -> Built:
        """Write the package of the good items as `build_folder` does; its seal is written last.

        Raises:
            PackageExists: The folder holds something that this job did not write.
            PackageError: The package cannot be made of these items.
            StoreError: A store failed.
            JobCanceled: `stop` was set to cancel; what was written has been removed again.
        """
        stop = Stop() if stop is None else stop
        with temporary_folder() as folder:
            plan = self.plan(given, folder, stop)
            built = build_folder(_Contents(given, plan, self), place, stop)
        return changed(built, failed={**plan.refused, **built.failed})


def own_rows(manifest: Batches, checked: Checked, plan: SetPlan) -> Iterator[list[Row]]:
    """Yield the items that are files of their own, with their paths in the package."""
    start = 0
    for rows, places in zip(read_rows(manifest), plan.places(), strict=True):
        paths = _own_paths(places)
        yield [
            row.placed(path)
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

    given: PackageInput
    plan: SetPlan
    kind: FileSet
    form: FolderForm = _FORM

    @contextmanager
    def lists(self) -> Iterator[SetLists]:
        """Yield lists to fill, in a temporary folder."""
        with (
            temporary_folder() as temporary,
            closing(SetLists(temporary, self.given.spec, self.plan, self.kind.description)) as lists,
        ):
            yield lists

    def fill(
        self, lists: SetLists, failed: Mapping[int, Failure], deliver: Callable[[list[Row]], None]
    ) -> tuple[Sequence[PackageFile], Mapping[int, Failure]]:
        """Deliver the items that are files of their own, and list all."""
        for rows in own_rows(self.given.manifest, self.given.checked, self.plan):
            deliver(rows)
        # What is left out because another item has its bytes fails with that one: a retry delivers either.
        whole = {**failed, **dict.fromkeys(self.given.checked.release([*failed], every=True), WITH_ORIGINAL)}
        lists.fill(self.given.manifest, self.given.not_delivered, self.given.checked, whole)
        return lists.finish(), whole

    def names(self) -> Iterator[set[str]]:
        """Yield the names of all files that an attempt of this export may have written."""
        yield {self.kind.description, EXCEPTIONS, ITEMS, METADATA, SEAL, *DOCUMENT_FILES, *self.kind.own}
        yield {file.name for file in self.plan.files}
        for name in self.plan.more_names():
            yield {name}
        for places in self.plan.places():
            yield {path for path in places["path"].to_pylist() if path is not None}

    def is_payload(self, name: str) -> bool:
        """Return whether a file is removed before a package is written over an earlier one."""
        return name.startswith(self.kind.payload)
