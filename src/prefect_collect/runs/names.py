"""The names of the flows and of their deployments in Prefect; jobs are found by these names."""

from __future__ import annotations

from typing import Final

from prefect_collect.statuses import JobKind

COLLECTION_FLOW: Final = "collection job"
EXPORT_FLOW: Final = "export job"
RECOVERY_FLOW: Final = "recovery"

KIND_OF_FLOW: Final = {COLLECTION_FLOW: JobKind.COLLECTION, EXPORT_FLOW: JobKind.EXPORT}
FLOW_OF_KIND: Final = {kind: name for name, kind in KIND_OF_FLOW.items()}

TAG: Final = "prefect-collect"
"""The tag of every job's run."""

DEPLOYMENT: Final = "prefect-collect"
"""The name of the deployments that `prefect-collect serve` runs, one for each flow."""

__all__ = ["COLLECTION_FLOW", "DEPLOYMENT", "EXPORT_FLOW", "RECOVERY_FLOW"]
