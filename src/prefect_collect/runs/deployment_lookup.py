"""Find the deployment that runs a job, and whether it has a worker."""

from __future__ import annotations

from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowFilter, FlowFilterName
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import ObjectNotFound

from prefect_collect.runs.names import DEPLOYMENT, FLOW_OF_KIND
from prefect_collect.statuses import JobKind


def deployments(client: SyncPrefectClient, kind: JobKind) -> list[DeploymentResponse]:
    """Return the deployments for jobs of that kind, the preferred one first.

    Deployments with a worker come first, then the one that `prefect-collect serve` makes, then the rest by name.
    """
    only = FlowFilter(name=FlowFilterName(any_=[FLOW_OF_KIND[kind]]))
    found = client.read_deployments(flow_filter=only)
    return sorted(found, key=lambda one: (not is_served(one), one.name != DEPLOYMENT, one.name))


def is_polled(deployment: DeploymentResponse) -> bool:
    """Return whether `serve` or a worker polls for the deployment's runs; Prefect notices a change within 60 s."""
    return deployment.status is not None and deployment.status.value == "READY"


def is_served(deployment: DeploymentResponse) -> bool:
    """Return whether the deployment's runs are started by `serve` or a worker: it is polled, and not paused."""
    return is_polled(deployment) and not deployment.paused


def deployment_of(client: SyncPrefectClient, run: FlowRun) -> DeploymentResponse | None:
    """Return the run's deployment; None if it has none, or if the deployment was deleted."""
    return None if run.deployment_id is None else _read(client, run.deployment_id)


def sibling(client: SyncPrefectClient, run: FlowRun, kind: JobKind) -> DeploymentResponse | None:
    """Return the deployment for a job of that kind that follows from `run`.

    It is the one with the same name as the run's own deployment, else the preferred one; None if there is none.
    """
    found = deployments(client, kind)
    own = deployment_of(client, run)
    same = [one for one in found if own is not None and one.name == own.name]
    return next(iter([*same, *found]), None)


def _read(client: SyncPrefectClient, deployment_id: UUID) -> DeploymentResponse | None:
    try:
        return client.read_deployment(deployment_id)
    except ObjectNotFound:
        return None
