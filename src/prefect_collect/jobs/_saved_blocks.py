"""The data sources and stores that are saved in Prefect under a name; no secret is read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import httpx
from prefect.blocks.core import Block
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import BlockDocumentUpdate, GlobalConcurrencyLimitUpdate
from prefect.client.schemas.objects import BlockDocument

from prefect_collect.blocks.data_source import DataSource
from prefect_collect.blocks.locate import source_types
from prefect_collect.errors import SourceNotFound, UsageError
from prefect_collect.job_folder.acting import operator
from prefect_collect.jobs._masked_blocks import masked_block, unreadable
from prefect_collect.jobs._prefect_errors import mapped
from prefect_collect.runs.events import emit_source_change
from prefect_collect.runs.paging import PAGE, paged
from prefect_collect.runs.source_queue import SourceQueue
from prefect_collect.statuses import JobKind, LifecycleStatus
from prefect_collect.stores.addresses import STORE_BLOCKS

_NOT_FOUND: Final = 404


@dataclass(frozen=True)
class SavedSource:
    """A data source that is saved in Prefect.

    Attributes:
        id: The id of the block's document.
        reference: The block's type and name, as ``file-source/docs``.
        type: What kind of block it is, in words.
        name: The source's name in messages and in the name of its queues; "" if the block cannot be read.
        location: Where the items are, without secrets.
        lifecycle: ACTIVE; or SUSPENDED or ARCHIVED, so that no job starts on the source.
        problem: Why the block cannot be read, as a sentence; "" if it can.
    """

    id: UUID
    reference: str
    type: str
    name: str
    location: str
    lifecycle: LifecycleStatus
    problem: str = ""


@dataclass(frozen=True)
class SavedBlock:
    """Any other block that is saved in Prefect: its document's id, its type and name, and where it leads to."""

    id: UUID
    reference: str
    location: str = ""


@mapped
def list_sources() -> list[SavedSource]:
    """Return the data sources that are saved in Prefect under a name, by name; of the types that are installed here.

    Raises:
        PrefectUnavailable: Prefect's server does not answer.
        PrefectError: Prefect's server refuses the request.
    """
    with get_client(sync_client=True) as client:
        documents = [*saved_documents(client, (kind.get_block_type_slug() for kind in source_types()))]
    return sorted((_source(found) for found in documents), key=lambda one: (one.name.casefold(), one.reference))


@mapped
def list_stores() -> list[SavedBlock]:
    """Return the store blocks that are saved in Prefect under a name, by type and name.

    Raises:
        PrefectUnavailable: Prefect's server does not answer.
        PrefectError: Prefect's server refuses the request.
    """
    with get_client(sync_client=True) as client:
        documents = [*saved_documents(client, (prefix.rstrip("/") for prefix in STORE_BLOCKS))]
    return sorted((SavedBlock(one.id, reference_of(one), _place(one.data)) for one in documents), key=by_reference)


@mapped
def saved_block(block_id: str | UUID) -> Block:
    """Return the block of a document, with its secrets.

    Raises:
        SourceNotFound: Prefect has no block of that id.
    """
    load: Any = Block.load_from_ref
    try:
        found: Block = load(UUID(str(block_id)))
    except ValueError as error:
        raise SourceNotFound(f"Prefect has no such block; load the page again. [block={block_id}]") from error
    return found


@mapped
def set_lifecycle(source_id: str | UUID, lifecycle: LifecycleStatus) -> SavedSource:
    """Change the lifecycle of a saved data source in its block, and return the source.

    Jobs that are in progress go on; one that starts on a source that is not ACTIVE ends as Canceled. Prefect gets an
    event that says who changed it.

    Args:
        source_id: The id of the block's document.
        lifecycle: The new lifecycle.

    Raises:
        SourceNotFound: Prefect has no data source of that id.
    """
    known = {source.id: source for source in list_sources()}
    try:
        source = known[UUID(str(source_id))]
    except (KeyError, ValueError) as error:
        raise SourceNotFound(f"Prefect has no such data source; load the page again. [source={source_id}]") from error
    with get_client(sync_client=True) as client:
        # Only this field: what a user changes in the block at the same moment, and its secrets, stay as they are. But
        # Prefect's server (3.8: `update_block_document`) drops the references to other blocks that are not sent again.
        document = client.read_block_document(source.id, include_secrets=False)
        references = {
            field: {"$ref": {"block_document_id": str(one["block_document"]["id"])}}
            for field, one in document.block_document_references.items()
        }
        data = {**references, "lifecycle": lifecycle.value}
        client.update_block_document(source.id, BlockDocumentUpdate(data=data, merge_existing_data=True))
        emit_source_change(source.name or source.reference, operator(), {"lifecycle": lifecycle.value})
        return _source(client.read_block_document(source.id, include_secrets=False))


