"""The jobs, as Prefect flows."""

from prefect_collect.flows.collection import collect
from prefect_collect.flows.export import export

__all__ = ["collect", "export"]
