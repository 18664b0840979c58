"""Builds a bag as one TAR file, composed from ranges of the segments, or compressed with Zstandard."""

from __future__ import annotations

from contextlib import closing
from functools import partial
from typing import Final

from prefect_collect.codes import Failure
from prefect_collect.packages.bags.listing import list_items
from prefect_collect.packages.bags.tag_files import TAG_MANIFEST, TagFiles
from prefect_collect.packages.building.order import PackageInput, PackagePlace
from prefect_collect.packages.building.placing import place_file
from prefect_collect.packages.building.rows import read_rows
from prefect_collect.packages.building.spec import Built
from prefect_collect.packages.building.tag_file import temporary_folder
from prefect_collect.packages.building.tar_layout import TarLayout
from prefect_collect.threads.stop import Stop


def build_tar(
    given: PackageInput, place: PackagePlace, stop: Stop | None = None, *, compressed: bool = False, first: int = 0
) -> Built:
    """Write the package of the good items, as `build_zip` does; with `compressed` through Zstandard.

    Items that are deflated in their segments are inflated on the way.

    Raises:
        PackageExists: The name holds something that this job did not build.
        CorruptSegment: A segment changed after it was checked.
        StoreError: A store failed.
        JobCanceled: `stop` was set to cancel; then there is no new package.
    """
    stop = Stop() if stop is None else stop
    spec, checked = given.spec, given.checked
    with temporary_folder() as folder, closing(TagFiles(folder, spec)) as tags:
        layout = TarLayout(spec, checked, "data/", TAG_MANIFEST, compressed=compressed)
        for rows in read_rows(given.manifest, checked.names, first):
            stop.require_going()
            good = [row for row in rows if checked.is_good(row.number)]
            layout.add(good)
            digests = [checked.sha512(row.number) for row in good] if spec.sha512 else []
            tags.deliver([r.path for r in good], [r.size for r in good], [r.sha256 for r in good], digests)
        list_items(tags, given.manifest, given.not_delivered, checked, {}, first)
        blob, fingerprint = place_file(
            layout, lambda going: tags.finish(), given.staging, place, (spec.base, TAG_MANIFEST), stop
        )
    failed: dict[int, Failure] = {}
    return Built(place.key, blob, tags.items, tags.bytes, fingerprint, failed)


build_tar_zst: Final = partial(build_tar, compressed=True)
"""Does as `build_tar`, with Zstandard."""
