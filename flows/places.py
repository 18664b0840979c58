"""Check that places do not overlap: a package must not be written into the source that it is made from."""

from __future__ import annotations

from typing import Any

from prefect.blocks.core import Block

from prefect_collect.blocks.data_source import DataSource
from prefect_collect.errors import CollectError
from prefect_collect.flows.auto_exports import AutoExport, load_destination
from prefect_collect.flows.stores import store_of
from prefect_collect.formats import require_source
from prefect_collect.job_folder.folder import JobRecord
from prefect_collect.sources.overlaps import require_collectable, require_destination
from prefect_collect.stores import Store
from prefect_collect.stores.addresses import STORE_BLOCKS


def require_places(source: DataSource, staging: Store, auto_export: AutoExport | None) -> None:
    """Raise InvalidLocation if a collection's source lies in its staging store, or its export would go into either.

    Raise UsageError if the export's format cannot be made of a collection from that source.
    """
    require_collectable(source, staging)
    if auto_export is not None:
        require_source(auto_export.format, {"type": source.get_block_type_slug()})
        named: Any = auto_export.destination
        destination = store_of(load_destination(named) if named.startswith(STORE_BLOCKS) else named)
        require_destination(source, staging, destination)


def require_export_apart(record: JobRecord, staging: Store, destination: Store) -> None:
    """Raise InvalidLocation if an export of that collection would go into its source or into the staging store."""
    require_destination(collected_source(record), staging, destination)


def collected_source(record: JobRecord) -> DataSource | None:
    """Return the source that a job collected: its saved block, or else the folder it names; None without either."""
    load: Any = Block.load_from_ref
    try:
        block = load(record.source["block_id"])
    except (KeyError, ValueError):
        return local_source(record)
    return block if isinstance(block, DataSource) else None


def local_source(record: JobRecord) -> DataSource | None:
    """Return the folder that a job collected, without asking Prefect; None if its source is no folder."""
    from prefect_collect.blocks.file_source import FileSource

    if record.source.get("type") != FileSource.get_block_type_slug():
        return None
    try:
        # It does not matter whether the source follows links: only its own path is compared.
        return FileSource(root=str(record.source.get("location")))
    except (CollectError, ValueError):
        return None
