"""pandas is imported when a DataFrame is made, and pyarrow knows its columns then as it always does."""

from __future__ import annotations

import subprocess
import sys

import pytest

_ARRAYS = """
import sys, math
import prefect_collect.job_folder.parquet
import pyarrow as pa
table = pa.table({"a": [1.0, None], "b": ["x", None]})
assert "pandas" not in sys.modules, "an array imported pandas"
"""
_FRAME = """
frame = table.to_pandas()
assert (type(frame).__module__, frame.shape) == ("pandas", (2, 2)), type(frame)
"""
_COLUMN = """
import pandas
assert pa.array(pandas.Series([1.0, math.nan])).null_count == 1, "a column of pandas is not known as one"
"""


@pytest.mark.parametrize(
    "program",
    [
        _ARRAYS + _FRAME + _COLUMN,
        _ARRAYS + _COLUMN + _FRAME,
        "import pandas" + _ARRAYS.partition("assert")[0] + _COLUMN,
    ],
    ids=["a DataFrame first", "pandas first", "pandas before us"],
)
def test_pandas_is_imported_when_it_is_needed(program: str) -> None:
    """In a process of its own: arrays import no pandas; DataFrames and columns of pandas work in any order."""
    subprocess.run([sys.executable, "-c", program], check=True)
