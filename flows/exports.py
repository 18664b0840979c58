"""The export job."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

from prefect import runtime
from prefect.blocks.core import Block
from prefect.client.schemas.objects import State
from pydantic import Field

from prefect_collect.artifacts.job_page import show_result, shown_progress
from prefect_collect.collecting.stop_signals import send_signals
from prefect_collect.errors import KeyMissing
from prefect_collect.escaping import one_line
from prefect_collect.exporting.attempt import Delivery, Steps, run_export
from prefect_collect.exporting.bound_collection import BoundCollection, bind_collection
from prefect_collect.flows._job_flow import flow
from prefect_collect.flows._start_job import start_job
from prefect_collect.flows.places import require_export_apart
from prefect_collect.flows.stores import store_of
from prefect_collect.job_folder.folder import JobFolder, JobRecord
from prefect_collect.job_folder.lifecycle import claim_attempt, create_job
from prefect_collect.parameters import Format
from prefect_collect.runs.names import EXPORT_FLOW
from prefect_collect.statuses import JobKind
from prefect_collect.tasks.packaging import build_package_task, check_items_task
from prefect_collect.threads.progress import announce

_STEPS = Steps(check_items_task, build_package_task)


def _run_name() -> str:
    parameters = runtime.flow_run.parameters
    return one_line(str(parameters.get("name") or f"export of {str(parameters.get('collection_job'))[:8]}"))


@flow(
    name=EXPORT_FLOW,
    flow_run_name=_run_name,
)
def export(
    collection_job: UUID | str,
    destination: Block | Path | str,
    format: Format = "bagit",
    name: str | None = None,
    store: Block | Path | str | None = None,
    sha512: Annotated[bool, Field(title="SHA-512")] = False,
    portable_names: bool = False,
) -> State[Any]:
    """Export what a collection holds as a package that proves its own completeness.

    Args:
        collection_job: The id of the collection job. The export is bound to what it holds when it first starts.
        destination: Where the package goes: a directory, s3://bucket/prefix, or a store block.
        format: "bagit": an RFC 8493 bag as one ZIP file; "directory": the same bag unpacked.
        name: What to call the job.
        store: The collection's staging store: a directory, s3://bucket/prefix, or a store block.
        sha512: Put SHA-512 manifests into the bag too; every item has to be read for it.
        portable_names: Give items whose names Windows or macOS cannot unpack others; items.csv keeps the originals.

    Returns:
        A state with the documented name, whose result is the attempt's `TaskResult`, with the `package`.
    """
    taken = start_job(JobKind.EXPORT, "")

    def work() -> State[Any]:
        opened = store_of(store)
        delivery = Delivery(store_of(destination, field="destination"), format, sha512, portable_names=portable_names)
        taken.pin(store=opened.url, destination=delivery.destination.url)
        opened.require_exclusive_creates()
        folder = JobFolder(opened, taken.job_id, taken.who)
        is_known = folder.exists()
        if is_known:
            taken.keep_log(folder)
        before = _bound_attempt(folder)
        if before is None:
            taken.require_collected()
            taken.require_exportable(str(collection_job))
        bound = bind_collection(opened, str(collection_job), before)
        job = taken.of_source(str(bound.record.source.get("name", "")), str(collection_job))
        if not folder.attempts():
            require_export_apart(bound.record, opened, delivery.destination)
            delivery.require_free(bound.record.package_base)
        block = job.block_id("destination", destination) if isinstance(destination, Block) else None
        record = create_job(folder, _record(folder.job_id, bound, delivery, name or runtime.flow_run.name, block))
        if not is_known:
            job.keep_log(folder)
        job.require_allowed(folder)
        if not job.enter():
            return job.canceled("The job was canceled while it was queued; nothing was started.")
        bound = bind_collection(opened, str(collection_job), before)
        attempt = claim_attempt(folder, {"manifest": bound.result.attempt})
        job.begin(attempt)
        with (
            send_signals(folder.job_id, attempt, job.stop) as shared,
            shown_progress(folder.job_id, shared.progress, job.heading(), attempt=attempt, previous=folder.result()),
        ):
            announce(folder.job_id, shared.progress)
            result = run_export(folder, record, attempt, bound, delivery, _STEPS, shared.stop, shared.progress)
        location = record.source.get("location", "")
        return job.ended(result, show=lambda: show_result(result, record.name, location, delivery.destination))

    return taken.guarded(work)


def _bound_attempt(folder: JobFolder) -> int | None:
    """The manifest that the export's first attempt was bound to."""
    with suppress(KeyMissing):
        return int(folder.claimed(1)["manifest"])
    return None


def _record(job_id: str, bound: BoundCollection, delivery: Delivery, name: str, block: str | None) -> JobRecord:
    options = {
        "collection_job": bound.record.job_id,
        "destination": delivery.destination.url,
        "destination_block": block,
        "format": delivery.format,
        "sha512": delivery.sha512,
        "portable_names": delivery.portable_names,
    }
    return JobRecord(job_id, JobKind.EXPORT, name, bound.record.source, bound.record.package_base, options=options)
