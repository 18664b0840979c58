"""One array of the values of all rows of a table, which is read in batches."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt


class GrownArray:
    """Values that are added batch by batch: a list of arrays that are joined at the end would take memory twice."""

    def __init__(self, dtype: npt.DTypeLike) -> None:
        self._dtype: Final = np.dtype(dtype)
        self._held = bytearray()

    def add(self, values: npt.NDArray[Any]) -> None:
        """Add values; not after `array`."""
        self._held += values.astype(self._dtype, copy=False).tobytes()

    def array(self) -> npt.NDArray[Any]:
        """Return all values, without copying them: the array can be sorted in place."""
        return np.frombuffer(self._held, self._dtype)
