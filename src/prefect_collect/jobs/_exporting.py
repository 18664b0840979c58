"""Export a collection as a new job: by a worker if its deployment has one, else in this process."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any
from uuid import UUID

from prefect.blocks.core import Block
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import ParameterTypeError

from prefect_collect.errors import (
    ActionNotAllowed,
    AttemptSuperseded,
    CollectError,
    InvalidLocation,
    JobNotFound,
    UsageError,
)
from prefect_collect.escaping import one_line
from prefect_collect.exporting.bag_conformity import require_profile
from prefect_collect.exporting.bound_collection import bind_collection
from prefect_collect.exporting.control_numbers import require_continuable
from prefect_collect.exporting.delivery import Delivery, require_later
from prefect_collect.exporting.duplicates import require_comparable
from prefect_collect.exporting.unchanged import require_whole
from prefect_collect.flows import export
from prefect_collect.flows.auto_exports import load_destination
from prefect_collect.flows.deploying import ensure_deployment
from prefect_collect.flows.places import require_export_apart
from prefect_collect.flows.stores import store_of
from prefect_collect.formats import Format, options_json, parsed_options, require_source
from prefect_collect.formats.bag_options import BagOptions
from prefect_collect.formats.dataset import Dataset
from prefect_collect.formats.load_file import LoadFile
from prefect_collect.formats.mail_set import MailSet
from prefect_collect.job_folder import custody_log
from prefect_collect.jobs._job import Job
from prefect_collect.jobs._prefect_errors import mapped
from prefect_collect.jobs._start import run_or_queue
from prefect_collect.jobs.lookup import get, read_run
from prefect_collect.parameters import Deduplicate
from prefect_collect.runs.custodian_label import custodian_labels
from prefect_collect.runs.deployment_lookup import is_served, sibling
from prefect_collect.runs.labels import SOURCE, export_tag, labels_of
from prefect_collect.runs.states import claimed_state
from prefect_collect.statuses import JobKind, NextStep, require_step
from prefect_collect.storable import require_storable
from prefect_collect.stores.addresses import STORE_BLOCKS


@mapped
def start_export(
    collection_job: str | UUID,
    destination: Block | str | os.PathLike[str],
    format: Format = "bagit",
    name: str | None = None,
    store: Block | str | os.PathLike[str] | None = None,
    sha512: bool = False,
    portable_names: bool = False,
    load_file: LoadFile | dict[str, Any] | None = None,
    bag: BagOptions | dict[str, Any] | None = None,
    mail: MailSet | dict[str, Any] | None = None,
    dataset: Dataset | dict[str, Any] | None = None,
    deduplicate: Deduplicate | None = None,
    duplicates_of: list[str] | None = None,
    *,
    here: bool | None = None,
) -> Job:
    """Export a collection as a new job, and return the job.

    A job whose deployment has a worker (or `serve`) is queued for it; any other job is run to its end in this process.
    What the flow `export` would refuse is refused before the job is made. The package is delivered as it is; `download`
    makes an encrypted copy of it.

    Args:
        collection_job: The collection's id.
        destination: Where the package goes: a folder, s3://bucket/prefix (gs:// and az:// alike), a store block, or a
            saved store block as collect-s3-store/NAME, collect-cloud-store/NAME or collect-directory-store/NAME.
        format: "bagit": an RFC 8493 bag as one ZIP file; "directory": an RFC 8493 bag as a folder;
            "bagit-tar": an RFC 8493 bag as one TAR file; "bagit-tar-zst": an RFC 8493 bag as one TAR file, compressed
            with Zstandard; "bagit-group": bags of limited size, as ZIP or TAR files, in one folder with one list
            over all; "loadfile": a load file for review platforms, with natives and text, as one ZIP file;
            "loadfile-directory": a load file for review platforms, with natives and text, as a folder;
            "mail": messages as mbox or EML files with an index, as one ZIP file; "mail-directory": messages as mbox or
            EML files with an index, as a folder; "dataset": the tables of a database as Parquet or CSV, as one ZIP
            file; "dataset-directory": the tables of a database as Parquet or CSV, as a folder; "ocfl": a version of the
            source's OCFL 1.1 object, which shares unchanged files with earlier ones.
        name: The job's name; by default it is made from the collection's.
        store: The collection's staging store, if it is not the one in the collection's parameters.
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
        here: True to run the job in this process, unless a worker is faster; False to queue it for a worker.

    Raises:
        ActionNotAllowed: The collection's status does not offer Export.
        JobNotFound: There is no such collection.
        InvalidLocation: The destination cannot be opened, or lies in the data source or in the staging store.
        UsageError: Another parameter is not valid.
        PackageExists: The destination already has something with the package's name.
        EvidenceError: The collection's files do not match its custody log.
        StoreError: A store cannot be read.
    """
    collection = _collection(collection_job, store)
    goal = _destination(destination)
    given: dict[str, Any] = {
        "collection_job": collection.id, "destination": goal, "format": format, "sha512": sha512,
        "portable_names": portable_names,
    }  # fmt: skip
    options = parsed_options({"load_file": load_file, "bag": bag, "mail": mail, "dataset": dataset})
    given |= options_json(options)
    # What is not asked for is left out, because deployments of earlier versions do not know it.
    given |= {"deduplicate": deduplicate} if deduplicate else {}
    given |= {"duplicates_of": duplicates_of} if duplicates_of else {}
    _require_valid({**given, **({"name": name} if name else {})})
    staging = collection.folder.store
    bound = bind_collection(staging, collection.id)
    opened = store_of(goal, field="destination")
    require_source(format, bound.record.source)
    require_whole(bound, format, deduplicate)
    require_export_apart(bound.record, staging, opened)
    delivery = Delivery(opened, format, sha512, portable_names=portable_names, **options)
    delivery.require_free(delivery.base(bound.record), bound.folder)
    require_later(bound, delivery)
    require_continuable(staging, delivery.load_file)
    require_profile(bound, delivery)
    require_comparable(staging, collection.id, duplicates_of or ())
    title = name or f"export of {collection.name}"
    parameters = export.serialize_parameters({**given, "name": title, **({} if store is None else {"store": store})})
    parameters.setdefault("store", collection.parameters.get("store") or staging.url)
    source = str(bound.record.source.get("name", ""))
    with get_client(sync_client=True) as client:
        deployment = _deployment(client, collection)
        by_worker = is_served(deployment) if here is None else not here
        run = client.create_flow_run_from_deployment(
            deployment.id, parameters=parameters, state=claimed_state(JobKind.EXPORT, "It is about to be queued."),
            name=one_line(title), tags=[*deployment.tags, export_tag(collection.id)],
            labels=labels_of({SOURCE: source, **custodian_labels(bound.record.custodian)}),
        )  # fmt: skip
    job = get(run.id)
    asked = {"collection": collection.id, "destination": opened.url, "format": format}
    with suppress(CollectError):  # a store that cannot be written to fails the job itself
        custody_log.append(job.folder, "export-requested", asked)
    with suppress(AttemptSuperseded):  # a worker was faster
        run_or_queue(job, by_worker=by_worker)
    return get(run.id)


def _collection(job_id: str | UUID, store: Any) -> Job:
    job = get(job_id, store)
    if job.kind is not JobKind.COLLECTION:
        raise ActionNotAllowed(f"Only a collection can be exported, and this job is an export. [job={job.id}]")
    if job.status is not None:
        require_step(job.kind, job.status, NextStep.EXPORT)
    return job


def _destination(given: Block | str | os.PathLike[str]) -> Block | str:
    """Return the destination as the flow takes it: a store block, or a location."""
    if isinstance(given, Block):
        return given
    require_storable(given, "destination", InvalidLocation)
    location = os.fspath(given)
    if location.startswith(STORE_BLOCKS):
        return load_destination(location)
    # A relative path must not depend on the working directory of a worker.
    return store_of(location, field="destination").url


def _require_valid(given: dict[str, Any]) -> None:
    require_storable({name: value for name, value in given.items() if not isinstance(value, Block)}, "")
    try:
        export.validate_parameters(given)
    except (ValueError, TypeError, ParameterTypeError) as error:
        raise UsageError(f"The export's parameters are not valid: {error}") from error


def _deployment(client: SyncPrefectClient, collection: Job) -> DeploymentResponse:
    """Return the deployment for an export of that collection; create those of `serve` if there is none."""
    try:
        found = sibling(client, read_run(client, collection.id), JobKind.EXPORT)
    except JobNotFound:  # its run was deleted in Prefect
        found = None
    return found or ensure_deployment(client, JobKind.EXPORT)
