"""Builds a load file package as one ZIP64 file, composed from ranges of the segments."""

from __future__ import annotations

from contextlib import closing

from prefect_collect.codes import Failure
from prefect_collect.packages.building.order import PackageInput, PackagePlace
from prefect_collect.packages.building.placing import Going, place_file, step_by_step
from prefect_collect.packages.building.rows import Row, read_rows
from prefect_collect.packages.building.spec import Built
from prefect_collect.packages.building.tag_file import TagFile, temporary_folder
from prefect_collect.packages.building.zip_layout import ZipLayout
from prefect_collect.packages.load_files.headers import with_headers
from prefect_collect.packages.load_files.lists import SEAL, LoadFileLists
from prefect_collect.packages.load_files.plan import Plan, plan_of
from prefect_collect.packages.load_files.texts import find_texts
from prefect_collect.packages.load_files.values import states_created
from prefect_collect.threads.stop import Stop


def build_loadfile(given: PackageInput, place: PackagePlace, stop: Stop | None = None) -> Built:
    """Compose the package of the good items, as `build_zip` does for a bag.

    Raises:
        PackageExists: The name holds something that this job did not build.
        PackageError: The load file cannot be written as it was asked for.
        CorruptSegment: A segment changed after it was checked.
        StoreError: A store failed.
        JobCanceled: `stop` was set to cancel; then there is no new package.
    """
    stop = Stop() if stop is None else stop
    manifest, spec, checked = given.manifest, given.spec, given.checked
    plan = plan_of(manifest, spec.load_file, spec.continued)
    texts = find_texts(manifest, plan.items, checked, given.staging, spec.job_id, stop)
    with (
        temporary_folder() as folder,
        closing(LoadFileLists(folder, spec, plan, has_created=states_created(manifest))) as lists,
        open(folder / "central", "w+b") as central,
    ):
        layout = ZipLayout(spec, checked, central)
        for rows in read_rows(manifest):
            stop.require_going()
            layout.add(placed_rows([row for row in rows if checked.is_good(row.number)], plan, texts))

        def files(going: Going) -> list[TagFile]:
            described = step_by_step(with_headers(given, stop), going)
            lists.fill(described, step_by_step(given.not_delivered, going), checked, texts, {})
            return lists.finish()

        blob, fingerprint = place_file(layout, files, given.staging, place, (spec.base, SEAL), stop)
    failed: dict[int, Failure] = {}
    return Built(place.key, blob, lists.items, lists.bytes, fingerprint, failed, lists.warnings())


def placed_rows(rows: list[Row], plan: Plan, texts: bytearray) -> list[Row]:
    """Give the rows their paths in the package, and return them, and after them those of the texts."""
    also: list[Row] = []
    places = plan.places([(row.number, row.path) for row in rows])
    for row, place in zip(rows, places, strict=True):
        if texts[row.number]:
            also.append(row.placed(place.text))
        row.path = place.native
    return rows + also
