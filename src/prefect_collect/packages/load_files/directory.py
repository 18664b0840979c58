"""Builds a load file package as a folder of files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from dataclasses import replace as changed
from itertools import chain
from typing import Final

from prefect_collect.codes import Failure
from prefect_collect.documents.files import DOCUMENT_FILES
from prefect_collect.job_folder.manifest_rules import Batches
from prefect_collect.packages.building.folder import build_folder
from prefect_collect.packages.building.folder_contents import FolderForm
from prefect_collect.packages.building.order import PackageInput, PackagePlace
from prefect_collect.packages.building.released import released_rows
from prefect_collect.packages.building.rows import Row, read_rows
from prefect_collect.packages.building.spec import Built
from prefect_collect.packages.building.tag_file import TagFile, temporary_folder
from prefect_collect.packages.load_files.headers import with_headers
from prefect_collect.packages.load_files.lists import DESCRIPTION, EXCEPTIONS, ITEMS, SEAL, LoadFileLists
from prefect_collect.packages.load_files.plan import Plan, plan_of, volume_name
from prefect_collect.packages.load_files.texts import find_texts
from prefect_collect.packages.load_files.values import states_created
from prefect_collect.threads.abandoned import current_fence
from prefect_collect.threads.stop import Stop

_VOLUME: Final = re.compile(r"VOL\d{3,4}/")
_FORM: Final = FolderForm(payload="", empty="", seal=SEAL, last=SEAL)


def build_loadfile_directory(given: PackageInput, place: PackagePlace, stop: Stop | None = None) -> Built:
    """Write the package of the good items as `build_folder` does; its seal is written last.

    Raises:
        PackageExists: The folder holds something that this job did not write.
        PackageError: The load file cannot be written as it was asked for.
        StoreError: A store failed.
        JobCanceled: `stop` was set to cancel; what was written has been removed again.
    """
    stop = Stop() if stop is None else stop
    spec = given.spec
    plan = plan_of(given.manifest, spec.load_file, spec.continued)
    texts = find_texts(given.manifest, plan.items, given.checked, given.staging, spec.job_id, stop, withheld=True)

    def remove(names: list[str]) -> None:
        with current_fence().passing():
            place.destination.remove([f"{place.key}/{name}" for name in names])

    has_created = states_created(given.manifest)
    contents = _Contents(given, with_headers(given, stop), has_created, plan, texts, remove)
    contents.require_writable()
    built = build_folder(contents, place, stop)
    return changed(built, warnings=tuple(contents.warnings))


@dataclass(frozen=True, slots=True)
class _Contents:
    """The contents of the package.

    `described` is the manifest with what the headers of messages say; `has_created` is whether it states times of
    creation; `remove` removes files that were written.
    """

    given: PackageInput
    described: Batches
    has_created: bool
    plan: Plan
    texts: bytearray
    remove: Callable[[list[str]], None]
    form: FolderForm = _FORM
    warnings: list[str] = field(default_factory=list)

    @contextmanager
    def lists(self) -> Iterator[LoadFileLists]:
        """Yield lists to fill, in a temporary folder."""
        with temporary_folder() as temporary:
            lists = LoadFileLists(temporary, self.given.spec, self.plan, has_created=self.has_created)
            with closing(lists):
                yield lists

    def require_writable(self) -> None:
        """Raise PackageError, before anything is written, if the load file would be refused."""
        if self.given.spec.load_file.encoding == "cp1252" and self.given.spec.load_file.unencodable == "refuse":
            with self.lists() as lists:
                lists.fill(self.described, self.given.not_delivered, self.given.checked, self.texts, {})
                lists.finish()

    def fill(
        self, lists: LoadFileLists, failed: Mapping[int, Failure], deliver: Callable[[list[Row]], None]
    ) -> tuple[list[TagFile], Mapping[int, Failure]]:
        """Deliver natives, then the texts of those that were written, and list them.

        The number of a text's row is beyond those of all items. If a text cannot be written, its item fails, and its
        native is removed again: a retry delivers both.
        """
        items = self.plan.items
        every = (
            [row for row in rows if self.given.checked.is_good(row.number)] for rows in read_rows(self.given.manifest)
        )
        again = released_rows(self.given.checked, self.given.manifest, lambda: {number % items for number in failed})
        for good in chain(every, again):
            numbers = [row.number for row in good]
            places = dict(zip(numbers, self.plan.places((row.number, row.path) for row in good), strict=True))
            deliver([row.placed(places[row.number].native) for row in good])
            deliver(
                [
                    row.placed(places[row.number].text, items + row.number)
                    for row in good
                    if self.texts[row.number] and row.number not in failed
                ]
            )
            lost = [row for row in good if items + row.number in failed]
            if lost:
                self.remove([places[row.number].native for row in lost])
        whole = {number % items: failure for number, failure in failed.items()}
        lists.fill(self.described, self.given.not_delivered, self.given.checked, self.texts, whole)
        files = lists.finish()
        self.warnings[:] = lists.warnings()
        return files, whole

    def names(self) -> Iterator[set[str]]:
        """Yield the names of all files that an attempt of this export may have written."""
        yield {DESCRIPTION, EXCEPTIONS, ITEMS, SEAL, *DOCUMENT_FILES}
        for volume in map(volume_name, range(len(self.plan.starts))):
            yield {f"{volume}/{name}" for name in (f"{volume}.dat", f"{volume}.csv", SEAL)}
        for rows in read_rows(self.given.manifest):
            places = self.plan.places((row.number, row.path) for row in rows)
            yield {path for place in places for path in (place.native, place.text)}

    def is_payload(self, name: str) -> bool:
        """Return whether a file is in a volume."""
        return _VOLUME.match(name) is not None
