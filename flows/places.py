"""Check that places do not overlap: a package must not be written into the source that it is made from."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from prefect.blocks.core import Block

from prefect_collect.blocks.data_source import DataSource
from prefect_collect.errors import StoreError
from prefect_collect.flows.auto_exports import AutoExport, load_destination
from prefect_collect.flows.stores import store_of
from prefect_collect.formats import FORMATS, require_source
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
        require_destination(source, staging, _destination(auto_export))


def require_growing(auto_export: AutoExport | None) -> None:
    """Raise PackageExists or PackageError if the destination holds what a format that grows cannot be added to.

    A destination that cannot be read now may be there when the export starts.
    """
    if auto_export is None or not FORMATS[auto_export.format].grows:
        return
    from prefect_collect.packages import require_possible  # imports what few exports need

    with suppress(StoreError):
        require_possible(_destination(auto_export))


def _destination(auto_export: AutoExport) -> Store:
    named: Any = auto_export.destination
    return store_of(load_destination(named) if named.startswith(STORE_BLOCKS) else named)


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
