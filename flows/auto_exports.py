"""Start exports automatically when their collection is done."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, Final
from uuid import UUID

from prefect.blocks.core import Block
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterTags
from prefect.client.schemas.objects import FlowRun, State
from prefect.exceptions import ObjectNotFound
from pydantic import BaseModel, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from prefect_collect.artifacts.publish import publish_status
from prefect_collect.errors import InvalidLocation
from prefect_collect.escaping import one_line
from prefect_collect.flows.block_references import saved
from prefect_collect.flows.deploying import ensure_deployment
from prefect_collect.formats import FORMAT_WORDS, LIMITED, OPTION_GROUPS, Format, options_json, require_options
from prefect_collect.formats.bag_options import BagOptions
from prefect_collect.formats.bag_planning import require_conforming
from prefect_collect.formats.dataset import Dataset
from prefect_collect.formats.export_texts import EXPORT_TEXTS
from prefect_collect.formats.incremental import require_possible_since
from prefect_collect.formats.load_file import LoadFile
from prefect_collect.formats.mail_set import MailSet
from prefect_collect.parameters import Deduplicate, When
from prefect_collect.runs.custodian_label import custodian_labels, custodian_of
from prefect_collect.runs.deployment_lookup import deployment_of, is_served, sibling
from prefect_collect.runs.job_end import kind_of
from prefect_collect.runs.labels import EXPORT_MADE, EXPORT_WHEN, SOURCE, export_tag, label_of, labels_of, set_labels
from prefect_collect.runs.queries import flow_runs, status_of
from prefect_collect.runs.source_queue import SourceQueue
from prefect_collect.runs.states import put, state_of
from prefect_collect.runs.turn import join_queue, released_state
from prefect_collect.statuses import JobKind, JobStatus, NextStep, require_step
from prefect_collect.storable import require_storable
from prefect_collect.stores import Store
from prefect_collect.stores.addresses import DESTINATIONS, STORE_BLOCKS

COLLECTION_DELETED: Final = (
    "collection_deleted: The export's collection was deleted, or is not named in its parameters, so there is nothing to"
    " export; delete the export too."
)

_LEFT_OUT: Final = frozenset({"deduplicate", "duplicates_of"})
"""The fields of an automatic export that are left out of a job's parameters if they are not asked for."""

pending_exports: ContextVar[list[UUID] | None] = ContextVar("pending exports", default=None)
"""The exports to run in this process, as no worker serves them; None where no job runs (see `exports_here`)."""


