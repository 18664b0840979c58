"""A process's hold on a job: it claims the run, keeps the session, publishes the status, ends it, gives the slot back.

`RunningJob` (in `_job`) is that, in order. Its parts: `_ownership` labels the run with its process before Prefect calls
it Running, `_engine` has Prefect's engine run the flow and ends what the engine could not, `_hooks` is what the engine
calls at the end, `_end_states` makes and sets final states, `_parameters` pins what the run was called with, `_asked`
records what a user asked for by Prefect's buttons. The thread that renews the lease and hears of a cancel is
`prefect_collect.runs.session`.
"""

from prefect_collect.flows.running_job._asked import keep_log
from prefect_collect.flows.running_job._engine import run_job
from prefect_collect.flows.running_job._hooks import on_crash, on_end
from prefect_collect.flows.running_job._job import RunningJob
from prefect_collect.flows.running_job._ownership import new_run, owning
from prefect_collect.flows.running_job._parameters import block_id, pin_places, pin_query

__all__ = [
    "RunningJob",
    "block_id",
    "keep_log",
    "new_run",
    "on_crash",
    "on_end",
    "owning",
    "pin_places",
    "pin_query",
    "run_job",
]
