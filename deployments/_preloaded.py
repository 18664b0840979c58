"""The imports of every job's process, which the fork server imports once; see `_forking`.

Prefect loads the blocks of all installed plugins before a process looks up its first saved block, which takes a second.
"""

import gc

import prefect._internal.metrics
import prefect.flow_engine
from prefect.plugins import load_prefect_collections

import prefect_collect.flows.collection
import prefect_collect.flows.exports
import prefect_collect.flows.recovery

__all__ = ["prefect", "prefect_collect"]

load_prefect_collections()

# The garbage collector of a job's process skips what was imported, as the documentation of `gc.freeze` advises.
gc.collect()
gc.freeze()
