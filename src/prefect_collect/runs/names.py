"""The names of the flows, of their deployments and more, in Prefect; jobs are found by these names."""

from __future__ import annotations

from typing import Final

from prefect_collect.statuses import JobKind

COLLECTION_FLOW: Final = "collection job"
EXPORT_FLOW: Final = "export job"
RECOVERY_FLOW: Final = "recovery"

KIND_OF_FLOW: Final = {COLLECTION_FLOW: JobKind.COLLECTION, EXPORT_FLOW: JobKind.EXPORT}
FLOW_OF_KIND: Final = {kind: name for name, kind in KIND_OF_FLOW.items()}


def flow_names(kind: JobKind | None = None) -> list[str]:
    """Return the names of the flows whose runs are jobs, or jobs of that kind."""
    return [FLOW_OF_KIND[one] for one in JobKind if kind in (None, one)]


TAG: Final = "prefect-collect"
"""The tag of every job's run."""

DEPLOYMENT: Final = "prefect-collect"
"""The name of the deployments that `prefect-collect serve` runs, one for each flow."""

PLANNED: Final = "Scheduled"
"""Prefect's name for the state of a run that is planned for later; a job in a queue has the state Queued."""

DELETED_JOBS: Final = "deleted-in-prefect"
"""The key of the artifact that records the jobs which were deleted in Prefect, but not their evidence."""

__all__ = ["COLLECTION_FLOW", "DEPLOYMENT", "EXPORT_FLOW", "RECOVERY_FLOW"]
