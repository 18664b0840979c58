"""How many worker processes a job's machine and data source allow, and what each of them gets."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from math import ceil
from pathlib import Path
from typing import Any, Final

import cloudpickle
import psutil
from prefect.context import refresh_global_settings_context
from prefect.settings import get_current_settings

from prefect_collect.blocks.data_source import DataSource
from prefect_collect.collecting.worker import ShardWork
from prefect_collect.collecting.worker_processes import WorkerProcesses
from prefect_collect.flows.attempt_work import AttemptWork
from prefect_collect.threads.forked import CAN_FORK

_CONTAINER: Final = Path("/sys/fs/cgroup")
_QUOTA: Final = _CONTAINER / "cpu.max"
"""What the container may use: microseconds of CPU, or max, in a period of so many."""

_MOST_BY_NEED: Final = 4
"""The most workers that are not asked for: with small files, more are hardly faster, as the job lists them alone."""

_BY_NEED: Final = {"prefect_collect.blocks.file_source", "prefect_collect.blocks.object_store_source"}
"""The modules of the sources that are read by workers that are not asked for; imported here, they would bring boto3.
Most others wait for their servers, have a limit of connections, which the threads hold already, or keep something for
the attempt."""

_MEMORY: Final = 256 << 20
"""Bytes of memory that must be available for each worker that is not asked for; it takes some 140 MiB."""


def usable_cores() -> int:
    """Return how many cores this process may use: those of its affinity, and of its container's quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with suppress(OSError, ValueError):
        quota, period = _QUOTA.read_text().split()
        if quota != "max":
            cores = min(cores, ceil(int(quota) / int(period)))
    return max(1, cores)


def count_workers(source: DataSource, workers: int | None) -> int:
    """Return how many workers to start: one for each core if `workers` is None, fewer if the source allows fewer."""
    wanted, allowed = workers or usable_cores(), source.most_workers()
    return wanted if allowed is None else min(wanted, allowed)


def workers_by_need(source: DataSource, workers: int | None) -> int:
    """Return how many workers to start when an attempt proves to need them; 0 if it is to go on in threads.

    Only folders and buckets come into question.
    """
    if not CAN_FORK or type(source).__module__ not in _BY_NEED:
        return 0
    count = workers or min(_MOST_BY_NEED, usable_cores())
    return count if min(count, usable_cores()) > 1 and free_memory() >= count * _MEMORY else 0


def free_memory() -> int:
    """Return how many bytes of memory are available: on the machine, and in its container's limit."""
    free: int = psutil.virtual_memory().available
    with suppress(OSError, ValueError):
        most = (_CONTAINER / "memory.max").read_text().strip()
        if most != "max":
            used = int((_CONTAINER / "memory.current").read_text())
            free = min(free, int(most) - used + _page_cache())
    return free


def _page_cache() -> int:
    """Return how many bytes of the container's memory hold files that were not read for a while: the kernel drops them.

    Return 0 if the system does not state it.
    """
    with suppress(OSError, ValueError):
        stated = dict(line.split() for line in (_CONTAINER / "memory.stat").read_text().splitlines())
        return int(stated.get("inactive_file", 0))
    return 0


def worker_processes(
    count: int,
    threads: int,
    work: AttemptWork,
    warn: Any,
) -> WorkerProcesses:
    """Return `count` worker processes for an attempt.

    All of them together hold as many connections as the source allows, read as many small items at once as `threads`
    shards in one process, and read ahead as many bytes.
    """
    collection = work.policy.collection
    at_once = max(1, ceil(collection.concurrency * threads / max(count, threads)))
    policy = replace(work.policy, collection=replace(collection, concurrency=at_once))
    shards = ShardWork(work.source.for_worker(count), work.folder, work.attempt, policy, count)
    # A source of the user's own script is pickled as a whole, so that the workers need not import that script.
    return WorkerProcesses(
        shards, work.shared, warn,
        pickled=cloudpickle.dumps,
        environment=os.environ | get_current_settings().to_environment_variables(exclude_unset=True),
        prepare=refresh_global_settings_context,
    )  # fmt: skip
