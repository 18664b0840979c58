"""Processes that are forked from one that has imported their modules, and has no other Python threads.

They are those of `multiprocessing`'s fork server, but without the importing of the user's script, which may start a job
when it is imported. A fork of the calling process itself would not be safe: the process of a job has threads (of
Prefect, libcurl, Arrow), whose locks a fork would find taken for ever.
"""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import context, forkserver, popen_forkserver, reduction, resource_tracker, spawn, util
from multiprocessing.process import BaseProcess
from typing import Any, Final

CAN_FORK: Final = sys.platform == "linux"
"""Whether processes are forked: libraries of macOS do not survive a fork, and Windows has none."""

_OF_THE_SCRIPT: Final = ("init_main_from_name", "init_main_from_path")


def start_fork_server(modules: list[str]) -> None:
    """Start the fork server, so that it has imported the modules when the first process is due.

    A fork server that runs already keeps what it has; its forks import the rest.
    """
    forkserver.set_forkserver_preload(modules)
    with undisturbed():
        forkserver.ensure_running()


@contextmanager
def undisturbed() -> Iterator[None]:
    """Block SIGINT and SIGTERM in processes that are started in the context.

    Ctrl-C, and the stop of a service, send them to every process of a job, which itself stops the others in order.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    resource_tracker.ensure_running()  # the fork server needs it; its start would unblock both signals
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Popen(popen_forkserver.Popen):
    def _launch(self, process_obj: BaseProcess) -> None:
        """Do what the base class does, but leave out the user's script."""
        preparation = {key: value for key, value in spawn.get_preparation_data(process_obj.name).items()
                if key not in _OF_THE_SCRIPT}  # fmt: skip
        data = io.BytesIO()
        context.set_spawning_popen(self)
        try:
            reduction.dump(preparation, data)
            reduction.dump(process_obj, data)
        finally:
            context.set_spawning_popen(None)
        fds: Any = self._fds  # type: ignore[attr-defined]
        self.sentinel, write = forkserver.connect_to_new_process(fds)
        close: Any = vars(util)["close_fds"]
        self.finalizer = util.Finalize(self, close, (os.dup(write), self.sentinel))
        with open(write, "wb") as file:
            file.write(data.getbuffer())
        self.pid = forkserver.read_signed(self.sentinel)


class ForkedProcess(BaseProcess):
    """A process of the fork server, in which SIGINT and SIGTERM are blocked at first."""

    _start_method = "forkserver"

    @staticmethod
    def _Popen(process_obj: BaseProcess) -> Any:  # noqa: N802 (of BaseProcess)
        with undisturbed():  # the fork server may have to be started again
            return _Popen(process_obj)
