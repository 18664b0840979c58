"""The export job."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

from prefect import runtime
from prefect.blocks.core import Block
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.exceptions import Pause
from pydantic import Field

from prefect_collect.artifacts.job_page import show_result, shown_progress
from prefect_collect.artifacts.publish import publish_status
from prefect_collect.collecting.stop_signals import send_signals
from prefect_collect.errors import JobNotFound, KeyMissing
from prefect_collect.escaping import one_line
from prefect_collect.exporting.attempt import Steps, run_export
from prefect_collect.exporting.bag_conformity import require_profile
from prefect_collect.exporting.bound_collection import BoundCollection, bind_collection
from prefect_collect.exporting.control_numbers import require_continuable
from prefect_collect.exporting.delivery import Delivery
from prefect_collect.exporting.duplicates import require_comparable
from prefect_collect.exporting.unchanged import require_whole
from prefect_collect.flows._job_flow import flow
from prefect_collect.flows.auto_exports import (
    COLLECTION_DELETED,
    awaiting_state,
    collection_is_done,
    require_exportable,
)
from prefect_collect.flows.places import require_export_apart
from prefect_collect.flows.running_job import RunningJob, block_id, keep_log, pin_places
from prefect_collect.flows.stores import store_of
from prefect_collect.formats import Format, options_json, parsed_options, require_source
from prefect_collect.formats.bag_options import BagOptions
from prefect_collect.formats.dataset import Dataset
from prefect_collect.formats.load_file import LoadFile
from prefect_collect.formats.mail_set import MailSet
from prefect_collect.job_folder.deleted_jobs import FLOW
from prefect_collect.job_folder.folder import CUSTODIAN, JobFolder, JobRecord
from prefect_collect.job_folder.lifecycle import claim_attempt, create_job
from prefect_collect.parameters import Deduplicate
from prefect_collect.runs.custodian_label import custodian_labels
from prefect_collect.runs.labels import EXPORT_WHEN, QUEUED, SOURCE, export_tag, label_of, label_run, set_labels, tag
from prefect_collect.runs.names import EXPORT_FLOW
from prefect_collect.runs.session import release_session
from prefect_collect.runs.states import put
from prefect_collect.statuses import JobKind, JobStatus
from prefect_collect.tasks.packaging import build_package_task, check_items_task
from prefect_collect.threads.progress import announce

_STEPS = Steps(check_items_task, build_package_task)


def _run_name(parameters: Mapping[str, Any]) -> str:
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
    load_file: LoadFile | dict[str, Any] | None = None,
    bag: BagOptions | dict[str, Any] | None = None,
    mail: MailSet | dict[str, Any] | None = None,
    dataset: Dataset | dict[str, Any] | None = None,
    deduplicate: Deduplicate | None = None,
    duplicates_of: list[str] | None = None,
) -> State[Any]:
    """Export what a collection holds as a package that proves its own completeness.

    The package is delivered as it is; `prefect-collect download JOB --to DIR --encrypt` makes an encrypted copy of it.

    Args:
        collection_job: The id of the collection. The export is bound to the items that it holds when it first starts.
        destination: Where the package goes: a directory, s3://bucket/prefix (gs://, az://), or a store block.
        format: "bagit": an RFC 8493 bag as one ZIP file; "directory": an RFC 8493 bag as a folder;
            "bagit-tar": an RFC 8493 bag as one TAR file; "bagit-tar-zst": an RFC 8493 bag as one TAR file, compressed
            with Zstandard; "bagit-group": bags of limited size, as ZIP or TAR files, in one folder with one list
            over all; "loadfile": a load file for review platforms, with natives and text, as one ZIP file;
            "loadfile-directory": a load file for review platforms, with natives and text, as a folder;
            "mail": messages as mbox or EML files with an index, as one ZIP file; "mail-directory": messages as mbox or
            EML files with an index, as a folder; "dataset": the tables of a database as Parquet or CSV, as one ZIP
            file; "dataset-directory": the tables of a database as Parquet or CSV, as a folder; "ocfl": a version of the
            source's OCFL 1.1 object, which shares unchanged files with earlier ones.
        name: The job's name.
        store: The collection's staging store: a directory, s3://bucket/prefix (gs://, az://), or a store block.
        sha512: Put SHA-512 manifests into the bag too; every item is read for it.
        portable_names: Rename items whose names Windows or macOS cannot unpack; items.csv has the original names.
        load_file: How a load file is made: its numbers, columns, encoding and volumes.
        bag: What a bag has beside: tags in bag-info.txt, and the BagIt profile that it conforms to.
        mail: How mail is made: as mbox or EML files, and how large these get.
        dataset: How a dataset is made: as Parquet or CSV, and how its folders are named.
        deduplicate: Deliver items with the same bytes once: "global": one in all; "custodian": one for each custodian.
            The package lists the others, with their custodians and paths.
        duplicates_of: The ids of earlier jobs in the same staging store: items with the bytes of theirs are marked, and
            with deduplicate not delivered if such an export delivered them.

    Returns:
        A state with the documented name, whose result is the attempt's `TaskResult`, with the `package`.
    """
    started = RunningJob.start(JobKind.EXPORT, "")

    def work() -> State[Any]:
        opened = store_of(store)
        delivery = Delivery(
            store_of(destination, field="destination"), format, sha512, portable_names=portable_names,
            **parsed_options({"load_file": load_file, "bag": bag, "mail": mail, "dataset": dataset}),
            deduplicate=deduplicate, duplicates_of=tuple(duplicates_of or ()),
        )  # fmt: skip
        pin_places(started.session, store=opened.url, destination=delivery.destination.url)
        opened.require_exclusive_creates()
        folder = JobFolder(opened, started.job_id, started.who)
        is_known = folder.exists()
        if is_known:
            keep_log(started.session, folder)
        before = _bound_attempt(folder)
        if before is None:
            _require_collected(started)
            with get_client(sync_client=True) as client:
                require_exportable(client, str(collection_job))
        bound = bind_collection(opened, str(collection_job), before)
        job = _of_collection(started, bound.record)
        if not folder.attempts():
            require_source(format, bound.record.source)
            require_whole(bound, format)
            require_export_apart(bound.record, opened, delivery.destination)
            delivery.require_free(delivery.base(bound.record), bound.folder)
            require_continuable(opened, delivery.load_file)
            require_profile(bound, delivery)
            require_comparable(opened, bound.record.job_id, delivery.duplicates_of)
        block = block_id(job.run, "destination", destination) if isinstance(destination, Block) else None
        record = create_job(folder, _record(folder.job_id, bound, delivery, name or runtime.flow_run.name, block))
        if not is_known:
            keep_log(job.session, folder)
        job.require_allowed(folder)
        if not job.wait_for_turn():
            return job.canceled()
        bound = bind_collection(opened, str(collection_job), before)
        attempt = claim_attempt(folder, {"manifest": bound.result.attempt, FLOW: str(job.run.flow_id)})
        job.begin(attempt)
        with (
            send_signals(folder.job_id, attempt, job.session.stop) as shared,
            shown_progress(folder.job_id, shared.progress, job.heading(), attempt=attempt, previous=folder.result()),
        ):
            announce(folder.job_id, shared.progress)
            result = run_export(folder, record, attempt, bound, delivery, _STEPS, shared.stop, shared.progress)
        location = record.source.get("location", "")
        return job.ended(result, show=lambda: show_result(result, record.name, location, custodian=record.custodian))

    return started.guarded(work)


def _require_collected(job: RunningJob) -> None:
    """Put an export back to Awaiting collection if it was started before its collection was done.

    Called before it is bound. Raise Pause then; JobNotFound if the collection was deleted.
    """
    if not label_of(job.run, EXPORT_WHEN):
        return
    with get_client(sync_client=True) as client:
        done = collection_is_done(client, job.run)
        if done is None:
            raise JobNotFound(COLLECTION_DELETED)
        if not done:
            state = awaiting_state("Its collection is not completed yet, so it was not started.")
            release_session(job.session)
            set_labels(client, job.run.id, {QUEUED: ""})
            put(client, job.run.id, state)
            publish_status(job.kind, JobStatus.AWAITING_COLLECTION, job.run, state.message or "")
            raise Pause("The export awaits its collection.", state=state)


def _of_collection(job: RunningJob, collection: JobRecord) -> RunningJob:
    """Return the job with its data source and custodian, which an export gets from its collection."""
    source = str(collection.source.get("name", ""))
    with get_client(sync_client=True) as client:
        label_run(client, job.run, {SOURCE: source, **custodian_labels(collection.custodian)})
        tag(client, job.run, export_tag(collection.job_id))
    return replace(job, source=source)


def _bound_attempt(folder: JobFolder) -> int | None:
    """Return the number of the manifest that the export's first attempt was bound to; None before that."""
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
        **options_json(delivery.options),
        **({"deduplicate": delivery.deduplicate} if delivery.deduplicate else {}),
        **({"duplicates_of": [*delivery.duplicates_of]} if delivery.duplicates_of else {}),
        **({CUSTODIAN: bound.record.custodian} if bound.record.custodian else {}),
    }
    return JobRecord(job_id, JobKind.EXPORT, name, bound.record.source, bound.record.package_base, options=options)
