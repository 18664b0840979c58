"""The rules for rows of a manifest give the same verdict for whole columns as for each row."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import example, given, settings
from hypothesis import strategies as st

from prefect_collect.archive.item_paths import is_path_of, safe_path
from prefect_collect.job_folder.manifest_rules import bad_paths
from tests.examples import examples

PIECES = st.sampled_from(
    ["a", "B:", "C:", ".", "..", "/", "//", "~", "\\", "\0", "\n", "é", "x" * 254, "~0123456789abcdef", ".eml", "\x7f"]
)
PATHS = st.lists(PIECES, max_size=6).map("".join)


@settings(max_examples=examples(300), deadline=None)
@example(rows=[("", "", "1")])
@example(rows=[("a/", "a/", "1"), ("a", "a", "2")])
@example(rows=[("x" * 256, "x" * 256, "1")])
@given(rows=st.lists(st.tuples(PATHS, PATHS, st.text("ab", max_size=2)), max_size=5))
def test_bad_paths_are_those_that_each_row_would_have(rows: list[tuple[str, str, str]]) -> None:
    """A column of rows and single rows are judged alike, also rows as they were collected."""
    rows = [*rows, *((path, path, item_id) for path, _, item_id in rows)]
    rows += [(safe_path(original, item_id), original, item_id) for _, original, item_id in rows]
    path, original, item_id = ([row[at] for row in rows] for at in range(3))
    table = pa.table(
        {"path": path, "original_path": original, "item_id": item_id},
        pa.schema([(name, pa.string()) for name in ("path", "original_path", "item_id")]),
    )
    assert list(bad_paths(table)) == [number for number, row in enumerate(rows) if not is_path_of(*row)]
