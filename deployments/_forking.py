"""Fork the processes of jobs from one that has imported everything, so that a job starts within a second.

Prefect's runner starts ``python -m prefect.engine`` for each run (3.8: `prefect.runner._starter_engine`), which first
imports Prefect, pyarrow and the flows for seconds. Here the same module runs, with the same environment, in a fork of
`multiprocessing`'s fork server: a process that has imported them, and has no other Python threads.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import runpy
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import anyio.abc
from anyio.to_thread import run_sync
from prefect import engine
from prefect.context import refresh_global_settings_context
from prefect.runner import _starter_engine
from prefect.runner._process_manager import ProcessHandle

from prefect_collect.threads.forked import CAN_FORK, start_fork_server, undisturbed

_PRELOADED: Final = ["prefect_collect.deployments._preloaded"]


def start_importing() -> None:
    """Start the fork server, if `CAN_FORK`, so that it has imported everything when the first job is due."""
    if CAN_FORK:
        start_fork_server(_PRELOADED)


@contextmanager
def forked_processes() -> Iterator[None]:
    """Have the runners of this process fork the processes of their runs, if `CAN_FORK`."""
    if not CAN_FORK:
        yield
        return
    start_importing()
    # The docstring of Prefect's `EngineCommandStarter` names this function as the one to replace.
    starter: Any = _starter_engine
    before = starter.run_process
    starter.run_process = _run_forked
    try:
        yield
    finally:
        starter.run_process = before


async def _run_forked(
    *,
    env: dict[str, str],
    cwd: Path | str | None,
    task_status: anyio.abc.TaskStatus[ProcessHandle],
    task_status_handler: Callable[[Any], ProcessHandle],
    **_: Any,
) -> None:
    process = multiprocessing.get_context("forkserver").Process(target=_run_engine, args=(env, cwd))
    await run_sync(_start, process)
    task_status.started(task_status_handler(process))
    await run_sync(process.join)


def _start(process: Any) -> None:
    with undisturbed():  # the fork server may have to be started again
        process.start()


def _run_engine(environment: dict[str, str], folder: Path | str | None) -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    os.environ.clear()
    os.environ.update(environment)
    if folder is not None:
        os.chdir(folder)
    refresh_global_settings_context()
    sys.argv = [engine.__file__]
    try:
        runpy.run_path(engine.__file__, run_name="__main__")
    finally:
        # A fork of multiprocessing ends without its exit functions, which send the last logs and events.
        atexit._run_exitfuncs()
