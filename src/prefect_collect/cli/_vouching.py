"""The option ``--single-writer``: the user vouches that only one process writes to a store on S3.

It is for S3 servers without conditional creates. A flow gets it as a store block, which Prefect keeps with the job, so
that the user gives it once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prefect_collect.errors import InvalidLocation
from prefect_collect.stores.addresses import shown

if TYPE_CHECKING:
    from prefect.blocks.core import Block


def require_bucket(*locations: str) -> None:
    """Raise InvalidLocation if none of the locations is on S3, as the option has no meaning elsewhere."""
    if not any(map(_is_bucket, locations)):
        raise InvalidLocation(
            f"--single-writer is for s3://bucket/prefix only; a folder keeps two writers apart by itself. "
            f"[store={shown(locations[0])}]"
        )


def vouched(*locations: str) -> list[Block | str]:
    """Return the locations for a flow, those on S3 as blocks with `single_writer`. Raise InvalidLocation if none is."""
    require_bucket(*locations)
    return [_block(location) if _is_bucket(location) else location for location in locations]


def vouched_again(job_id: str, store: str | None) -> Block:
    """Return the staging store of an existing job as a block with `single_writer`; its credentials are kept."""
    from prefect.blocks.core import Block

    from prefect_collect import jobs
    from prefect_collect.blocks import S3StoreBlock

    job = jobs.get(job_id, store)
    named = job.parameters.get("store")
    if isinstance(named, dict) and "$ref" in named:
        load: Any = Block.load_from_ref
        block: Block = load(named["$ref"])
        if isinstance(block, S3StoreBlock):
            return block.model_copy(update={"single_writer": True})
    location = job.folder.store.url
    require_bucket(location)
    return _block(location)


def _is_bucket(location: str) -> bool:
    return location.lower().startswith("s3://")


def _block(location: str) -> Block:
    from prefect_collect.cli._server import quieten

    quieten()
    from prefect_collect.blocks import S3StoreBlock

    bucket, _, prefix = location.partition("://")[2].partition("/")
    return S3StoreBlock(bucket=bucket, prefix=prefix.strip("/"), single_writer=True)
