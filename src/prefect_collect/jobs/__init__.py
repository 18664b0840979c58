"""Jobs, seen and moved on from Python.

    from prefect_collect import jobs

    job = jobs.get(job_id)       # .status .task_status .next_steps .result .attempts
    jobs.retry(job.id)

A job's status is read from Prefect; its items, results and reports from the staging store.
"""

from prefect_collect.jobs._job import Job
from prefect_collect.jobs._reading import get, list_jobs, wait
from prefect_collect.jobs._running import retry, start
from prefect_collect.jobs._taking import download, preview

__all__ = ["Job", "download", "get", "list_jobs", "preview", "retry", "start", "wait"]
