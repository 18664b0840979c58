"""What the flows are called in Prefect; jobs are found by these names."""

from typing import Final

COLLECTION_FLOW: Final = "collection job"
EXPORT_FLOW: Final = "export job"
