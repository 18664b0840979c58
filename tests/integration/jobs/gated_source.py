"""A source that pauses before each file until its gate is opened or its job is stopped, in whatever process it runs.

So does an export to a folder called ``slow-…``, whose gate is the file ``gate`` beside it.
"""

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
from prefect_collect.stores._directory_writer import DirectoryWriter
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
"""What is called at each moment, and whether the process dies before (True) or after (False) the call.

- pending, owned: before and after the process is noted, before Prefect says Running;
- running, taken up: before and after the running job starts, when Prefect says Running;
- claimed: after the claim;
- last shard: after the last shard's ledger;
- result: after the attempt's result;
- state: after the final state, before its hook;
- left: after the note that the slot is given back, before it is given back.
"""


_MACHINE: Final = "machine "
"""Before a moment's name: the `serve` that started the process dies with it."""


def _dying(place: Any, name: str, marker: Path, *, first: bool) -> None:
    call = getattr(place, name)

    def dying(*args: Any, **kwargs: Any) -> Any:
        if not marker.exists():
            return call(*args, **kwargs)
        if not first:
            call(*args, **kwargs)
        is_power_failure = marker.read_text().startswith(_MACHINE)
        marker.unlink()
        if is_power_failure:  # kills `serve`, its fork server, and this process, a fork of that
            forker = os.getppid()
            server = int(Path(f"/proc/{forker}/stat").read_text().rpartition(")")[2].split()[1])
            os.kill(server, signal.SIGKILL)
            os.kill(forker, signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(place, name, dying)


def _be_mortal(dies: Path | None) -> None:
    """Have this process die at the moment that the file names, if the file exists."""
    if dies is None or not dies.exists():
        return
    places, name, first = _MOMENTS[dies.read_text().removeprefix(_MACHINE)]
    for place in places if isinstance(places, tuple) else (places,):
        _dying(place, name, dies, first=first)


class MortalDirectory(DirectoryStoreBlock):
    """A directory for packages; a worker's process that uses it dies at a moment (see `GatedFiles.dies`)."""

    _block_type_name = "Mortal Directory"
    _block_type_slug = "mortal-directory"

    dies: Path = Field(description="Names the moment at which the job's process kills itself.")

    def block_initialization(self) -> None:
        """Have only the job's process die, not the process that settles the job."""
        super().block_initialization()
        if "PREFECT__FLOW_RUN_ID" in os.environ:
            _be_mortal(self.dies)


class GatedFiles(FileSource):
    """A directory tree with a pause before each file, until its gate is opened.

    Attributes:
        gate: the pauses end when this file exists.
        pause: seconds before each file.
        dies: while this file exists, the job's process kills itself at the moment that it names (see `_MOMENTS`);
            the file is deleted then, so that the job's next process lives.
        shard_items: how many items a shard takes at most, in whatever process lists them.
    """

    _block_type_name = "Gated Files"
    _block_type_slug = "gated-files"

    gate: Path = Field(description="The pauses end when this file is there.")
    pause: float = Field(default=10.0, description="Seconds before each file.")
    dies: Path | None = Field(default=None, description="Names the moment at which the job's process kills itself.")

    shard_items: int | None = Field(default=None, description="How many items a shard takes at most.")

    def block_initialization(self) -> None:
        """Have a worker's process of a job die before it reads anything, if `dies` says so."""
        super().block_initialization()
        if "PREFECT__FLOW_RUN_ID" in os.environ:
            _be_mortal(self.dies)

    def items(self) -> Iterator[Listed]:
        """Return the files, for shards of `shard_items` items."""
        if self.shard_items is not None:
            enumeration.SHARD_ITEMS = self.shard_items  # type: ignore[misc]
        return super().items()

    def read_many(self, items: Iterable[Item], concurrency: int) -> Iterator[tuple[Item, Content | Exception]]:
        """Read with pauses."""
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


_COPY: Final = DirectoryWriter.copy


def _slow_copy(self: DirectoryWriter, *args: Any) -> None:
    before, slow, _ = self._location.partition("/slow-")
    while slow and not Path(before, "gate").exists() and not current_stop():
        time.sleep(0.02)
    _COPY(self, *args)


DirectoryWriter.copy = _slow_copy  # type: ignore[method-assign, assignment]
