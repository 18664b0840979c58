"""The jobs, as Prefect flows."""

from prefect_collect.flows.auto_exports import AutoExport
from prefect_collect.flows.collection import collect
from prefect_collect.flows.exports import export
from prefect_collect.flows.recovery import recover

__all__ = ["AutoExport", "collect", "export", "recover"]
