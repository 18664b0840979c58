"""The deployments that `prefect-collect serve` runs: one for each flow, under one name."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.responses import DeploymentResponse

from prefect_collect.flows.registry import flow_named
from prefect_collect.runs.deployment_lookup import deployments
from prefect_collect.runs.names import COLLECTION_FLOW, DEPLOYMENT, EXPORT_FLOW, RECOVERY_FLOW, TAG
from prefect_collect.statuses import JobKind

if TYPE_CHECKING:
    from prefect.deployments.runner import RunnerDeployment

RECOVER_EVERY: Final = timedelta(minutes=5)
"""How often the recovery flow runs; `serve` looks more often by itself."""


def served_deployments() -> list[RunnerDeployment]:
    """Return the deployments of `serve`; their flows are named by module, so that any process can run them."""
    return [_deployment(COLLECTION_FLOW), _deployment(EXPORT_FLOW), _deployment(RECOVERY_FLOW, RECOVER_EVERY)]


def ensure_deployments() -> list[UUID]:
    """Create or update the deployments in Prefect, and return their ids; their runs wait for a `serve`."""
    return [_id_of(deployment) for deployment in served_deployments()]


def ensure_deployment(client: SyncPrefectClient, kind: JobKind) -> DeploymentResponse:
    """Return the preferred deployment for jobs of that kind; create the deployments of `serve` if there is none."""
    found = deployments(client, kind)
    if not found:
        ensure_deployments()
        found = deployments(client, kind)
    return found[0]


def _id_of(deployment: RunnerDeployment) -> UUID:
    apply: Any = deployment.apply
    made: UUID = apply(_sync=True)
    return made


def _deployment(name: str, interval: timedelta | None = None) -> RunnerDeployment:
    # Imported late: it takes half a second, and a job that makes no deployment does not need it.
    from prefect.deployments.runner import RunnerDeployment
    from prefect.types.entrypoint import EntrypointType

    flow = flow_named(name)
    make: Any = RunnerDeployment.from_flow
    deployment: RunnerDeployment = make(
        flow,
        name=DEPLOYMENT,
        interval=interval,
        entrypoint_type=EntrypointType.MODULE_PATH,
        tags=[TAG],
    )
    return deployment
