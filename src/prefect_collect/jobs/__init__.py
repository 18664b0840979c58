"""The Python API for jobs: get, list, draft, start, retry, cancel, delete, preview, open items, export, download.

    from prefect_collect import jobs

    job = jobs.draft_collection(source)
    jobs.start(job.id)
    job = jobs.wait(job.id)       # .status .task_status .next_steps .result .attempts
    jobs.retry(job.id)

A job's status is read from Prefect; its items, results and reports are read from the staging store. All functions raise
PrefectUnavailable if Prefect's server does not answer, and PrefectError if it refuses a request.
"""

from prefect_collect.job_folder.deleted_jobs import DeletedJob
from prefect_collect.job_folder.exports_made import ExportMade
from prefect_collect.jobs._cancel import cancel, delete
from prefect_collect.jobs._deleted import DeletedJobs, delete_evidence, find_deleted, keep, list_deleted
from prefect_collect.jobs._download import DeliveredPackage, delivered_package, download, preview
from prefect_collect.jobs._drafting import draft_collection, edit_draft
from prefect_collect.jobs._exporting import start_export
from prefect_collect.jobs._items import item_files, open_item, save_selection
from prefect_collect.jobs._job import Job
from prefect_collect.jobs._listing import list_jobs
from prefect_collect.jobs._queue_place import Place, place_in_queue
from prefect_collect.jobs._saved_blocks import (
    SavedBlock,
    SavedSource,
    list_credentials,
    list_sources,
    list_stores,
    saved_block,
    set_lifecycle,
    set_source_limit,
    source_limits,
)
from prefect_collect.jobs._saved_queries import query_of, save_query
from prefect_collect.jobs._scheduling import (
    CollectionSchedule,
    delete_schedule,
    list_schedules,
    schedule_collection,
    set_schedule_active,
)
from prefect_collect.jobs._start import has_worker, retry, start
from prefect_collect.jobs.lookup import get, wait

__all__ = [
    "CollectionSchedule",
    "DeletedJob",
    "DeletedJobs",
    "DeliveredPackage",
    "ExportMade",
    "Job",
    "Place",
    "SavedBlock",
    "SavedSource",
    "cancel",
    "delete",
    "delete_evidence",
    "delete_schedule",
    "delivered_package",
    "download",
    "draft_collection",
    "edit_draft",
    "find_deleted",
    "get",
    "has_worker",
    "item_files",
    "keep",
    "list_credentials",
    "list_deleted",
    "list_jobs",
    "list_schedules",
    "list_sources",
    "list_stores",
    "open_item",
    "place_in_queue",
    "preview",
    "query_of",
    "retry",
    "save_query",
    "save_selection",
    "saved_block",
    "schedule_collection",
    "set_lifecycle",
    "set_schedule_active",
    "set_source_limit",
    "source_limits",
    "start",
    "start_export",
    "wait",
]
