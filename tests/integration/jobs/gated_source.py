"""A source that takes its time until a test opens its gate or its job is stopped, in whatever process it runs."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from pydantic import Field

from prefect_collect.blocks import DirectoryStoreBlock
from prefect_collect.blocks.file_source import FileSource
from prefect_collect.collecting import closing, enumeration
from prefect_collect.exporting import attempt as export_attempt
from prefect_collect.flows.running_job import RunningJob, _hooks, _ownership
from prefect_collect.job_folder import custody_events
from prefect_collect.runs import turn
from prefect_collect.sources import Content, Item, Listed
from prefect_collect.threads.stop import current_stop

_MOMENTS: Final[dict[str, tuple[Any, str, bool]]] = {
    "pending": (_ownership, "set_labels", True),
    "owned": (_ownership, "set_labels", False),
    "running": (RunningJob, "start", True),
    "taken up": (RunningJob, "start", False),
    "claimed": (custody_events, "record_start", False),
    "last shard": ((closing, export_attempt), "record_result", True),
    "result": (custody_events, "record_end_if_possible", False),
    "state": (_hooks, "job_ended", True),
    "left": (turn, "give_back", True),
}
"""Before Prefect says Running: before the process is noted, and after that; after Running: before the run is taken up,
and after that; after the claim; after the last shard's ledger; the attempt's result; the final state, before its hook;
the note that the slot is given back, before it is.

What is called there, and whether the process dies before or after that."""


_MACHINE: Final = "machine "
"""Before a moment: the `serve` that started the process dies with it."""


def _dying(place: Any, name: str, marker: Path, *, first: bool) -> None:
    call = getattr(place, name)

    def dying(*args: Any, **kwargs: Any) -> Any:
        if not marker.exists():
            return call(*args, **kwargs)
        if not first:
            call(*args, **kwargs)
        is_power_failure = marker.read_text().startswith(_MACHINE)
        marker.unlink()
        if is_power_failure:  # `serve`, its fork server, and this fork of that
            forker = os.getppid()
            server = int(Path(f"/proc/{forker}/stat").read_text().rpartition(")")[2].split()[1])
            os.kill(server, signal.SIGKILL)
            os.kill(forker, signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(place, name, dying)


def _be_mortal(dies: Path | None) -> None:
    """Have this process die at the moment that the file names, if it is there."""
    if dies is None or not dies.exists():
        return
    places, name, first = _MOMENTS[dies.read_text().removeprefix(_MACHINE)]
    for place in places if isinstance(places, tuple) else (places,):
        _dying(place, name, dies, first=first)


class MortalDirectory(DirectoryStoreBlock):
    """A directory that packages go to, by a process of a worker that dies at a moment (see `GatedFiles.dies`)."""

    _block_type_name = "Mortal Directory"
    _block_type_slug = "mortal-directory"

    dies: Path = Field(description="Names the moment at which the job's process kills itself.")

    def block_initialization(self) -> None:
        """The job's process is to die, and not the one that settles the job."""
        super().block_initialization()
        if "PREFECT__FLOW_RUN_ID" in os.environ:
            _be_mortal(self.dies)


class GatedFiles(FileSource):
    """A directory tree with a pause before each file, until its gate is opened.

    Attributes:
        gate: the pauses end when this file is there.
        pause: seconds before each file.
        dies: while this file is there, the job's process kills itself at the moment that it names (see `_MOMENTS`);
            the file goes with it, so that the job's next process lives.
        shard_items: how many items a shard takes at most, in whatever process lists them.
    """

    _block_type_name = "Gated Files"
    _block_type_slug = "gated-files"

    gate: Path = Field(description="The pauses end when this file is there.")
    pause: float = Field(default=10.0, description="Seconds before each file.")
    dies: Path | None = Field(default=None, description="Names the moment at which the job's process kills itself.")

    shard_items: int | None = Field(default=None, description="How many items a shard takes at most.")

    def block_initialization(self) -> None:
        """A job's process of a worker may be to die before it reads anything."""
        super().block_initialization()
        if "PREFECT__FLOW_RUN_ID" in os.environ:
            _be_mortal(self.dies)

    def items(self) -> Iterator[Listed]:
        """The files, for shards of that size."""
        if self.shard_items is not None:
            enumeration.SHARD_ITEMS = self.shard_items  # type: ignore[misc]
        return super().items()

    def read_many(self, items: Iterable[Item], concurrency: int) -> Iterator[tuple[Item, Content | Exception]]:
        """Read slowly."""
        if "PREFECT__FLOW_RUN_ID" not in os.environ:
            _be_mortal(self.dies)
        return super().read_many(self._slowly(items), concurrency)

    def _slowly(self, items: Iterable[Item]) -> Iterator[Item]:
        for item in items:
            started = time.monotonic()
            while not self.gate.exists() and time.monotonic() - started < self.pause:
                if current_stop().wait(0.05):
                    break
            yield item
