"""What a user configures in Prefect: data sources, the staging store, destinations."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prefect_collect.blocks.data_source import DataSource
    from prefect_collect.blocks.file_source import FileSource

__all__ = ["DataSource", "FileSource"]

_HOMES = {
    "DataSource": "data_source",
    "FileSource": "file_source",
}


def __getattr__(name: str) -> Any:
    """Import a block when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
