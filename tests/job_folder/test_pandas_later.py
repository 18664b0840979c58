"""pandas is imported when a DataFrame is made, and pyarrow knows its columns then as it always does."""

from __future__ import annotations

import subprocess
import sys
from typing import Final

_PROGRAM: Final = """
import math, os, sys

def column():
    import pandas
    assert pa.array(pandas.Series([1.0, math.nan])).null_count == 1, "a column of pandas is not known as one"

def frame():
    frame = table.to_pandas()
    assert (type(frame).__module__, frame.shape) == ("pandas", (2, 2)), type(frame)

def in_fork(*steps):
    if pid := os.fork():
        assert os.waitpid(pid, 0)[1] == 0
        return
    try:
        for step in steps:
            step()
    except BaseException:
        sys.excepthook(*sys.exc_info())
        os._exit(1)
    os._exit(0)

def before_us():
    import pandas
    ours()
    column()

def ours():
    global pa, table
    import prefect_collect.job_folder.parquet
    import pyarrow as pa
    table = pa.table({"a": [1.0, None], "b": ["x", None]})

in_fork(before_us)
ours()
assert "pandas" not in sys.modules, "an array imported pandas"
in_fork(frame, column)
column()
frame()
"""


def test_pandas_is_imported_when_it_is_needed() -> None:
    """Arrays import no pandas; DataFrames and columns of pandas work in any order, also if pandas is imported first.

    Each order has a process of its own: a new one, and forks of it.
    """
    subprocess.run([sys.executable, "-c", _PROGRAM], check=True)
