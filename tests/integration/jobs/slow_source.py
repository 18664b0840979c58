"""A source with a pause before each file, in whatever process it runs, which notes the processes that read it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from pydantic import Field

from prefect_collect.blocks.file_source import FileSource
from prefect_collect.sources import Content, Item


class SlowFiles(FileSource):
    """A directory tree with a pause before each file.

    Attributes:
        log: gets a line for each `read_many`: the process and the first item.
        pause: seconds before each file.
    """

    _block_type_name = "Slow Files"
    _block_type_slug = "slow-files"

    log: Path = Field(description="Gets a line for each shard read.")
    pause: float = Field(default=0.002, description="Seconds before each file.")

    def read_many(self, items: Iterable[Item], concurrency: int) -> Iterator[tuple[Item, Content | Exception]]:
        """Read with pauses, and note the process."""
        return super().read_many(self._slowly(items), concurrency)

    def _slowly(self, items: Iterable[Item]) -> Iterator[Item]:
        first = True
        for item in items:
            if first:
                with self.log.open("a") as log:
                    log.write(f"{os.getpid()} {item.id}\n")
            first = False
            time.sleep(self.pause)
            yield item

    def readers(self) -> dict[str, list[int]]:
        """Return, for the first item of each shard, the processes that read it."""
        readers: dict[str, list[int]] = {}
        for line in self.log.read_text().splitlines() if self.log.exists() else ():
            pid, item = line.split(" ", 1)
            readers.setdefault(item, []).append(int(pid))
        return readers
