"""The Python API for jobs: list, estimate, draft, start, retry, cancel, delete, preview, open items, export, download.

    from prefect_collect import jobs

    job = jobs.draft_collection(source)
    jobs.start(job.id)
    job = jobs.wait(job.id)       # .status .task_status .next_steps .result .attempts
    jobs.retry(job.id)

A job's status is read from Prefect; its items, results and reports are read from the staging store. All functions raise
PrefectUnavailable if Prefect's server does not answer, and PrefectError if it refuses a request.

Each name is imported when it is first used: a look at a staging store needs no Prefect.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prefect_collect.names_later import names_later

if TYPE_CHECKING:
    from prefect_collect.job_folder.deleted_jobs import DeletedJob
    from prefect_collect.job_folder.estimates import Estimate
    from prefect_collect.job_folder.exports_made import ExportMade
    from prefect_collect.jobs._cancel import cancel, delete
    from prefect_collect.jobs._credentials import SECRET_PREFIX, list_credentials, picked_credentials
    from prefect_collect.jobs._deleted import delete_evidence, find_deleted, keep
    from prefect_collect.jobs._download import DeliveredPackage, delivered_package, download
    from prefect_collect.jobs._drafting import draft_collection, edit_draft
    from prefect_collect.jobs._estimating import estimate
    from prefect_collect.jobs._exporting import start_export
    from prefect_collect.jobs._items import item_files, open_item, save_selection
    from prefect_collect.jobs._job import Job
    from prefect_collect.jobs._list_deleted import DeletedJobs, list_deleted
    from prefect_collect.jobs._listing import list_jobs
    from prefect_collect.jobs._preview import preview
    from prefect_collect.jobs._queue_place import Place, place_in_queue
    from prefect_collect.jobs._saved_blocks import (
        SavedBlock,
        SavedSource,
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
    "SECRET_PREFIX",
    "CollectionSchedule",
    "DeletedJob",
    "DeletedJobs",
    "DeliveredPackage",
    "Estimate",
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
    "estimate",
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
    "picked_credentials",
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

_HOMES: Final = {
    "SECRET_PREFIX": "jobs._credentials",
    "CollectionSchedule": "jobs._scheduling",
    "DeletedJob": "job_folder.deleted_jobs",
    "DeletedJobs": "jobs._list_deleted",
    "DeliveredPackage": "jobs._download",
    "Estimate": "job_folder.estimates",
    "ExportMade": "job_folder.exports_made",
    "Job": "jobs._job",
    "Place": "jobs._queue_place",
    "SavedBlock": "jobs._saved_blocks",
    "SavedSource": "jobs._saved_blocks",
    "cancel": "jobs._cancel",
    "delete": "jobs._cancel",
    "delete_evidence": "jobs._deleted",
    "delete_schedule": "jobs._scheduling",
    "delivered_package": "jobs._download",
    "download": "jobs._download",
    "draft_collection": "jobs._drafting",
    "edit_draft": "jobs._drafting",
    "estimate": "jobs._estimating",
    "find_deleted": "jobs._deleted",
    "get": "jobs.lookup",
    "has_worker": "jobs._start",
    "item_files": "jobs._items",
    "keep": "jobs._deleted",
    "list_credentials": "jobs._credentials",
    "list_deleted": "jobs._list_deleted",
    "list_jobs": "jobs._listing",
    "list_schedules": "jobs._scheduling",
    "list_sources": "jobs._saved_blocks",
    "list_stores": "jobs._saved_blocks",
    "open_item": "jobs._items",
    "picked_credentials": "jobs._credentials",
    "place_in_queue": "jobs._queue_place",
    "preview": "jobs._preview",
    "query_of": "jobs._saved_queries",
    "retry": "jobs._start",
    "save_query": "jobs._saved_queries",
    "save_selection": "jobs._items",
    "saved_block": "jobs._saved_blocks",
    "schedule_collection": "jobs._scheduling",
    "set_lifecycle": "jobs._saved_blocks",
    "set_schedule_active": "jobs._scheduling",
    "set_source_limit": "jobs._saved_blocks",
    "source_limits": "jobs._saved_blocks",
    "start": "jobs._start",
    "start_export": "jobs._exporting",
    "wait": "jobs.lookup",
}

__getattr__, __dir__ = names_later(__name__, _HOMES)
