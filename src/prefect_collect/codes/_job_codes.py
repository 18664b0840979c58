"""The error codes of whole jobs: the last part of `prefect_collect.codes.CODES`."""

from __future__ import annotations

from prefect_collect.codes._code import Category, Code, Who

JOB_TABLE = (
    Code(
        "store_unsafe",
        Category.JOB,
        "The staging store ignores conditional creates, so two writers could overwrite each other.",
        "Use a store that supports If-None-Match, or set --single-writer if nothing else ever writes there.",
        Who.JOB_OWNER,
    ),
    Code(
        "package_error",
        Category.JOB,
        "The package could not be built.",
        "Read the message: it says whether to retry, or to export anew with other options or to another place.",
        Who.JOB_OWNER,
        retryable=True,
    ),
    Code(
        "enumeration_failed",
        Category.JOB,
        "The data source could not be listed to the end, or did not prove that its listing is complete.",
        "Read the message for the cause; a retry lists the source again and keeps the collected items.",
        Who.SOURCE_OWNER,
        retryable=True,
    ),
    Code(
        "nothing_matched",
        Category.JOB,
        "No item at the source matched the query.",
        "Check the path or prefix of the source, and the filters of the query.",
        Who.JOB_OWNER,
    ),
    Code(
        "program_missing",
        Category.JOB,
        "A program or library by which the data source is read is not installed where the job runs.",
        "Install what the message names on every machine that runs jobs, then retry.",
        Who.JOB_OWNER,
        stops_job=True,
    ),
    Code(
        "worker_lost",
        Category.JOB,
        "The process that worked on the item ended before it was done.",
        "Retry: a retry collects or exports exactly what is missing.",
        Who.NOBODY,
        retryable=True,
    ),
    Code(
        "canceled",
        Category.JOB,
        "The job was canceled before the item was done.",
        "Start the job again: it collects or exports exactly what is missing.",
        Who.JOB_OWNER,
        retryable=True,
    ),
    Code(
        "threshold_exceeded",
        Category.JOB,
        "More items failed than tolerated_failure_percentage allows, so the job stopped early.",
        "Remove the cause of the failures, and retry; or raise the percentage, as in "
        "`retry JOB --tolerated-failure-percentage 50`.",
        Who.JOB_OWNER,
        retryable=True,
    ),
    Code(
        "source_inactive",
        Category.JOB,
        "The data source is SUSPENDED or ARCHIVED.",
        "Set the data source ACTIVE, then start the job.",
        Who.JOB_OWNER,
    ),
    Code(
        "collection_deleted",
        Category.JOB,
        "The collection that the export is made from was deleted.",
        "Collect again, then export the new collection.",
        Who.JOB_OWNER,
    ),
    Code(
        "unexpected_error",
        Category.JOB,
        "An error occurred that has no code of its own.",
        "Read the message, then retry; report the error if it persists.",
        Who.JOB_OWNER,
        retryable=True,
    ),
)
"""The codes of the category JOB."""
