"""One attempt of a collection or an export in its own process, which a test kills.

python engine_child.py collect STORE JOB ROOT
python engine_child.py export STORE JOB DESTINATION COLLECTION [FORMAT]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator

from prefect_collect.blocks.file_source import FileSource
from prefect_collect.collecting import enumeration
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.sources import Content, Item
from prefect_collect.stores import open_store
from tests.support.run_attempts import attempt, export, new_job

_PAUSE = 0.002


def slow(source: FileSource) -> FileSource:
    """Return the source with a pause before each item, so that a kill can fall anywhere."""
    read = FileSource.read_many

    def slowly(items: Iterable[Item]) -> Iterator[Item]:
        for item in items:
            time.sleep(_PAUSE)
            yield item

    def read_many(
        self: FileSource, items: Iterable[Item], concurrency: int
    ) -> Iterator[tuple[Item, Content | Exception]]:
        return read(self, slowly(items), concurrency)

    FileSource.read_many = read_many  # type: ignore[method-assign]
    return source


def main(what: str, store: str, job: str, place: str, collection: str = "", format: str = "bagit") -> None:
    """Run the attempt."""
    opened = open_store(store)
    print("ready", flush=True)
    if what == "collect":
        enumeration.SHARD_ITEMS = 20  # type: ignore[misc]
        source = FileSource(name="files", root=place)
        folder = new_job(opened, source, job)
        print(attempt(folder, slow(source), workers=2).status, flush=True)
    else:
        folder = JobFolder(opened, collection)
        print(export(folder, open_store(place), format, JobFolder(opened, job))[1].status, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
