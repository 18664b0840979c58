"""What the exact list implies for columns of load files: custodian, paths, duplicates, creation and family."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final

import pyarrow as pa

from prefect_collect.formats.facts import FAMILY_RANGE
from prefect_collect.packages.building.duplicate_columns import COPIES, DUPLICATE_OF, joined
from prefect_collect.packages.building.duplicate_texts import rows_among, temporary_database
from prefect_collect.packages.building.listed_copies import COPY_COLUMNS, ListedCopies
from prefect_collect.packages.load_files.item_columns import ITEMS_OPTIONAL, ITEMS_SCHEMA
from prefect_collect.packages.load_files.values import CREATED_FACTS, created_facts
from prefect_collect.sources.metadata import CREATED
from prefect_collect.untrusted.bounded_parquet import BoundedParquet

STATED: Final = (
    "item_id", "original_path", "custodian", DUPLICATE_OF, *COPIES, *CREATED_FACTS, "family", *FAMILY_RANGE,
)  # fmt: skip
"""The facts that are known."""

_ROWS: Final = 4096

Listed = tuple[str, str | None, str | None, str | None, str | None, str | None, str | None, str | None]
"""What the list says of a delivered item.

Its id, original path, custodian, ``duplicate_of``, time of creation, family, and first and last number of the family.
"""


class ListedFacts:
    """The facts of delivered items, with those of other items that they name or stand for; memory does not grow.

    Of these, the numbers of items that others repeat, and the custodians and paths of items that are not delivered
    because another is, are kept in a temporary database, if a load file has columns (`facts`) for them.
    """

    def __init__(self, file: Any, facts: Collection[str]) -> None:
        self._list = BoundedParquet(file, ITEMS_SCHEMA, ITEMS_OPTIONAL)
        # Where no item states a family, load files have no range. Lists of earlier versions have no families at all.
        lacking = ITEMS_OPTIONAL - {*self._list.schema.names, *FAMILY_RANGE}
        unknown = {*lacking, *(["all_custodians"] if "custodian" in lacking else [])}
        unknown |= {*CREATED_FACTS} if CREATED in lacking else set()
        self._known = [fact for fact in STATED if fact in facts and fact not in unknown]
        self._database = temporary_database()
        self._database.execute("CREATE TABLE named(item_id TEXT PRIMARY KEY, control TEXT)")
        self._copies = ListedCopies()
        self._has_marks = not {DUPLICATE_OF, *COPIES}.isdisjoint(self._known) and self._read_marks()

    def close(self) -> None:
        """Remove the databases."""
        self._database.close()
        self._copies.close()

    def of(self, items: Sequence[Listed]) -> Iterator[dict[str, str]]:
        """Yield the known facts of these items."""
        numbers: dict[str, str | None] = {}
        copies: dict[str, list[tuple[str | None, str | None]]] = {}
        if self._has_marks:
            marks = [mark for _, _, _, mark, *_ in items if mark is not None]
            numbers = dict(rows_among(self._database, "SELECT item_id, control FROM named WHERE item_id IN", marks))
            copies = self._copies.of([item_id for item_id, *_ in items])
        has_created = not {*CREATED_FACTS}.isdisjoint(self._known)
        for item_id, path, custodian, mark, created, *family in items:
            every = [(custodian, path), *copies.get(item_id, [])]
            values = {
                "item_id": item_id,
                "original_path": path,
                "custodian": custodian,
                DUPLICATE_OF: None if mark is None else numbers.get(mark) or mark,
                "all_custodians": joined(one for one, _ in every),
                "all_paths": joined(one for _, one in every),
                **(created_facts(created or "") if has_created else {}),
                **dict(zip(("family", *FAMILY_RANGE), family, strict=True)),
            }
            yield {fact: values[fact] or "" for fact in self._known}

    def _read_marks(self) -> bool:
        """Read what rows that repeat others say, and the numbers of these. Return whether there are any."""
        found, run = False, self._database.executemany
        for batch in self._batches([*COPY_COLUMNS]):
            marks = batch[DUPLICATE_OF].drop_null().to_pylist()
            run("INSERT OR IGNORE INTO named VALUES (?, NULL)", [(mark,) for mark in marks])
            self._copies.add(batch)
            found = found or bool(marks)
        if found:
            for batch in self._batches(["control_number", "item_id"]):
                values = zip(*(column.to_pylist() for column in batch.columns), strict=True)
                run("UPDATE named SET control = ? WHERE item_id = ?", values)
        return found

    def _batches(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        return self._list.batches(columns, _ROWS)
