"""The deployments: serve jobs on a machine, and create the ready automations."""

from prefect_collect.deployments._automations import create_automations
from prefect_collect.deployments.serving import prepare, serve
from prefect_collect.flows.deploying import ensure_deployments, served_deployments

__all__ = ["create_automations", "ensure_deployments", "prepare", "serve", "served_deployments"]
