"""A job in its own process, over the Prefect server of the environment, which a test kills or interrupts.

    python job_child.py collect STORE ROOT
    python job_child.py start STORE ROOT            a draft, which the process itself starts
    python job_child.py export STORE COLLECTION DESTINATION

Prints the id of the flow run as soon as the job works on its items, and the name of the final state at the end. It has
only that end if it is stopped: a collection waits for that once three shards are committed, an export to a folder with
each write of a package.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path
from typing import Any, Final

from prefect_collect import collect, export, jobs
from prefect_collect.blocks.file_source import FileSource
from prefect_collect.collecting import enumeration
from prefect_collect.sources import Content, Item
from prefect_collect.stores import DirectoryStore, _directory_writer
from prefect_collect.threads.progress import Progress, watching
from prefect_collect.threads.stop import current_stop

_HELD_AFTER: Final = 3
"""The committed shards after which no item is read before the job is stopped."""

_HELD: Final = 600.0
"""Seconds that are longer than any test."""

_PAUSE: Final = 0.002
"""Seconds before each item until then, in which a test may see how far the job is."""


def name_of(root: Path | str) -> str:
    """Return the name of the source of that folder: other tests on the server have other sources."""
    return f"files of {Path(root).parent.name}"


def announced(job_id: str, progress: Progress) -> None:
    """Print the job's id once, when the job works on its items."""
    print(job_id, flush=True)


def main(what: str, store: str, *places: str) -> None:
    """Run the job."""
    with watching(announced):
        if what == "collect":
            enumeration.SHARD_ITEMS = 40  # type: ignore[misc]
            source = FileSource(name=name_of(places[0]), root=places[0])
            source.save("killed", overwrite=True)
            hold_collection()
            state = collect(source=source, store=store, return_state=True)
        elif what == "start":
            enumeration.SHARD_ITEMS = 40  # type: ignore[misc]
            hold_collection()
            draft = jobs.draft_collection(FileSource(name=name_of(places[0]), root=places[0]), store=store)
            jobs.start(draft.id, here=True)
            return
        else:
            hold_export()
            state = export(places[0], places[1], store=store, return_state=True)
    print(state.name, flush=True)


def hold_collection() -> None:
    """Have the items after some committed shards wait until the job is stopped: a test stops it amid its work."""
    read, create = FileSource.read_many, DirectoryStore.create
    committed, enough = count(1), threading.Event()

    def creating(self: DirectoryStore, key: str, *args: Any, **options: Any) -> Any:
        made = create(self, key, *args, **options)
        if "/ledger/" in key and next(committed) >= _HELD_AFTER:
            enough.set()
        return made

    def held(items: Iterable[Item]) -> Iterator[Item]:
        for item in items:
            current_stop().wait(_HELD if enough.is_set() else _PAUSE)
            yield item

    def read_many(
        self: FileSource, items: Iterable[Item], concurrency: int
    ) -> Iterator[tuple[Item, Content | Exception]]:
        return read(self, held(items), concurrency)

    FileSource.read_many = read_many  # type: ignore[method-assign]
    DirectoryStore.create = creating  # type: ignore[method-assign]


def hold_export() -> None:
    """Have each write of a package wait until the job is stopped."""
    copy = _directory_writer.DirectoryWriter.copy

    def held(*args: Any) -> None:
        current_stop().wait(_HELD)
        copy(*args)

    _directory_writer.DirectoryWriter.copy = held  # type: ignore[method-assign,assignment]


if __name__ == "__main__":
    main(*sys.argv[1:])
