"""A job in its own process, over the Prefect server of the environment, which a test kills or interrupts.

    python job_child.py collect STORE ROOT
    python job_child.py start STORE ROOT            a draft, which the process itself starts
    python job_child.py export STORE COLLECTION DESTINATION

Prints the id of the flow run as soon as the job works on its items, and the name of the final state at the end.
"""

from __future__ import annotations

import sys
import time

from prefect_collect import collect, export, jobs
from prefect_collect.blocks.file_source import FileSource
from prefect_collect.collecting import enumeration
from prefect_collect.threads.progress import Progress, watching
from tests.integration.jobs.engine_child import slow


def announced(job_id: str, progress: Progress) -> None:
    """Print the job's id once, when the job works on its items."""
    print(job_id, flush=True)


def main(what: str, store: str, *places: str) -> None:
    """Run the job."""
    with watching(announced):
        if what == "collect":
            enumeration.SHARD_ITEMS = 40  # type: ignore[misc]
            source = FileSource(name="files", root=places[0])
            source.save("killed", overwrite=True)
            state = collect(source=slow(source), store=store, return_state=True)
        elif what == "start":
            enumeration.SHARD_ITEMS = 40  # type: ignore[misc]
            draft = jobs.draft_collection(slow(FileSource(name="drafted", root=places[0])), store=store)
            jobs.start(draft.id, here=True)
            return
        else:
            slow_export()
            state = export(places[0], places[1], store=store, return_state=True)
    print(state.name, flush=True)


def slow_export() -> None:
    """Make each write of a package slow, so that a kill can fall into it."""
    from prefect_collect.stores import _directory_writer

    copy = _directory_writer.DirectoryWriter.copy

    def slowly(*args: object) -> None:
        time.sleep(0.3)
        copy(*args)  # type: ignore[arg-type]

    _directory_writer.DirectoryWriter.copy = slowly  # type: ignore[method-assign,assignment]


if __name__ == "__main__":
    main(*sys.argv[1:])
