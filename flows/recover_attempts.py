"""Find the folder of a job's run, and close attempts whose process was lost."""

from __future__ import annotations

from contextlib import suppress

from prefect.client.schemas.objects import FlowRun

from prefect_collect.collecting.closing import close_lost_attempts
from prefect_collect.errors import CollectError, JobNotFound
from prefect_collect.flows.stores import place_of
from prefect_collect.formats import parsed_options
from prefect_collect.job_folder import custody_events
from prefect_collect.job_folder.custody_rules import damage_of
from prefect_collect.job_folder.folder import JobFolder, JobRecord
from prefect_collect.job_folder.result import TaskResult
from prefect_collect.statuses import JobKind, JobStatus


def folder_of(run: FlowRun) -> JobFolder | None:
    """Return the job's folder; None if it has none. Raise InvalidLocation, StoreError."""
    folder = JobFolder(place_of(run.parameters.get("store")), str(run.id))
    return folder if folder.exists() else None


def result_now(run: FlowRun, attempt: int | None, why: str) -> tuple[TaskResult, str] | None:
    """Close the attempt of a job that cannot continue, and return the job's result with a message; None if it has none.

    Args:
        run: The job's run.
        attempt: The attempt to close; None if the job has claimed none, in which case an earlier result stays.
        why: Why the job cannot continue, for the message.

    Returns:
        The result and the message; None if there is no result, or the job's folder cannot be read.
    """
    result = None
    with suppress(CollectError):
        if attempt is not None:
            result = close_lost(run, canceled=False)
            return (result, f"{why} {result.message}") if result is not None and result.attempt == attempt else None
        folder = folder_of(run)
        result = None if folder is None else folder.result()
    return (result, f"Nothing was run. {why}") if result is not None and result.counts.succeeded else None


def close_left(run: FlowRun) -> None:
    """Close the open attempts of a job whose evidence is damaged, so that no new attempt can close them."""
    with suppress(CollectError):
        close_lost(run, canceled=False)


def completed(run: FlowRun) -> JobFolder | None:
    """Return `folder_of` the run, after adding the custody entries that a lost process did not write.

    Raise InvalidLocation, StoreError.
    """
    folder = folder_of(run)
    if folder is not None:
        custody_events.record_missed_events(folder)
    return folder


def note_recovered(run: FlowRun, status: JobStatus, message: str) -> None:
    """Record in the custody log that a job whose process was lost was settled, and with which status.

    The entry also says what is damaged in the log itself. An entry that cannot be written does not stop the job's end.
    """
    with suppress(CollectError):
        folder = folder_of(run)
        if folder is not None:
            details = {"attempt": max(folder.attempts(), default=0), "status": str(status), "message": message}
            details |= {"log_damage": damage} if (damage := damage_of(folder)) else {}
            custody_events.record_event(folder, custody_events.RECOVERED, details)


def close_lost(run: FlowRun, *, canceled: bool) -> TaskResult | None:
    """Close the attempts that were left open, and return the last result; None if there was no attempt."""
    folder = completed(run)
    if folder is None:
        return None
    record, beyond = folder.record(), max(folder.attempts(), default=0) + 1
    if record.kind is JobKind.COLLECTION:
        close_lost_attempts(folder, record, beyond, canceled=canceled)
    else:
        _close_exports(folder, record, beyond, canceled=canceled)
    return folder.result()


def _close_exports(folder: JobFolder, record: JobRecord, beyond: int, *, canceled: bool) -> None:
    attempts = [attempt for attempt in folder.attempts() if attempt not in folder.closed_attempts()]
    if not attempts:
        return
    # What exports need takes a tenth of a command's imports, and collections come by here too.
    from prefect_collect.exporting.attempt import close_lost_exports
    from prefect_collect.exporting.bound_collection import bind_collection
    from prefect_collect.exporting.delivery import Delivery

    options = record.options
    try:
        bound = bind_collection(folder.store, options["collection_job"], int(folder.claimed(attempts[0])["manifest"]))
    except JobNotFound:
        return
    block = options.get("destination_block")
    destination = place_of({"$ref": {"block_document_id": block}} if block else options["destination"])
    delivery = Delivery(
        destination, options["format"], options["sha512"], portable_names=options.get("portable_names", False),
        **parsed_options(options),
        deduplicate=options.get("deduplicate"), duplicates_of=tuple(options.get("duplicates_of", ())),
    )  # fmt: skip
    close_lost_exports(folder, record, beyond, bound, delivery, canceled=canceled)
