"""A small collection, and what is in a folder."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

from prefect_collect.collecting import enumeration
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.stores import DirectoryStore
from tests.support.memory_source import MemorySource, Thing
from tests.support.memory_store import MemoryStore
from tests.support.run_attempts import attempt, new_job


def collected(store: MemoryStore | DirectoryStore) -> tuple[JobFolder, MemorySource]:
    """Return a collection of six items that succeeded and two that did not; in memory, it is a copy of one."""
    if isinstance(store, DirectoryStore):
        return _collected(store)
    folder, source = _in_memory(enumeration.SHARD_ITEMS)
    made = folder.store
    assert isinstance(made, MemoryStore)
    store.blobs |= made.blobs
    store.written += made.written
    things = {name: replace(thing) for name, thing in source.things.items()}
    own = MemorySource(things, opened=source.opened.copy(), given=source.given.copy(), listings=source.listings)
    return JobFolder(store, folder.job_id), own


@cache
def _in_memory(_shard_items: int) -> tuple[JobFolder, MemorySource]:
    return _collected(MemoryStore())


def _collected(store: MemoryStore | DirectoryStore) -> tuple[JobFolder, MemorySource]:
    source = MemorySource({f"good/{n}": Thing("good", f"content {n}".encode() * 9) for n in range(6)})
    source.things |= {f"denied/{n}": Thing("denied", b"secret") for n in range(2)}
    folder = new_job(store, source)
    attempt(folder, source)
    return folder, source


def tree(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
