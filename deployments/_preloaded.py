"""What every job's process imports, for the fork server to import once; see `_forking`."""

import gc

import pandas  # pyarrow imports it when it makes its first array of a list
import prefect._internal.metrics
import prefect.flow_engine

import prefect_collect.flows.collection
import prefect_collect.flows.exports
import prefect_collect.flows.recovery

__all__ = ["pandas", "prefect", "prefect_collect"]

# A job's process does not look for garbage among what was imported, as the documentation of `gc.freeze` advises.
gc.collect()
gc.freeze()
