"""Plans a dataset: where each table's schema and slices go, and how many rows each slice has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from prefect_collect.codes import Failure
from prefect_collect.connectors.sql.tables import named
from prefect_collect.errors import PackageError, SourceError
from prefect_collect.formats import FORMATS
from prefect_collect.job_folder.store_keys import segment_key
from prefect_collect.packages.building.check import Checked
from prefect_collect.packages.building.item_file import item_file
from prefect_collect.packages.building.order import PackageInput
from prefect_collect.packages.building.rows import Row, read_rows
from prefect_collect.packages.building.spec import PackageSpec
from prefect_collect.packages.building.tag_file import PackageFile, TagFile
from prefect_collect.packages.datasets.places import TablePlaces
from prefect_collect.packages.datasets.table_rows import CsvFile, KnownColumns
from prefect_collect.packages.file_sets.plan import PlaceWriter, SetPlan
from prefect_collect.stores import Store
from prefect_collect.threads.stop import Stop
from prefect_collect.untrusted.bounded_parquet import BadParquet, BoundedParquet

DESCRIPTION: Final = FORMATS["dataset"].description


@dataclass(slots=True)
class _Slice:
    """A slice that is delivered if its row is."""

    path: str
    rows: int
    columns: list[dict[str, str]]
    sha256: bytes
    size: int


@dataclass(slots=True)
class _Table:
    name: tuple[str, ...]
    schema: str = ""
    slices: list[_Slice] = field(default_factory=list)


def plan_dataset(given: PackageInput, folder: Path, stop: Stop) -> SetPlan:
    """Return the places of all schemas and slices.

    A slice that is no readable Parquet file is refused. Raise PackageError if an item is neither schema nor slice,
    StoreError, JobCanceled.
    """
    manifest, checked = given.manifest, given.checked
    planner = _Planner(checked, given.staging, given.spec, stop)
    writer = PlaceWriter(folder / "places")
    rows = read_rows(manifest, checked.names)
    for batch, group in zip(manifest(["item_id"]), rows, strict=True):
        stop.require_going()
        by_number = {row.number: row for row in group}
        start = min(by_number, default=0)
        ids = batch["item_id"].to_pylist()
        writer.add([planner.place(item_id, by_number[number]) for number, item_id in enumerate(ids, start)])
    return SetPlan(writer.finish(), planner.lists, planner.files, planner.refused)


class _Planner:
    def __init__(self, checked: Checked, staging: Store, spec: PackageSpec, stop: Stop) -> None:
        self._checked, self._staging, self._spec, self._stop = checked, staging, spec, stop
        self._places, self._columns = TablePlaces(spec.dataset), KnownColumns()
        self._slices: dict[int, _Slice] = {}
        self._tables: dict[tuple[str, ...], _Table] = {}
        self._of: dict[int, tuple[str, ...]] = {}
        self.files: list[PackageFile] = []
        self.refused: dict[int, Failure] = {}

    def place(self, item_id: str, row: Row) -> dict[str, Any]:
        """Return the place of an item, and keep what is said of it."""
        try:
            what = named(item_id)
        except SourceError as error:
            raise PackageError(
                f"A dataset has the tables of a database, and an item is not a table; export the collection in another "
                f"format. [item={row.path}]"
            ) from error
        is_csv = self._spec.dataset.rows == "csv" and not what.is_schema
        path = self._places.schema(what.table) if what.is_schema else self._places.slice(what.table, row.path)
        self._tables.setdefault(what.table, _Table(what.table))
        self._of[row.number] = what.table
        if not what.is_schema and self._checked.is_good(row.number):
            self._count(row, path, is_csv=is_csv)
        return {"path": path, "own": not is_csv}

    def _count(self, row: Row, path: str, *, is_csv: bool) -> None:
        opener = partial(item_file, self._staging, segment_key(self._spec.job_id, row.segment), row, self._stop)
        try:
            with opener() as raw:
                file = BoundedParquet(raw)
                found = _Slice(path, file.num_rows, self._columns.of(file.schema), row.sha256, row.size)
            if is_csv:
                made = CsvFile.of(path, opener)
                self.files.append(made)
                found.sha256, found.size = bytes.fromhex(made.hashes["sha256"]), made.size
        except BadParquet as error:
            self.refused[row.number] = Failure(
                "not_a_table",
                f"The slice cannot be counted or written as a table: {error}. Export the collection as a bag to "
                f"deliver it as it is. [item={row.path}]",
            )
            return
        self._slices[row.number] = found

    def lists(self, folder: Path) -> _Described:
        """Return what describes the tables."""
        return _Described(self)

    def table(self, number: int) -> _Table:
        """Return the table of a row."""
        return self._tables[self._of[number]]

    def slice(self, number: int) -> _Slice | None:
        """Return the slice of a row; None for a schema."""
        return self._slices.get(number)

    @property
    def spec(self) -> PackageSpec:
        """The package."""
        return self._spec


class _Described:
    """Collects what dataset.json says of the tables that are delivered."""

    def __init__(self, planner: _Planner) -> None:
        self._planner = planner
        self._tables: dict[tuple[str, ...], _Table] = {}
        self._start = 0

    def add(self, batch: pa.RecordBatch, places: pa.RecordBatch, given: Sequence[bool]) -> None:
        """Add rows of the manifest."""
        for number, (path, one) in enumerate(zip(places["path"].to_pylist(), given, strict=True), self._start):
            name = self._planner.table(number).name
            table = self._tables.setdefault(name, _Table(name))
            found = self._planner.slice(number)
            if one and found is None:
                table.schema = path
            elif one and found is not None:
                table.slices.append(found)
        self._start += batch.num_rows

    def finish(self) -> tuple[list[TagFile], dict[str, Any]]:
        """Return what dataset.json says more."""
        options = self._planner.spec.dataset
        tables = [_json(self._tables[name]) for name in sorted(self._tables)]
        return [], {**options.to_json(), "row_count": sum(table["row_count"] for table in tables), "tables": tables}

    def close(self) -> None:
        """Do nothing."""


def _json(table: _Table) -> dict[str, Any]:
    slices = sorted(table.slices, key=lambda one: one.path)
    columns = slices[0].columns if slices else []
    return {
        "name": list(table.name),
        "schema": table.schema,
        "columns": columns,
        "row_count": sum(one.rows for one in slices),
        "slices": [
            {"path": one.path, "row_count": one.rows, "bytes": one.size, "sha256": one.sha256.hex()}
            # The columns of a table may change between attempts of its collection.
            | ({} if one.columns == columns else {"columns": one.columns})
            for one in slices
        ],
    }
