"""Refuse a source, staging store or destination that lies inside another of them, before a job is created."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from prefect_collect.cli._places import is_saved, saved_destination
from prefect_collect.errors import StoreError
from prefect_collect.formats import FORMATS, require_source
from prefect_collect.stores import Store, open_store

if TYPE_CHECKING:
    from prefect.blocks.core import Block

    from prefect_collect.blocks import DataSource
    from prefect_collect.job_folder.folder import JobRecord


def require_apart(
    source: DataSource, location: str, auto_export: dict[str, Any] | None, *, saved: bool = False
) -> None:
    """Raise InvalidLocation if the source and the staging store overlap, or the export would go into one of them.

    Raise UsageError if the export's format cannot be made of a collection from the source; PackageExists or
    PackageError if the destination is no place for a format that grows.

    Args:
        source: The data source.
        location: The staging store.
        auto_export: The export that is made with the collection, if any.
        saved: Check a destination that is saved in Prefect too, which needs a server.
    """
    from prefect_collect.sources.overlaps import require_collectable, require_destination

    staging = open_store(location)
    require_collectable(source, staging)
    if auto_export is None:
        return
    require_source(auto_export.get("format", "bagit"), {"type": source.get_block_type_slug()})
    goal = auto_export["destination"]
    if not is_saved(goal):
        require_destination(source, staging, open_store(goal))
    elif saved:
        require_destination(source, staging, store_of(saved_destination(goal)))
    if FORMATS[auto_export.get("format", "bagit")].grows and not is_saved(goal):
        from prefect_collect.packages import require_possible

        with suppress(StoreError):  # it may be there when the export starts
            require_possible(open_store(goal))


def store_of(block: Block) -> Store:
    """Return the store of a saved block."""
    store: Store = cast("Any", block).store()
    return store


def require_export_apart(record: JobRecord, location: str, destination: Block | str) -> None:
    """Raise InvalidLocation if an export would go into the source of its collection, or into the staging store."""
    from prefect_collect.flows.places import collected_source
    from prefect_collect.sources.overlaps import require_destination

    goal = open_store(destination) if isinstance(destination, str) else store_of(destination)
    require_destination(collected_source(record), open_store(location), goal)


def require_apart_from_folder(record: JobRecord, location: str, destination: str) -> None:
    """Raise InvalidLocation if an export would go into its collection's source, if that is a folder, or into the store.

    This needs no Prefect server, unlike `require_export_apart`.
    """
    from prefect_collect.job_folder.collected_folder import collected_folder
    from prefect_collect.sources.overlaps import require_destination

    require_destination(collected_folder(record), open_store(location), open_store(destination))
