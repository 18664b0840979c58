"""The Python API for jobs: get, list, draft, start, retry, cancel, delete, preview, open items, download.

    from prefect_collect import jobs

    job = jobs.draft_collection(source)
    jobs.start(job.id)
    job = jobs.wait(job.id)       # .status .task_status .next_steps .result .attempts
    jobs.retry(job.id)

A job's status is read from Prefect; its items, results and reports are read from the staging store. All functions raise
PrefectUnavailable if Prefect's server does not answer, and PrefectError if it refuses a request.
"""

from prefect_collect.jobs._cancel import cancel, delete
from prefect_collect.jobs._download import download, preview
from prefect_collect.jobs._drafting import draft_collection, edit_draft
from prefect_collect.jobs._items import item_files, open_item, save_selection
from prefect_collect.jobs._job import Job
from prefect_collect.jobs._listing import list_jobs
from prefect_collect.jobs._queue_place import Place, place_in_queue
from prefect_collect.jobs._saved_queries import query_of, save_query
from prefect_collect.jobs._start import has_worker, retry, start
from prefect_collect.jobs.lookup import get, wait

__all__ = [
    "Job",
    "Place",
    "cancel",
    "delete",
    "download",
    "draft_collection",
    "edit_draft",
    "get",
    "has_worker",
    "item_files",
    "list_jobs",
    "open_item",
    "place_in_queue",
    "preview",
    "query_of",
    "retry",
    "save_query",
    "save_selection",
    "start",
    "wait",
]
