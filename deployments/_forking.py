"""Job processes forked from one that has imported everything: a job starts in a moment instead of in seconds.

Prefect's runner starts ``python -m prefect.engine`` for each run (3.8: `prefect.runner._starter_engine`), which imports
Prefect, pyarrow and the flows before it does anything. Here the same module is run, in the same environment, by a fork
of `multiprocessing`'s fork server: a process that has imported them, and has no threads of Python's.
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
from multiprocessing import forkserver, resource_tracker
from pathlib import Path
from typing import Any, Final

import anyio.abc
from anyio.to_thread import run_sync
from prefect import engine
from prefect.context import refresh_global_settings_context
from prefect.runner import _starter_engine
from prefect.runner._process_manager import ProcessHandle

CAN_FORK: Final = sys.platform == "linux"
"""Elsewhere libraries do not stand a fork (macOS), or there is none (Windows): jobs start as Prefect starts them."""

_PRELOADED: Final = ["prefect_collect.deployments._preloaded"]


def start_importing() -> None:
    """Start the fork server, where that can be done, so that it has imported everything when the first job is due."""
    if CAN_FORK:
        multiprocessing.get_context("forkserver").set_forkserver_preload(_PRELOADED)
        with _undisturbed():
            forkserver.ensure_running()


@contextmanager
def forked_processes() -> Iterator[None]:
    """Within it, the runs that a runner of this process starts are forked, where that can be done."""
    if not CAN_FORK:
        yield
        return
    start_importing()
    # The place that Prefect names for this, in the docstring of `EngineCommandStarter`.
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
    with _undisturbed():  # should the fork server have to be started anew
        process.start()


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Within it, a process is started that neither Ctrl-C nor the SIGTERM ends that stops a service: both are sent to
    every process of it. `serve` itself has the jobs stop in order."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    resource_tracker.ensure_running()  # which the fork server needs, and which unblocks both when it is started
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


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
        # A fork of multiprocessing ends without it, and the last logs and events are sent there.
        atexit._run_exitfuncs()