class AutoExport(BaseModel):
    """An export that is created with a collection, and starts by itself when the collection is done.

    Raise UsageError for a text that Prefect cannot store.
    """

    destination: str = Field(
        title="Destination",
        description=f"Where the package goes: {DESTINATIONS}.",
        min_length=1,
    )
    format: Format = Field(default="bagit", title="Format", description=FORMAT_WORDS)
    when: When = Field(
        default="completed",
        title="Start when the collection is",
        description='"completed": successfully or partially; "successful": only successfully.',
    )
    name: str | None = Field(default=None, title="Name", description="The export's name.")
    sha512: bool = Field(default=False, title="SHA-512", description=EXPORT_TEXTS["sha512"])
    portable_names: bool = Field(
        default=False,
        title="Portable names",
        description=EXPORT_TEXTS["portable_names"],
    )

    load_file: LoadFile | None = Field(default=None, title="Load file", description=EXPORT_TEXTS["load_file"])
    bag: BagOptions | None = Field(default=None, title="Bag", description=EXPORT_TEXTS["bag"])
    mail: MailSet | None = Field(default=None, title="Mail", description=EXPORT_TEXTS["mail"])
    dataset: Dataset | None = Field(default=None, title="Dataset", description=EXPORT_TEXTS["dataset"])

    deduplicate: Deduplicate | None = Field(default=None, title="Deduplicate", description=EXPORT_TEXTS["deduplicate"])
    duplicates_of: list[str] | None = Field(
        default=None, title="Duplicates of", description=EXPORT_TEXTS["duplicates_of"]
    )

    @model_validator(mode="after")
    def _check_options(self) -> AutoExport:
        given = {name: getattr(self, name) for name in LIMITED}
        require_options(self.format, given)
        require_conforming(self.bag, self.format, sha512=self.sha512)
        return self

    @model_serializer(mode="wrap")
    def _asked(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what is not asked for: Prefect's server takes no null for a choice, and older deployments no such
        fields.
        """
        values: dict[str, Any] = serialize(self)
        return {name: value for name, value in values.items() if value is not None or name not in _LEFT_OUT}

    @model_validator(mode="before")
    @classmethod
    def _check_texts(cls, fields: object) -> object:
        require_storable(fields, "auto_export")
        return fields


def require_possible(store: Store, collection: str, wanted: AutoExport | None, since: str | None = None) -> None:
    """Raise UsageError if the export names an earlier job that it cannot continue, or be compared with, or if it cannot
    be made of an incremental collection.

    Raise EvidenceError and StoreError, too.

    Args:
        store: The collection's staging store.
        collection: The collection's id; "" if it is not made yet.
        wanted: The export; None for none.
        since: The collection's parameter; None if it is not incremental.
    """
    if wanted is None:
        return
    require_possible_since(wanted.format, since=since, deduplicate=wanted.deduplicate)
    # They import all package formats, a tenth of what a collection imports in all.
    from prefect_collect.exporting.control_numbers import require_continuable
    from prefect_collect.exporting.duplicates import require_comparable

    require_continuable(store, wanted.load_file)
    require_comparable(store, collection, wanted.duplicates_of or ())


def ensure_export(
    client: SyncPrefectClient, collection: FlowRun, wanted: AutoExport, store: str | dict[str, Any], source: str
) -> None:
    """Create the export that awaits the collection, unless it was created before; a deleted one stays deleted."""
    if label_of(collection, EXPORT_MADE):
        return
    if not any(label_of(run, EXPORT_WHEN) for run in exports_of(client, collection.id)):
        _make_export(client, collection, wanted, store, source)
    set_labels(client, collection.id, {EXPORT_MADE: "yes"})


def _make_export(
    client: SyncPrefectClient, collection: FlowRun, wanted: AutoExport, store: str | dict[str, Any], source: str
) -> None:
    values = wanted.model_dump(exclude={"when", "name", *OPTION_GROUPS})
    values |= options_json({name: getattr(wanted, name) for name in OPTION_GROUPS})
    if wanted.destination.startswith(STORE_BLOCKS):
        values["destination"] = {"$ref": {"block_document_id": str(saved(load_destination(wanted.destination)))}}
    name = wanted.name or f"export of {collection.name}"
    parameters = {**values, "collection_job": str(collection.id), "name": name, "store": store}
    custodian = custodian_of(collection.parameters, collection.labels)
    state = awaiting_state()
    chosen = sibling(client, collection, JobKind.EXPORT) or ensure_deployment(client, JobKind.EXPORT)
    run = client.create_flow_run_from_deployment(
        chosen.id, parameters=parameters, state=state, name=one_line(name),
        tags=[*chosen.tags, export_tag(collection.id)], idempotency_key=f"auto-export-{collection.id}",
        labels=labels_of({EXPORT_WHEN: wanted.when, SOURCE: source, **custodian_labels(custodian)}),
    )  # fmt: skip
    publish_status(JobKind.EXPORT, JobStatus.AWAITING_COLLECTION, run)


def load_destination(reference: str) -> Block:
    """Load the store block that an export is written to. Raise InvalidLocation if Prefect has none of that name."""
    load: Any = Block.load
    try:
        block: Block = load(reference)
    except ValueError as error:
        raise InvalidLocation(f"Prefect has no such block; save it first. [destination={reference}]") from error
    return block


def awaiting_state(message: str = "It starts by itself when its collection is completed.") -> State[Any]:
    """Return the state of an export whose collection is not completed."""
    return state_of(JobKind.EXPORT, JobStatus.AWAITING_COLLECTION, message)


def exports_of(client: SyncPrefectClient, collection: UUID) -> list[FlowRun]:
    """Return the exports that were created with that collection, or from it."""
    return [*flow_runs(client, FlowRunFilter(tags=FlowRunFilterTags(all_=[export_tag(collection)])))]


def is_awaiting(run: FlowRun) -> bool:
    """Return whether the run is an export that awaits its collection."""
    return run.state is not None and run.state_name == str(JobStatus.AWAITING_COLLECTION)


def collection_is_done(client: SyncPrefectClient, export_run: FlowRun) -> bool | None:
    """Return whether the export's collection has the status that it waits for; None if there is no such collection.

    It was deleted, or the run names none, as a run that a user makes by Prefect's API may.
    """
    try:
        collection = client.read_flow_run(UUID(str(export_run.parameters.get("collection_job"))))
    except (ObjectNotFound, ValueError):
        return None
    status = status_of(JobKind.COLLECTION, collection)
    if label_of(export_run, EXPORT_WHEN) == "successful":
        return status is JobStatus.SUCCESSFULLY_COMPLETED
    return status in (JobStatus.SUCCESSFULLY_COMPLETED, JobStatus.PARTIALLY_COMPLETED)


def require_exportable(client: SyncPrefectClient, job_id: str) -> None:
    """Raise ActionNotAllowed if the job's status in Prefect does not offer Export; an unknown job passes.

    The staging store does not show that a collection is a draft, or that it is queued again.
    """
    try:
        run = client.read_flow_run(UUID(job_id))
    except (ObjectNotFound, ValueError):
        return
    kind = kind_of(client, run)
    status = None if kind is None else status_of(kind, run)
    if kind is not None and status is not None:
        require_step(kind, status, NextStep.EXPORT)


def follow_up(client: SyncPrefectClient, collection: FlowRun) -> None:
    """Start the exports that awaited this collection, if it has the status that they wait for."""
    if kind_of(client, collection) is not JobKind.COLLECTION:
        return
    for run in exports_of(client, collection.id):
        if is_awaiting(run):
            settle_export(client, run)


def settle_export(client: SyncPrefectClient, run: FlowRun) -> None:
    """Queue an export that awaits its collection if that is done; make it Failed if there is no such collection."""
    run = client.read_flow_run(run.id)  # it was read with many others, and may have changed since
    if not is_awaiting(run):
        return
    done = collection_is_done(client, run)
    if done is None:
        fail_deleted(client, run)
    elif done:
        _start(client, run)


def fail_deleted(client: SyncPrefectClient, run: FlowRun) -> None:
    """End an export that has no collection, or whose collection was deleted before it was done."""
    put(client, run.id, state_of(JobKind.EXPORT, JobStatus.FAILED, COLLECTION_DELETED))
    publish_status(
        JobKind.EXPORT, JobStatus.FAILED, client.read_flow_run(run.id), COLLECTION_DELETED, occasion=run.state_id
    )  # fmt: skip


def _start(client: SyncPrefectClient, run: FlowRun) -> None:
    deployment = deployment_of(client, run)
    pending = pending_exports.get()
    if pending is not None and (deployment is None or not is_served(deployment)):
        pending.append(run.id)
    elif deployment is not None:
        # A worker starts the run as soon as it is due, and the statuses that it publishes must come after this one.
        join_queue(client, run, SourceQueue(JobKind.EXPORT, label_of(run, SOURCE)))
        publish_status(JobKind.EXPORT, JobStatus.QUEUED, run, occasion=run.state_id)
        put(client, run.id, released_state(JobKind.EXPORT))
