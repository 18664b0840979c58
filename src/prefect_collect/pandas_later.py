"""Have pyarrow look for pandas when a DataFrame is made, and not before.

pyarrow imports pandas at the first array that is made from a list, to know its columns when it meets them (26.0:
`_PandasAPIShim._check_import`): half a second of each command, and of each job's process, which need none. Here it
finds none at first; when anything imports pandas later, pyarrow is notified, and then knows its columns as ever.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import pyarrow as pa


class _PandasLater(MetaPathFinder):
    """Finds no pandas while pyarrow looks for it, and tells pyarrow when another import has loaded it."""

    def __init__(self) -> None:
        self._looking: int | None = None

    def look_without_pandas(self) -> None:
        """Have pyarrow look for pandas, in this thread; others may import it meanwhile."""
        self._looking = threading.get_ident()
        try:
            pa.array([])
        finally:
            self._looking = None

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None, /
    ) -> ModuleSpec | None:
        if fullname != "pandas":
            return None
        if self._looking == threading.get_ident():
            raise ImportError("pandas is imported when a DataFrame is made.")
        sys.meta_path.remove(self)
        spec = find_spec(fullname)
        if spec is not None and spec.loader is not None:
            _tell_pyarrow(spec.loader)
        return spec


def _tell_pyarrow(loader: Any) -> None:
    load = loader.exec_module

    def loaded(module: ModuleType) -> None:
        load(module)
        getattr(pa.lib, "_pandas_api").loose_version  # noqa: B009, B018  # it looks again, as for a DataFrame

    loader.exec_module = loaded


def put_off() -> None:
    """Put off the import of pandas by pyarrow, if neither has happened yet, nor been put off."""
    if "pandas" not in sys.modules and not any(isinstance(finder, _PandasLater) for finder in sys.meta_path):
        finder = _PandasLater()
        sys.meta_path.insert(0, finder)
        finder.look_without_pandas()
