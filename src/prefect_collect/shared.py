"""What the threads of one attempt share in this process, found by the job's id and the attempt's number.

A shard that runs in another process finds nothing there and gets its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from prefect_collect.control import Progress, Stop


@dataclass(frozen=True)
class Shared:
    """One attempt's stop and progress."""

    stop: Stop = field(default_factory=Stop)
    progress: Progress = field(default_factory=Progress)


_running: dict[tuple[str, int], Shared] = {}


@contextmanager
def sharing(job_id: str, attempt: int) -> Iterator[Shared]:
    """For the process that runs the attempt: what its shards will find."""
    shared = _running[job_id, attempt] = Shared()
    try:
        yield shared
    finally:
        _running.pop((job_id, attempt), None)


def shared_of(job_id: str, attempt: int) -> Shared:
    """What the attempt shares, if it runs in this process; else something of its own."""
    return _running.get((job_id, attempt)) or Shared()
