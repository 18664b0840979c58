"""The deployments that `prefect-collect serve` runs: one for each flow, under one name."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from prefect.deployments.runner import RunnerDeployment
from prefect.types.entrypoint import EntrypointType

from prefect_collect.flows.collection import collect
from prefect_collect.flows.exports import export
from prefect_collect.flows.names import DEPLOYMENT
from prefect_collect.flows.recovery import recover
from prefect_collect.runs._names import TAG

RECOVER_EVERY: Final = timedelta(minutes=5)
"""How often the recovery flow runs; `serve` looks more often by itself."""


def served_deployments() -> list[RunnerDeployment]:
    """The deployments, as `serve` registers them; their flows are named by module, so that any process can run them."""
    return [_deployment(collect), _deployment(export), _deployment(recover, interval=RECOVER_EVERY)]


def ensure_deployments() -> list[UUID]:
    """Register the deployments with Prefect, as they are; their runs wait until a `serve` looks after them."""
    return [_id_of(deployment) for deployment in served_deployments()]


def _id_of(deployment: RunnerDeployment) -> UUID:
    apply: Any = deployment.apply
    made: UUID = apply(_sync=True)
    return made


def _deployment(flow: Any, interval: timedelta | None = None) -> RunnerDeployment:
    make: Any = RunnerDeployment.from_flow
    deployment: RunnerDeployment = make(
        flow,
        name=DEPLOYMENT,
        interval=interval,
        entrypoint_type=EntrypointType.MODULE_PATH,
        tags=[TAG],
    )
    return deployment
