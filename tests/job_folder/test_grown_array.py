"""Arrays of the values of all rows of a table."""

from __future__ import annotations

import numpy as np

from prefect_collect.job_folder.grown_array import GrownArray


def test_values_of_batches() -> None:
    """The array has the values in their order, also of strided columns and of other types, and can be sorted."""
    grown = GrownArray(np.int64)
    assert len(grown.array()) == 0
    grown = GrownArray(np.int64)
    grown.add(np.array([[5, 0], [1, 0]])[:, 0])
    grown.add(np.empty(0, np.int64))
    grown.add(np.array([3], np.int8))
    found = grown.array()
    assert found.tolist() == [5, 1, 3]
    found.sort()
    assert grown.array().tolist() == [1, 3, 5]
