"""The saved blocks of Prefect that a new source takes as credentials or secrets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from prefect.blocks.system import Secret
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import BlockDocument

from prefect_collect.blocks.data_source import SECRETS, SavedBlocks
from prefect_collect.blocks.locate import saved_fields
from prefect_collect.errors import UsageError
from prefect_collect.jobs._prefect_errors import mapped
from prefect_collect.jobs._saved_blocks import SavedBlock, by_reference, reference_of, saved_block, saved_documents

SECRET_PREFIX: Final = "collect-"
"""How the names of the Secret blocks begin that are offered: others may be of programs that a user must not open."""


@mapped
def list_credentials(location: str) -> dict[str, list[SavedBlock]]:
    """Return the saved blocks that a new source at a location takes, by the source's field; no secret is read.

    Of Prefect's Secret blocks, these are only those whose names begin with ``collect-``.

    Args:
        location: A URL, as ``imaps://user@host/folder``; a path takes none.

    Raises:
        InvalidLocation: No installed source has such URLs.
        PrefectUnavailable: Prefect's server does not answer.
        PrefectError: Prefect's server refuses the request.
    """
    taken = saved_fields(location)
    if not taken:
        return {}
    with get_client(sync_client=True) as client:
        found = {blocks: _offered(client, blocks) for blocks in set(taken.values())}
    return {field: found[blocks] for field, blocks in taken.items()}


def picked_credentials(location: str, picked: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields of a new source at a location that the picked blocks fill.

    Args:
        location: The URL.
        picked: The ids of blocks of `list_credentials`, by the source's field.

    Raises:
        UsageError: A block is not one that the source takes there.
    """
    if not picked:
        return {}
    taken, offered = saved_fields(location), list_credentials(location)
    filled: dict[str, Any] = {}
    for field, block_id in picked.items():
        found = next((one for one in offered.get(field, ()) if str(one.id) == block_id), None)
        if found is None:
            raise UsageError(f"The source takes no such block; pick one that is offered for it. [{field}={block_id}]")
        filled[field] = found.reference.partition("/")[2] if taken[field].by_name else _held(found)
    return filled


def _held(block: SavedBlock) -> object:
    loaded = saved_block(block.id)
    # Not `loaded.get()`, which makes a number of a password of digits.
    return loaded.value.get_secret_value() if isinstance(loaded, Secret) else loaded


def _offered(client: SyncPrefectClient, blocks: SavedBlocks) -> list[SavedBlock]:
    found = (
        SavedBlock(one.id, reference_of(one))
        for one in saved_documents(client, blocks.types)
        if not _is_secret(one) or str(one.name).startswith(SECRET_PREFIX)
    )
    return sorted(found, key=by_reference)


def _is_secret(document: BlockDocument) -> bool:
    return reference_of(document).partition("/")[0] in SECRETS.types
