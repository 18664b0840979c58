"""A collection on which files are forged, and everything that reads them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from prefect_collect.collecting.incremental import Incremental
from prefect_collect.errors import CollectError
from prefect_collect.job_folder import custody_log, store_keys
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.job_folder.parquet import read_part
from prefect_collect.verification import verify_job
from tests.support.memory_source import MemorySource, Thing
from tests.support.run_attempts import enter_all, held, unsuccessful

OTHER = "0194c1b0-0000-7000-8000-000000000002"


def a_source() -> MemorySource:
    """Return a source with six readable items, and one that cannot be read."""
    things = {f"good/{n}": Thing("good", f"content {n}".encode() * 9) for n in range(6)}
    return MemorySource({**things, "denied": Thing("denied")})


def place(folder: JobFolder, name: str) -> Path:
    """Return the path of a file of the job."""
    return Path(folder.store.locate(f"{folder.job_id}/{name}"))


def forge_log(folder: JobFolder) -> None:
    """Write a new custody log that vouches for the files as they are now."""
    shutil.rmtree(place(folder, "custody"))
    shutil.rmtree(place(folder, "evidence"))
    enter_all(folder)


def lose_the_end(folder: JobFolder) -> None:
    """Leave the job as if its process had died before it closed the attempt."""
    for name in ("reports/0001/result.json", "evidence/0001.sha256", "custody/000003.json"):
        place(folder, name).unlink()


def read_everything(folder: JobFolder) -> None:
    """Run every reader of a job's folder; each returns, or raises an error of ours."""
    readers: list[Callable[[], object]] = [
        folder.record, folder.result, folder.present, folder.moves_data, folder.require_idle,
        lambda: folder.claimed(1), lambda: folder.claimed_at(1), lambda: folder.inventory_totals(1),
        lambda: custody_log.check_chain(folder), lambda: custody_log.entries(folder), lambda: held(folder),
        lambda: unsuccessful(folder), lambda: verify_job(folder), lambda: Incremental(folder.store, [folder.job_id]),
        lambda: read_part(folder.store, store_keys.ledger_key(folder.job_id, 1, 0)),
        lambda: read_part(folder.store, store_keys.inventory_key(folder.job_id, 1, 0)),
    ]  # fmt: skip
    for reader in readers:
        with suppress(CollectError):
            reader()
