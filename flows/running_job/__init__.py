"""A job that runs in this process: claim the run, keep its session, publish its status, end it, give its slot back.

`RunningJob` (in `_job`) does that, in this order. `_ownership` labels the run with its process before its state is
Running. `_engine` runs the flow by Prefect's engine, and ends the job where the engine could not. `_hooks` are called
by the engine at the end, `_end_states` makes and sets final states, `_parameters` pins the run's parameters, `_asked`
records what a user asked for by Prefect's buttons. The thread that renews the lease and notices a cancel is in
`prefect_collect.runs.session`.
"""

from prefect_collect.flows.running_job._asked import keep_log
from prefect_collect.flows.running_job._engine import run_job
from prefect_collect.flows.running_job._hooks import on_crash, on_end
from prefect_collect.flows.running_job._job import RunningJob
from prefect_collect.flows.running_job._ownership import Naming, new_run, owning
from prefect_collect.flows.running_job._parameters import block_id, forget_report, pin_places, pin_query

__all__ = [
    "Naming",
    "RunningJob",
    "block_id",
    "forget_report",
    "keep_log",
    "new_run",
    "on_crash",
    "on_end",
    "owning",
    "pin_places",
    "pin_query",
    "run_job",
]
