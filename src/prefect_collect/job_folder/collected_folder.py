"""The folder that a job collected, as its record names it: known without Prefect, unlike other sources."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from prefect_collect.connectors.overlaps import folder_overlap
from prefect_collect.job_folder.folder import JobRecord
from prefect_collect.sources import Overlap
from prefect_collect.stores import DirectoryStore, Store

FOLDER: Final = "file-source"
"""The type of a folder's source in a job's record: the slug of `FileSource`."""


@dataclass(frozen=True)
class CollectedFolder:
    """A folder, of which only where it is matters."""

    root: Path

    def overlap(self, store: Store) -> Overlap | None:
        """Return what the folder and a directory store have in common, also through links and mounts."""
        if not isinstance(store, DirectoryStore):
            return None
        # It does not matter whether the source follows links: only its own path is compared.
        return folder_overlap(self.root, store.root, follow_symlinks=False)


def collected_folder(record: JobRecord) -> CollectedFolder | None:
    """Return the folder that a job collected; None if its source is no folder."""
    location = str(record.source.get("location") or "")
    if record.source.get("type") != FOLDER or not location or "://" in location or "\0" in location:
        return None
    return CollectedFolder(Path(os.path.abspath(os.path.expanduser(location))))
