"""The jobs, as Prefect flows. Each is imported when it is first used: a program that only looks at jobs needs none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prefect_collect.names_later import names_later

if TYPE_CHECKING:
    from prefect_collect.flows.auto_exports import AutoExport
    from prefect_collect.flows.collection import collect
    from prefect_collect.flows.exports import export
    from prefect_collect.flows.recovery import recover

__all__ = ["AutoExport", "collect", "export", "recover"]

_HOMES: Final = {
    "AutoExport": "flows.auto_exports",
    "collect": "flows.collection",
    "export": "flows.exports",
    "recover": "flows.recovery",
}

__getattr__, __dir__ = names_later(__name__, _HOMES)
