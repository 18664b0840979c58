"""A source in memory for worker processes, some of whose items kill the process that reads them, or hang in it."""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prefect_collect.sources import Content, Item
from tests.support.memory_source import MemorySource


@dataclass
class DeadlySource(MemorySource):
    """A source whose processes leave a line in `log` for each item that they read.

    Attributes:
        log: Gets the id of the process and of the item.
        kills: How many processes each of these items kills, with SIGKILL.
        hangs: The items that never arrive.
        reached: A FIFO that gets the id of the process when it reads such an item.
    """

    log: Path = Path()
    kills: dict[str, int] = field(default_factory=dict)
    hangs: frozenset[str] = frozenset()
    reached: Path = Path()

    def _content(self, item: Item) -> Content:
        with self.log.open("a") as log:
            log.write(f"{os.getpid()} {item.id}\n")
        if len(self.readers(item.id)) <= self.kills.get(item.id, 0):
            os.kill(os.getpid(), signal.SIGKILL)
        if item.id in self.hangs:
            with self.reached.open("w") as reached:
                reached.write(f"{os.getpid()}\n")
            threading.Event().wait()
        return super()._content(item)

    def readers(self, id_: str | None = None) -> list[int]:
        """Return the ids of the processes that began to read the item, or any item."""
        lines = [line.split(" ", 1) for line in self.log.read_text().splitlines()] if self.log.exists() else []
        return [int(pid) for pid, read in lines if id_ in (None, read)]

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, lock=threading.Lock())
