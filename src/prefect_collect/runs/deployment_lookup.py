"""Which deployment runs a job, and whether a worker of it is there."""

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
    """The deployments of the jobs of that kind; the first is the one to choose: served, then ours, then by name."""
    only = FlowFilter(name=FlowFilterName(any_=[FLOW_OF_KIND[kind]]))
    found = client.read_deployments(flow_filter=only)
    return sorted(found, key=lambda one: (not is_served(one), one.name != DEPLOYMENT, one.name))


def is_served(deployment: DeploymentResponse) -> bool:
    """Whether a `serve` or a worker looks for the deployment's runs, as far as Prefect's server knows (a minute)."""
    return deployment.status is not None and deployment.status.value == "READY" and not deployment.paused


def deployment_of(client: SyncPrefectClient, run: FlowRun) -> DeploymentResponse | None:
    """The deployment that the run belongs to; None if it has none, or it is gone."""
    return None if run.deployment_id is None else _read(client, run.deployment_id)


def sibling(client: SyncPrefectClient, run: FlowRun, kind: JobKind) -> DeploymentResponse | None:
    """The deployment for a job that follows from `run`: of the same name as the run's own, else the one to choose."""
    found = deployments(client, kind)
    own = deployment_of(client, run)
    same = [one for one in found if own is not None and one.name == own.name]
    return next(iter([*same, *found]), None)


def _read(client: SyncPrefectClient, deployment_id: UUID) -> DeploymentResponse | None:
    try:
        return client.read_deployment(deployment_id)
    except ObjectNotFound:
        return None
