"""References to blocks that are saved in Prefect."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from prefect.blocks.core import Block

_REVEALED = {"include_secrets": True}


def saved(block: Block) -> UUID:
    """Return the id of the block's document in Prefect; save the block anonymously if it is not saved as it is."""
    if block._block_document_id is None or not _is_as_stored(block):
        block = block.model_copy()
        block._block_document_id = block._block_document_name = None
        block._save_sync(is_anonymous=True)
    assert block._block_document_id is not None
    return block._block_document_id


def _is_as_stored(block: Block) -> bool:
    """Return whether the saved document equals the block, which may have been changed after it was loaded."""
    load: Any = type(block).load_from_ref
    try:
        stored: Block = load(block._block_document_id)
    except ValueError:
        return False
    return stored.model_dump(context=_REVEALED) == block.model_dump(context=_REVEALED)