@mapped
def source_limits() -> dict[tuple[JobKind, str], int]:
    """Return how many jobs may run at once, by their kind and the data source's name; a queue that is not there has 1.

    Raises:
        PrefectUnavailable: Prefect's server does not answer.
        PrefectError: Prefect's server refuses the request.
    """
    found: dict[tuple[JobKind, str], int] = {}
    with get_client(sync_client=True) as client:
        for limit in paged(lambda most, offset: client.read_global_concurrency_limits(limit=most, offset=offset)):
            queue = SourceQueue.named(limit.name)
            if queue is not None:
                found[queue.kind, queue.source] = limit.limit
    return found


@mapped
def set_source_limit(source: str, limit: int, kind: JobKind = JobKind.COLLECTION) -> None:
    """Change how many jobs of that kind may run at once on a data source.

    Args:
        source: The source's name.
        limit: The number; 0 holds every job of the source back.
        kind: Collections or exports.

    Raises:
        UsageError: The limit is not a number from 0 to 1,000, or the source has no name.
    """
    if not 0 <= limit <= 1000 or not source:
        raise UsageError(f"A limit is a number from 0 to 1000. [limit={limit}]")
    queue = SourceQueue(kind, source)
    with get_client(sync_client=True) as client:
        queue.read(client)  # it makes the limit if there is none
        client.update_global_concurrency_limit(queue.name, GlobalConcurrencyLimitUpdate(limit=limit))
    emit_source_change(source, operator(), {f"{kind.value}s at once": limit})


def saved_documents(client: SyncPrefectClient, types: Iterable[str]) -> Iterator[BlockDocument]:
    """Yield the documents of all blocks of these types that are saved under a name, without secrets."""
    for slug in types:
        offset = 0
        while True:
            try:
                page = client.read_block_documents_by_type(slug, offset, PAGE, include_secrets=False)
            except httpx.HTTPStatusError as error:
                if error.response.status_code == _NOT_FOUND:  # no block of this type was ever saved
                    break
                raise
            yield from (one for one in page if not one.is_anonymous and one.name)
            if len(page) < PAGE:
                break
            offset += PAGE


def _source(document: BlockDocument) -> SavedSource:
    """Return a source; one whose block cannot be read is shown as far as its document goes."""
    kind = document.block_type.name if document.block_type is not None else ""
    try:
        block = masked_block(document)
        if not isinstance(block, DataSource):
            raise SourceNotFound(f"It is no data source. [{reference_of(document)}]")
    except Exception as error:
        lifecycle = document.data.get("lifecycle")
        known = LifecycleStatus(lifecycle) if lifecycle in list(LifecycleStatus) else LifecycleStatus.ACTIVE
        name = str(document.data.get("name") or "")
        return SavedSource(document.id, reference_of(document), kind, name, "", known, unreadable(error))
    return SavedSource(document.id, reference_of(document), kind, block.name, block.location(), block.lifecycle)


def reference_of(document: BlockDocument) -> str:
    """Return a block's type and name, as ``secret/collect-mail``."""
    slug = document.block_type.slug if document.block_type is not None else ""
    return f"{slug}/{document.name}"


def by_reference(block: SavedBlock) -> str:
    """Return what saved blocks are sorted by."""
    return block.reference


def _place(data: dict[str, Any]) -> str:
    if bucket := data.get("bucket"):
        return f"s3://{bucket}/{data.get('prefix') or ''}".rstrip("/")
    return str(data.get("url") or data.get("path") or "")
