"""Check that places do not overlap: a package must not be written into the source that it is made from."""

from __future__ import annotations

from typing import Any

from prefect.blocks.core import Block

from prefect_collect.blocks.data_source import DataSource
from prefect_collect.flows.auto_exports import AutoExport, load_destination
from prefect_collect.flows.stores import store_of
from prefect_collect.formats import require_source
from prefect_collect.job_folder.collected_folder import CollectedFolder, collected_folder
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


def collected_source(record: JobRecord) -> DataSource | CollectedFolder | None:
    """Return the source that a job collected: its saved block, or else the folder it names; None without either."""
    load: Any = Block.load_from_ref
    try:
        block = load(record.source["block_id"])
    except (KeyError, ValueError):
        return collected_folder(record)
    return block if isinstance(block, DataSource) else None
