"""What every job's process imports, for the fork server to import once; see `_forking`."""

import pandas  # pyarrow imports it when it makes its first array of a list
import prefect._internal.metrics
import prefect.flow_engine

import prefect_collect.flows.collection
import prefect_collect.flows.exports
import prefect_collect.flows.recovery

__all__ = ["pandas", "prefect", "prefect_collect"]
