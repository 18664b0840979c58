"""Spare a command what Prefect's modules import but a command does not use: a tenth of its start.

Prefect imports `coolname` (for names of runs that have none), `jsonschema` (for parameters of deployments) and
`pathspec` (for files that it uploads), and uses them in functions alone; `httpx` imports its own command line and, if
it is there, another event loop (`trio`), and does without either.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any, Final

LATER: Final = ("coolname", "jsonschema", "pathspec")
"""Modules that are imported when they are first used."""

WITHOUT: Final = ("httpx._main", "trio")
"""Modules that are not found."""

_lock = threading.Lock()


class _Later(ModuleType):
    """Stands for a module that is imported at its first use."""

    def __getattr__(self, name: str) -> Any:
        with _lock:
            if sys.modules.get(self.__name__) is self:
                del sys.modules[self.__name__]
        return getattr(import_module(self.__name__), name)


class _Without(MetaPathFinder):
    """Finds none of `names`."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None, /
    ) -> ModuleSpec | None:
        if fullname in self._names:
            raise ModuleNotFoundError(f"{fullname} is not imported for a command.", name=fullname)
        return None


@contextmanager
def without_unused(later: Sequence[str] = LATER, without: Sequence[str] = WITHOUT) -> Iterator[None]:
    """Import in this context without these modules. Only a program whose modules are all known may do that."""
    for name in later:
        if name not in sys.modules and find_spec(name) is not None:
            sys.modules[name] = _Later(name)
    finder = _Without(without)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
