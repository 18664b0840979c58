"""Builds a bag as a folder of files, one for each item."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Final

from prefect_collect.codes import Failure
from prefect_collect.job_folder.manifest_rules import Batches
from prefect_collect.packages.bags.listing import list_items
from prefect_collect.packages.bags.tag_files import TAG_MANIFEST, TagFiles, tag_names
from prefect_collect.packages.building.check import Checked
from prefect_collect.packages.building.folder import build_folder
from prefect_collect.packages.building.folder_contents import FolderForm
from prefect_collect.packages.building.released import released_rows
from prefect_collect.packages.building.replacing import Owner
from prefect_collect.packages.building.rows import Row, read_rows
from prefect_collect.packages.building.spec import Built, PackageSpec
from prefect_collect.packages.building.tag_file import TagFile, temporary_folder
from prefect_collect.stores import Blob, Store
from prefect_collect.threads.stop import Stop

_FORM: Final = FolderForm(payload="data/", empty="data", seal=TAG_MANIFEST, last="bagit.txt")


def build_directory(
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
    """Write the bag of the good items into the folder `key`, as `build_folder` does; ``bagit.txt`` is written last.

    Raises:
        PackageExists: The folder holds something that this job did not write.
        StoreError: A store failed.
        JobCanceled: `stop` was set to cancel; what was written has been removed again.
    """
    return build_folder(
        _Bag(manifest, not_delivered, checked, spec), staging, destination, key, owner=owner, replace=replace,
        threads=threads, progress=progress, stop=stop,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Bag:
    """The contents of a bag."""

    manifest: Batches
    not_delivered: Batches
    checked: Checked
    spec: PackageSpec
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
    def lists(self) -> Iterator[TagFiles]:
        """Yield tag files to fill, in a temporary folder."""
        with temporary_folder() as temporary, closing(TagFiles(temporary, self.spec)) as tags:
            yield tags

    def fill(
        self, lists: TagFiles, failed: Mapping[int, Failure], deliver: Callable[[list[Row]], None]
    ) -> tuple[list[TagFile], Mapping[int, Failure]]:
        """Call `deliver` with the good items, batch by batch, and list those that are not in `failed`."""
        checked = self.checked
        good = (
            [row for row in rows if checked.is_good(row.number)] for rows in read_rows(self.manifest, checked.names)
        )
        for rows in chain(good, released_rows(checked, self.manifest, lambda: failed, checked.names)):
            deliver(rows)
            written = [row for row in rows if row.number not in failed]
            digests = [checked.sha512(row.number) for row in written] if self.spec.sha512 else []
            lists.deliver([r.path for r in written], [r.size for r in written], [r.sha256 for r in written], digests)
        list_items(lists, self.manifest, self.not_delivered, checked, failed)
        return lists.finish(), failed

    def names(self) -> Iterator[set[str]]:
        """Yield the names of all files that an attempt of this export may have written."""
        yield tag_names(self.spec)
        for rows in read_rows(self.manifest, self.checked.names):
            yield {f"data/{row.path}" for row in rows}

    def is_payload(self, name: str) -> bool:
        """Return whether a file is in the folder ``data``."""
        return name.startswith("data/")
