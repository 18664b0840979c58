"""What a dataset keeps of each slice, of which a table may have a hundred thousand."""

from __future__ import annotations

import tracemalloc

import pyarrow as pa

from prefect_collect.packages.datasets.table_rows import KnownColumns, columns_of


def test_columns_are_kept_once() -> None:
    """Slices with the same columns share one list of them; other names, types or orders are other columns."""
    known, names = KnownColumns(), [f"column {number}" for number in range(50)]
    schemas = [pa.schema([(name, pa.int64()) for name in names]) for _ in range(500)]
    tracemalloc.start()
    kept = [known.of(schema) for schema in schemas]
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert all(one == columns_of(schemas[0]) for one in kept)
    assert taken < 500 * 200
    others = (
        pa.schema([(name, pa.int64()) for name in reversed(names)]),
        pa.schema([(name, pa.int32()) for name in names]),
    )
    for other in others:
        assert known.of(other) == columns_of(other) != kept[0]
