"""``--single-writer``: the user's word that nothing else writes to a store on an S3 server without conditional creates.

A flow takes it as a store block, which Prefect keeps with the job: it is given once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prefect_collect.errors import InvalidLocation
from prefect_collect.stores.addresses import shown

if TYPE_CHECKING:
    from prefect.blocks.core import Block


def require_bucket(*locations: str) -> None:
    """Raise InvalidLocation if none of the locations is on S3, where alone the option means something."""
    if not any(map(_is_bucket, locations)):
        raise InvalidLocation(
            f"--single-writer goes with s3://bucket/prefix only; a folder keeps two writers apart itself. "
            f"[store={shown(locations[0])}]"
        )


def vouched(*locations: str) -> list[Block | str]:
    """The locations for a flow, each on S3 as a block with the user's word. Raises InvalidLocation if none is."""
    require_bucket(*locations)
    return [_block(location) if _is_bucket(location) else location for location in locations]


def vouched_again(job_id: str, store: str | None) -> Block:
    """The staging store of a job that is there, as a block with the user's word; credentials of its own are kept."""
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
