"""The jobs, as Prefect flows. Each is imported when it is first used: who only looks at jobs needs none of them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from prefect_collect.flows.auto_exports import AutoExport
    from prefect_collect.flows.collection import collect
    from prefect_collect.flows.exports import export
    from prefect_collect.flows.recovery import recover

__all__ = ["AutoExport", "collect", "export", "recover"]

_HOMES: Final = {"AutoExport": "auto_exports", "collect": "collection", "export": "exports", "recover": "recovery"}


def __getattr__(name: str) -> Any:
    """Import and return the public name."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return value


def __dir__() -> list[str]:
    """Return the imported names, and the public names that are not imported yet."""
    return sorted({*globals(), *__all__})
