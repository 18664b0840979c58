"""Builds a bag as a folder of files, one for each item."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Final

from prefect_collect.codes import Failure
from prefect_collect.packages.bags.listing import list_items
from prefect_collect.packages.bags.tag_files import TAG_MANIFEST, TagFiles, tag_names
from prefect_collect.packages.building.folder import build_folder
from prefect_collect.packages.building.folder_contents import FolderForm
from prefect_collect.packages.building.order import PackageInput, PackagePlace
from prefect_collect.packages.building.released import released_rows
from prefect_collect.packages.building.rows import Row, read_rows
from prefect_collect.packages.building.spec import Built
from prefect_collect.packages.building.tag_file import TagFile, temporary_folder
from prefect_collect.threads.stop import Stop

_FORM: Final = FolderForm(payload="data/", empty="data", seal=TAG_MANIFEST, last="bagit.txt")


def build_directory(given: PackageInput, place: PackagePlace, stop: Stop | None = None) -> Built:
    """Write the bag of the good items as `build_folder` does; ``bagit.txt`` is written last.

    Raises:
        PackageExists: The folder holds something that this job did not write.
        StoreError: A store failed.
        JobCanceled: `stop` was set to cancel; what was written has been removed again.
    """
    return build_folder(_Bag(given), place, stop)


@dataclass(frozen=True, slots=True)
class _Bag:
    """The contents of a bag."""

    given: PackageInput
    form: FolderForm = _FORM

    @contextmanager
    def lists(self) -> Iterator[TagFiles]:
        """Yield tag files to fill, in a temporary folder."""
        with temporary_folder() as temporary, closing(TagFiles(temporary, self.given.spec)) as tags:
            yield tags

    def fill(
        self, lists: TagFiles, failed: Mapping[int, Failure], deliver: Callable[[list[Row]], None]
    ) -> tuple[list[TagFile], Mapping[int, Failure]]:
        """Call `deliver` with the good items, batch by batch, and list those that are not in `failed`."""
        checked, manifest, spec = self.given.checked, self.given.manifest, self.given.spec
        good = ([row for row in rows if checked.is_good(row.number)] for rows in read_rows(manifest, checked.names))
        for rows in chain(good, released_rows(checked, manifest, lambda: failed, checked.names)):
            deliver(rows)
            written = [row for row in rows if row.number not in failed]
            digests = [checked.sha512(row.number) for row in written] if spec.sha512 else []
            lists.deliver([r.path for r in written], [r.size for r in written], [r.sha256 for r in written], digests)
        list_items(lists, manifest, self.given.not_delivered, checked, failed)
        return lists.finish(), failed

    def names(self) -> Iterator[set[str]]:
        """Yield the names of all files that an attempt of this export may have written."""
        yield tag_names(self.given.spec)
        for rows in read_rows(self.given.manifest, self.given.checked.names):
            yield {f"data/{row.path}" for row in rows}

    def is_payload(self, name: str) -> bool:
        """Return whether a file is in the folder ``data``."""
        return name.startswith("data/")
