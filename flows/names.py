"""What the flows are called in Prefect; jobs are found by these names."""

from prefect_collect.runs._names import COLLECTION_FLOW, DEPLOYMENT, EXPORT_FLOW, RECOVERY_FLOW

__all__ = ["COLLECTION_FLOW", "DEPLOYMENT", "EXPORT_FLOW", "RECOVERY_FLOW"]
