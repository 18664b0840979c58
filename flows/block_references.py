"""References to blocks that are saved in Prefect."""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from uuid import UUID

import httpx
from prefect.blocks.core import Block
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import BlockDocumentCreate
from prefect.exceptions import ObjectAlreadyExists

_REVEALED = {"include_secrets": True}
_SENT = {"name", "block_schema_id", "block_type_id", "data", "is_anonymous"}
_types: dict[tuple[str, type[Block]], tuple[UUID, UUID]] = {}
"""The ids of the type and of the schema of blocks that this process has saved, by server and class."""


def saved(block: Block) -> UUID:
    """Return the id of the block's document in Prefect; save the block anonymously if it is not saved as it is."""
    if block._block_document_id is None or not _is_as_stored(block):
        block = block.model_copy()
        block._block_document_id = block._block_document_name = None
        return _saved_anonymously(block)
    return block._block_document_id


def _saved_anonymously(block: Block) -> UUID:
    """Save a block without a name, and return its id.

    Prefect's `save` looks up the type and the schema of the block each time, two requests, and of each block in it.
    Here a process looks them up once on each server, and again if they were removed there.
    """
    with get_client(sync_client=True) as client:
        known = _types.get((str(client.api_url), type(block)))
        if known is not None:
            with suppress(ObjectAlreadyExists, httpx.HTTPStatusError):  # a conflict: there is no such type any more
                return client.create_block_document(_document(block, *known)).id
        block._save_sync(is_anonymous=True)
        type_id, schema_id = block._block_type_id, block._block_schema_id
        if type_id is not None and schema_id is not None:
            _types[str(client.api_url), type(block)] = type_id, schema_id
    assert block._block_document_id is not None
    return block._block_document_id


def _document(block: Block, type_id: UUID, schema_id: UUID) -> BlockDocumentCreate:
    """Return what `Block.save` sends to Prefect (3.8: `Block._save_sync`)."""
    document = block._to_block_document(
        block_type_id=type_id, block_schema_id=schema_id, is_anonymous=True, include_secrets=True
    )
    return BlockDocumentCreate(**document.model_dump(include=_SENT))


def _is_as_stored(block: Block) -> bool:
    """Return whether the saved document equals the block, which may have been changed after it was loaded."""
    load: Any = type(block).load_from_ref
    try:
        stored: Block = load(block._block_document_id)
    except ValueError:
        return False
    return stored.model_dump(context=_REVEALED) == block.model_dump(context=_REVEALED)
