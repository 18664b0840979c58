"""Builds a bag as one ZIP64 file, composed from ranges of the segments."""

from __future__ import annotations

from contextlib import closing

from prefect_collect.codes import Failure
from prefect_collect.packages.bags.listing import list_items
from prefect_collect.packages.bags.tag_files import TAG_MANIFEST, TagFiles
from prefect_collect.packages.building.order import PackageInput, PackagePlace
from prefect_collect.packages.building.placing import Going, place_file, step_by_step
from prefect_collect.packages.building.rows import read_rows
from prefect_collect.packages.building.spec import Built
from prefect_collect.packages.building.tag_file import TagFile, temporary_folder
from prefect_collect.packages.building.zip_layout import ZipLayout
from prefect_collect.threads.stop import Stop


def build_zip(
    given: PackageInput, place: PackagePlace, stop: Stop | None = None, *, first: int = 0, keeps_headers: bool = True
) -> Built:
    """Compose the package of the good items; the same input gives the same bytes.

    Where the place allows to replace, a package that its owner delivered there before is replaced, and one that is
    identical to the new one (left by an attempt that died before it could record it) is kept; anything else is never
    touched. `first` is the number of the first item, if the batches are a part of the manifest; with `keeps_headers`
    the base folder is the segments'.

    Raises:
        PackageExists: The name holds something that this job did not build.
        CorruptSegment: A segment changed after it was checked.
        StoreError: A store failed.
        JobCanceled: `stop` was set to cancel; then there is no new package.
    """
    stop = Stop() if stop is None else stop
    spec, checked = given.spec, given.checked
    with (
        temporary_folder() as folder,
        closing(TagFiles(folder, spec)) as tags,
        open(folder / "central", "w+b") as central,
    ):
        layout = ZipLayout(spec, checked, central, "data/", keeps_headers=keeps_headers)
        is_kept = checked.begun is not None and checked.names.all_kept
        for rows in (is_kept and checked.rows.batches) or read_rows(given.manifest, checked.names, first):
            stop.require_going()
            good = [row for row in rows if checked.is_good(row.number)] if checked.undelivered else rows
            layout.add(good)
            digests = [checked.sha512(row.number) for row in good] if spec.sha512 else []
            tags.deliver([r.path for r in good], [r.size for r in good], [r.sha256 for r in good], digests)

        def lists(going: Going) -> list[TagFile]:
            manifest, missing = step_by_step(given.manifest, going), step_by_step(given.not_delivered, going)
            list_items(tags, manifest, missing, checked, {}, first)
            return tags.finish()

        sealed = spec.base, TAG_MANIFEST
        blob, fingerprint = place_file(layout, lists, given.staging, place, sealed, stop, checked.begun)
    failed: dict[int, Failure] = {}
    return Built(place.key, blob, tags.items, tags.bytes, fingerprint, failed)
