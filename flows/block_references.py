"""Blocks as Prefect keeps them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from prefect.blocks.core import Block

_REVEALED = {"include_secrets": True}


def saved(block: Block) -> UUID:
    """The id of a document in Prefect that holds the block as it is; it is saved anonymously if there is none."""
    if block._block_document_id is None or not _is_as_stored(block):
        block = block.model_copy()
        block._block_document_id = block._block_document_name = None
        block._save_sync(is_anonymous=True)
    assert block._block_document_id is not None
    return block._block_document_id


def _is_as_stored(block: Block) -> bool:
    """Whether the block's document still holds what the block does; a block may be changed after it was loaded."""
    load: Any = type(block).load_from_ref
    try:
        stored: Block = load(block._block_document_id)
    except ValueError:
        return False
    return stored.model_dump(context=_REVEALED) == block.model_dump(context=_REVEALED)
