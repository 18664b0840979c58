"""The jobs, as Prefect flows."""

from prefect_collect.flows.collection import collect
from prefect_collect.flows.exports import export

__all__ = ["collect", "export"]
